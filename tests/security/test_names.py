"""Names that people choose steer neither a terminal nor a log."""

import io
import logging
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from qwendesk.cli.main import app
from qwendesk.cli.serve import SafeFormatter
from qwendesk.desk.access_repository import AccessRepository, AccessRequest
from qwendesk.desk.commands.chat_commands import format_person
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import NewFact
from qwendesk.messages import Inbound
from qwendesk.printable import many_lines, one_line
from qwendesk.settings import load_settings

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "ann\r\nallowed  owner    -         mail:boss",
    "ann\u202egnp.exe",
    "\u2066ann\u2069\u200f\u061c",
    "ann\u2028second\u2029third\x85fourth",
    "\x9b31mred\x9d0;t\x9c",
    "\u200b\ufeff\u00ad\x7f",
    "tab\there\x0b\x0c",
    "\udcff\ud800",
)
KEPT = ("Zoë Müller", "山田\u3000太郎", "نیکی\u200cکریمی", "👩\u200d💻 dev", "O'Neill (x) [y]", "ไม่มี", "क्ष")


def steers(text: str, breaks: str = "") -> list[str]:
    """Return the signs of a text that could steer what it is shown on."""
    kinds = ("Cc", "Cf", "Zl", "Zp", "Cs")
    return [sign for sign in text if unicodedata.category(sign) in kinds and sign not in "\u200c\u200d" + breaks]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_on_its_line(name: str) -> None:
    assert not steers(one_line(name)) and not steers(many_lines(name), "\n\t")
    assert not steers(format_person(AccessRequest("web", "", name, name, "waiting", "person", None, None)))


@pytest.mark.parametrize("name", KEPT)
def test_a_name_in_any_script_stays_as_it_is(name: str) -> None:
    assert one_line(name) == name.replace("\u3000", " ")


@given(st.text())
def test_no_text_steers(text: str) -> None:
    assert not steers(one_line(text)) and not steers(many_lines(text), "\n\t")
    assert len(one_line(text)) == len(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_begins_no_line_of_the_log(name: str) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(SafeFormatter("%(levelname)s %(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    log.warning("A file of %s was not fetched", name)
    try:
        raise ValueError(name)
    except ValueError:
        log.exception("It failed")
    first = written.getvalue().splitlines()[0]
    assert first.startswith("WARNING A file of") and first.endswith("was not fetched")
    assert not steers(written.getvalue(), "\n\t")


async def _fill() -> None:
    memory = Memory(load_settings().database)
    await memory.open()
    for number, name in enumerate(HOSTILE[:-1]):  # a database holds no lone surrogate
        person = f"{number}{name}"
        inbound = Inbound("hello", "c", person=person, channel="irc", display_name=name)
        await AccessRepository(memory.scope).request(inbound, f"ABCDEFG{number}", _later())
        met = await memory.people.get_or_create(person, channel="irc")
        await memory.facts.learn(met.id, [NewFact(f"name{name}", f"value {name}")])
    await memory.aclose()


def _later() -> object:
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.usefixtures("own_home")
def test_lists_of_people_hold_one_line_each(tmp_path: Path) -> None:
    import asyncio

    asyncio.run(_fill())
    run = CliRunner().invoke
    for command in (["pairing", "list"], ["memory", "list"]):
        shown = run(app, command).stdout
        assert len(shown.splitlines()) == len(HOSTILE) - 1 and not steers(shown, "\n"), command
    shown = run(app, ["memory", "show", f"irc:1{HOSTILE[1]}"]).stdout
    assert len(shown.splitlines()) == 2 and not steers(shown, "\n")
    wrong = run(app, ["memory", "show", HOSTILE[0]])
    assert wrong.exit_code == 1 and not steers(wrong.output, "\n")
    decided = run(app, ["pairing", "approve", "ABCDEFG1"])
    assert decided.exit_code == 0 and len(decided.output.splitlines()) == 1 and not steers(decided.output, "\n")


@pytest.mark.usefixtures("own_home")
def test_lists_of_documents_hold_no_steering(tmp_path: Path) -> None:
    file = tmp_path / "notes\x1b[2J\u202e.txt"
    file.write_text("The \u202eshop\u2066 opens at nine.\n", "utf-8")
    run = CliRunner().invoke
    outputs = [
        run(app, ["kb", *command]).output for command in (["add", str(file)], ["list"], ["search", "shop opens"])
    ]
    assert "nine" in outputs[2] and not any(steers(output, "\n\t") for output in outputs)
