"""``qwendesk webhooks``: list, test, failed and retry, and the settings."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner, Result
from uuid_utils import uuid7

from qwendesk.cli.main import app
from qwendesk.desk.tickets.changes import add_event
from qwendesk.desk.tickets.records import CUSTOMER
from qwendesk.errors import ConfigError
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.event_deliveries import EventDelivery
from qwendesk.memory.tables.tickets import Ticket, TicketEvent
from qwendesk.settings import load_settings
from qwendesk.webhook_settings import EVENT_KINDS
from tests.databases import put_migrated

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_HOME", str(tmp_path))
    put_migrated(tmp_path / "qwendesk.db")
    configure(
        tmp_path, f'[[webhooks]]\nname = "crm"\nurl = "http://127.0.0.1:9/"\nsecret = "{SECRET}"\nevents = "opened"\n'
    )


def configure(folder: Path, text: str) -> None:
    (folder / "qwendesk.toml").write_text(text, "utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["webhooks", *arguments])


def answered(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


async def fail_delivery(file: Path, reader: str = "crm") -> str:
    """Store a delivery that was given up, and return its id."""
    memory, now = Memory(f"sqlite+aiosqlite:///{file}"), datetime.now(UTC)
    await memory.open()
    conversation, ticket = str(uuid7()), str(uuid7())
    at = {"created_at": now, "updated_at": now}
    async with memory.scope.write() as connection:
        names = {"channel": "web", "account": "", "external_id": "c", "title": "", "next_sequence": 1}
        await connection.execute(insert(Conversation), {"id": conversation, **names, **at})
        told = {"number": 1, "conversation_id": conversation, "state": "bot", "subject": "", "delivery": {}}
        await connection.execute(insert(Ticket), {"id": ticket, "last_message_at": now, **told, **at})
        await add_event(connection, ticket, "opened", CUSTOMER)
        (event,) = (await connection.execute(TicketEvent.__table__.select())).all()
        row = {"reader": reader, "event_id": event.id, "ticket_id": ticket, "kind": "opened", "status": "failed"}
        tried = {
            "attempts": 10,
            "next_at": now,
            "created_at": now,
            "finished_at": now,
            "error": "the server answers 500",
        }
        await connection.execute(insert(EventDelivery), {"id": str(uuid7()), **row, **tried})
    await memory.aclose()
    return str(event.id)


def test_a_failed_delivery_is_listed_and_sent_again(tmp_path: Path) -> None:
    assert answered("list") == [
        {
            "name": "crm",
            "url": "http://127.0.0.1:9/",
            "events": ["opened"],
            "waiting": 0,
            "done": 0,
            "failed": 0,
            "last_error": None,
        }
    ]
    assert answered("failed") == []
    asyncio.run(fail_delivery(tmp_path / "qwendesk.db"))
    assert "1 failed\n    the server answers 500" in run("list").stdout
    (delivery,) = answered("failed")
    assert (delivery["webhook"], delivery["kind"], delivery["attempts"]) == ("crm", "opened", 10)
    assert "crm: 10 tries; the server answers 500" in run("failed").stdout
    wrong = run("retry", "no-such-id")
    assert wrong.exit_code == 1 and "1 of these are no failed deliveries" in wrong.stderr
    assert answered("retry", delivery["id"]) == {"retried": 1} and answered("retry", "all") == {"retried": 0}
    assert answered("list")[0]["waiting"] == 1


def test_a_test_tells_why_it_failed() -> None:
    result = run("test", "--json")
    assert result.exit_code == 1 and "1 of 1 webhooks did not take the test" in result.stderr
    (told,) = json.loads(result.stdout)
    assert told["ok"] is False and "allow_private = true" in told["error"]
    assert "Did you mean 'crm'?" in run("test", "crn").stderr


def test_a_new_secret_can_be_used(tmp_path: Path) -> None:
    configure(tmp_path, f'[[webhooks]]\nurl = "https://a.example"\nsecret = "{run("secret").stdout.strip()}"\n')
    assert load_settings().webhooks[0].label == "a.example"
    configure(tmp_path, "")
    assert "docs/how-to/webhooks.md" in run("list").stderr and run("test").exit_code == 1


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('url = "https://a.example"', "webhooks.0.secret"),
        (f'secret = "{SECRET}"', "webhooks.0.url"),
        ('url = "a.example"\nsecret = "SECRET"', "has to be an address that begins with https:// or http://."),
        ('url = "https://a.example"\nsecret = "hunter2"', "'qwendesk webhooks secret' writes one."),
        ('url = "https://a.example"\nsecret = "SECRET"\nevent = "opened"', "Did you mean 'events'?"),
        ('url = "https://a.example"\nsecret = "SECRET"\nevents = "openned"', "has to be 'opened'."),
        ('url = "https://a.example"\nsecret = "SECRET"\ntimeout = 0', "has to be more than 0."),
        (
            'url = "https://a.example"\nsecret = "SECRET"\n[[webhooks]]\nurl = "https://a.example"\nsecret = "SECRET"',
            "give those with the same host a name each.",
        ),
    ],
)
def test_a_mistake_is_named_without_the_secret(tmp_path: Path, lines: str, words: str) -> None:
    configure(tmp_path, f"[[webhooks]]\n{lines}\n".replace("SECRET", SECRET))
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert words in str(caught.value) and SECRET not in str(caught.value) and "hunter2" not in str(caught.value)


def test_an_address_shows_no_secret(tmp_path: Path) -> None:
    configure(
        tmp_path, f'[[webhooks]]\nurl = "https://ann:hunter2@a.example:8443/?token=hunter2"\nsecret = "{SECRET}"\n'
    )
    assert "hunter2" not in json.dumps(answered("list")) and answered("list")[0]["name"] == "a.example:8443"


def test_a_single_table_in_place_of_a_list_shows_no_secret(tmp_path: Path) -> None:
    configure(tmp_path, f'[webhooks]\nurl = "https://a.example"\nsecret = "{SECRET}"\n')
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert "webhooks" in str(caught.value) and SECRET not in str(caught.value)


def test_every_kind_of_event_can_be_chosen_and_is_documented() -> None:
    import re

    code = "\n".join(file.read_text("utf-8") for file in (ROOT / "desk").rglob("*.py"))
    stored = set(re.findall(r'(?:change_ticket|add_event)\(\s*connection,\s*[\w.\["\]]+,\s*"(\w+)"', code))
    assert len(stored) > 12 and stored <= set(EVENT_KINDS), "add it to EVENT_KINDS and docs/how-to/webhooks.md"
    page = (ROOT / "docs" / "how-to" / "webhooks.md").read_text("utf-8")
    assert [kind for kind in EVENT_KINDS if f"`{kind}`" not in page] == []
