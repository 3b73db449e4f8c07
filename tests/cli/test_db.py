"""``qwendesk db`` and ``qwendesk memory``."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qwendesk.cli import db, memory
from qwendesk.memory.memory import Memory
from qwendesk.memory.migrations import upgrade
from qwendesk.memory.records import NewFact
from qwendesk.messages import Attachment, Inbound
from qwendesk.settings import load_settings


def run(app: object, *arguments: str, answer: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, input=answer)  # type: ignore[arg-type]
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


async def _fill() -> None:
    store = Memory(load_settings().database)
    await store.open()
    for person in ("ada", "bob", "o'\"\0\x1b[2J"):
        turn = await store.turns.begin(
            Inbound(f"I am {person}", person, (Attachment("image", "i", b"x"),), person=person)
        )
        await store.turns.fail(turn, "stopped", "", "Hello")
    await store.facts.learn((await store.people.get_or_create("ada")).id, [NewFact("home", "Rome")])
    await store.people.get_or_create("ada", channel="slack")
    await store.aclose()


@pytest.fixture
def filled(own_home: Path) -> Path:
    asyncio.run(_fill())
    return own_home


def test_an_empty_home_has_no_tables_and_gets_some(own_home: Path) -> None:
    assert json.loads(run(db.app, "current", "--json")[1])["revision"] is None
    assert not (own_home / "qwendesk.db").exists()
    assert run(db.app, "check")[0] == 1
    assert json.loads(run(db.app, "upgrade", "--json")[1]) == {"before": None, "after": upgrade.head()}
    assert run(db.app, "check") == (0, "whole and up to date\n", "")


def test_a_newer_database_is_named(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "qwendesk.db")) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    code, _, error = run(db.app, "upgrade")
    assert code == 1 and "newer Qwendesk (revision 9999); upgrade qwendesk" in error and error.count("\n") == 1
    assert "newer Qwendesk" in run(db.app, "check")[1]


def test_backup_and_restore(filled: Path) -> None:
    assert json.loads(run(db.app, "backup", "copy.db", "--json")[1])["revision"] == upgrade.head()
    assert run(memory.app, "forget", "python:ada", "--yes")[0] == 0
    code, _, error = run(db.app, "restore", "copy.db")
    assert code == 1 and "is not empty; add --force" in error
    assert run(db.app, "restore", "copy.db", "--force")[0] == 0
    assert "home: Rome" in run(memory.app, "show", "python:ada")[1]
    assert "exists already" in run(db.app, "backup", "copy.db")[2]
    (filled / "folder").mkdir()
    for place, reason in (
        ("folder", "is a folder; name a file in it, such as 'folder/qwendesk.backup'"),
        ("gone/copy.db", "The backup 'gone/copy.db' cannot be written (No such file or directory); name a file in"),
        ("copy.db/x", "The backup 'copy.db/x' cannot be written (Not a directory)"),
        ("y" * 300, "cannot be written (File name too long)"),
    ):
        code, _, told = run(db.app, "backup", place)
        assert code == 1 and reason in told and told.count("\n") == 1
    assert not list(filled.rglob("*.part"))


def test_purging_asks_first(filled: Path) -> None:
    assert json.loads(run(db.app, "purge", "--older-than", "0d", "--dry-run", "--json")[1])["removed"]["message"] == 6
    assert run(db.app, "purge", "--older-than", "0d", answer="n\n")[0] == 1
    assert run(db.app, "purge", "--older-than", "1d", "--yes")[1] == "removed nothing\n"
    assert "6 of message" in run(db.app, "purge", "--older-than", "0d", answer="y\n")[1]
    code, _, error = run(db.app, "purge", "--older-than", "soon", "--yes")
    assert code == 1 and "'soon' is not an age" in error


def test_people_are_listed_and_named(filled: Path) -> None:
    people = json.loads(run(memory.app, "list", "--json")[1])
    assert [person["names"][0]["name"] for person in people] == ["ada", "o'\"\ufffd\x1b[2J", "bob", "ada"]
    assert "\x1b" not in run(memory.app, "list")[1]
    code, _, error = run(memory.app, "show", "ada")
    assert code == 1 and "may be one of 2 people" in error
    assert json.loads(run(memory.app, "show", people[-1]["id"], "--json")[1])["facts"][0]["value"] == "Rome"
    assert "There is no person 'eve'" in run(memory.app, "show", "eve")[2]


def test_an_export_and_a_removal(filled: Path) -> None:
    assert run(memory.app, "export", "bob", "--out", "bob.json")[0] == 0
    assert (filled / "bob.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((filled / "bob.json").read_text())["messages"][0]["text"] == "I am bob"
    assert "exists already" in run(memory.app, "export", "bob", "--out", "bob.json")[2]
    assert run(memory.app, "forget", "bob", answer="n\n")[0] == 1
    removed = json.loads(run(memory.app, "forget", "bob", "--yes", "--json")[1])["removed"]
    assert (removed["message"], removed["attachment"], removed["person"]) == (2, 1, 1)
    assert run(memory.app, "export", "bob")[0] == 1
    assert b"I am bob" not in (filled / "qwendesk.db").read_bytes()


def test_a_folder_that_is_not_there_is_one_line(filled: Path) -> None:
    code, _, error = run(db.app, "backup", "no/such/folder/copy.db")
    assert code == 1 and error.count("\n") == 1 and "copy.db" in error
    assert not list(filled.glob("*.part"))
