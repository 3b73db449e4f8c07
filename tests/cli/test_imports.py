"""``qwendesk imports``: import, list, undo."""

from __future__ import annotations

import json
from email.message import EmailMessage
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qwendesk.channels.mail.channel import compose
from qwendesk.channels.mail.parse import parse
from qwendesk.channels.mail.threads import delivery_address
from qwendesk.cli.main import app
from qwendesk.desk.imports.export_files import ExportFiles
from qwendesk.errors import InputError
from qwendesk.messages import Outbound
from tests.databases import put_migrated
from tests.desk.imports.samples import CHATWOOT_FILES, ZAMMAD_FILES


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_ENGINE", "scripted")
    put_migrated(tmp_path / "qwendesk.db")
    for folder, files in (("chatwoot", CHATWOOT_FILES), ("zammad", ZAMMAD_FILES)):
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / name).write_text(json.dumps(content), "utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["imports", *arguments])


def test_an_import_is_counted_done_listed_and_undone(tmp_path: Path) -> None:
    dry = run("chatwoot", "chatwoot", "--dry-run")
    assert "tickets   1 added" in dry.stdout and "Nothing was stored." in dry.stderr
    done = run("chatwoot", "chatwoot", "--left-out", "left.jsonl")
    assert done.exit_code == 0 and "messages  4 added, 1 left out" in done.stdout
    assert "articles: it is not published (1: 6)" in done.stderr and "imports undo" in done.stderr
    left = [json.loads(line) for line in (tmp_path / "left.jsonl").read_text().splitlines()]
    assert {"kind": "article", "external_id": "6", "reason": "it is not published"} in left
    assert "done     1 tickets  chatwoot: chatwoot" in run("list").stdout
    shown = CliRunner().invoke(app, ["tickets", "show", "1"]).stdout
    assert "Where is my parcel 4711?" in shown and "Bo" in shown
    undone = json.loads(run("undo", "last", "--yes", "--json").stdout)
    assert undone["deleted"]["ticket"] == 1 and undone["kept"] == []
    assert json.loads(run("list", "--json").stdout) == []


def test_zammad_as_json() -> None:
    told = json.loads(run("zammad", "zammad", "--only", "tickets", "--open-as", "resolved", "--json").stdout)
    assert told["counts"]["ticket"] == {"added": 1, "left_out": 1} and "article" not in told["counts"]
    assert {"kind": "ticket", "external_id": "4", "reason": "it is merged"} in told["left_out"]


def test_answers_by_mail_go_on_in_the_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "mail channel" in run("zammad", "zammad", "--reply-by-mail").stderr
    monkeypatch.setenv("QWENDESK_CHANNELS", json.dumps({"mail": {"address": "Help@Desk.example"}}))
    articles = [{**one, "message_id": "<m1@x.example>"} for one in ZAMMAD_FILES["articles-3.json"]]
    (tmp_path / "zammad" / "articles-3.json").write_text(json.dumps(articles), "utf-8")
    assert run("zammad", "zammad", "--reply-by-mail").exit_code == 0
    listed = CliRunner().invoke(app, ["memory", "conversations", "--json"]).stdout
    assert [(one["channel"], one["key"]) for one in json.loads(listed)] == [
        ("mail", "help@desk.example/eva@shop.example <m1@x.example>")
    ]


def test_an_import_that_stops_tells_what_it_has_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: object) -> None:
        raise InputError("the server cannot be reached")

    monkeypatch.setattr(ExportFiles, "messages", fail)
    result = run("chatwoot", "chatwoot", "--left-out", "left.jsonl", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1 and result.stderr == "Error: the server cannot be reached\n"
    assert told["error"] == "the server cannot be reached" and told["counts"]["contact"] == {"added": 1}
    assert (tmp_path / "left.jsonl").exists() and "stopped" in run("list").stdout
    audited = CliRunner().invoke(app, ["operators", "audit", "--action", "import", "--json"]).stdout
    assert '"status": "stopped"' in audited and '"system": "chatwoot"' in audited


@pytest.mark.parametrize("mail_id", ["", "<m1@x.example>", "m1@x.example", "<no id>"])
def test_the_answer_to_a_mailed_reply_comes_back_to_its_ticket(mail_id: str) -> None:
    own = "Help@Desk.example"
    to = delivery_address(own, "Eva@shop.example", "Eva", [mail_id], "Cup", root="<zammad.3@import.invalid>")
    mailed = compose(Outbound("k1", to.conversation, "Here.", to.account, to.reply_to), own, "Desk")
    answer = EmailMessage()
    answer["From"], answer["To"], answer["Message-ID"] = "eva@shop.example", own, "<m2@x.example>"
    answer["In-Reply-To"] = mailed["Message-ID"]
    answer["References"] = f"{mailed['References']} {mailed['Message-ID']}"
    answer.set_content("Thank you!")
    inbound = parse(answer.as_bytes(), own)
    assert inbound and (inbound.account, inbound.conversation) == (to.account, to.conversation)
    assert mailed["To"] == inbound.person == to.person


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chatwoot", "missing"), "neither a file nor a folder"),
        (("chatwoot", "zammad"), "move-from-chatwoot"),
        (("chatwoot", "chatwoot", "--only", "ticket"), "tickets"),
        (("chatwoot", "chatwoot", "--open-as", "open"), "waiting"),
        (("chatwoot", "chatwoot", "--source", "a b"), "is no name"),
        (("chatwoot", "chatwoot", "--since", "soon"), "is no time"),
        (("chatwoot", "https://chat.example", "--token", "x"), "--account"),
        (("zammad", "http://127.0.0.1:9", "--token", "x"), "--private"),
        (("undo", "last"), "imports list"),
        (("undo", "abc"), "imports list"),
    ],
)
def test_a_fault_is_one_clear_line(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.stderr
    assert result.stderr.startswith("Error: ") and said in result.stderr
