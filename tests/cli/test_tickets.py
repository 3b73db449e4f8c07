"""``qwendesk tickets``: the same changes as on the operators' pages, from the command line."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app
from qwendesk.memory.tables.tickets import Ticket
from tests.databases import put_migrated
from tests.desk.parts import TestOutlet, running
from tests.desk.tickets.operators import add_operator
from tests.desk.tickets.test_approvals import REFUND, Shop


@pytest.fixture(autouse=True)
def tickets(own_home: Path) -> None:
    """Two tickets of one customer, and two operators."""
    put_migrated(own_home / "qwendesk.db")

    async def write() -> None:
        async with running(own_home, lambda messages: "I see.") as desk:
            for name in ("ada", "bo"):
                await add_operator(desk.runtime.database, name)
            await desk.say("Where is my parcel?", display_name="Zoë")
            await desk.say("/ticket new My bill is wrong.", display_name="Zoë")
            await desk.settle()

    asyncio.run(write())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["tickets", *arguments])


def told(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_ticket_goes_its_way(own_home: Path) -> None:
    assert [(one["number"], one["state"], one["customer"]) for one in told("list")] == [
        (2, "bot", "Zoë"),
        (1, "bot", "Zoë"),
    ]
    assert run("hand-over", "1").stdout.startswith("#1 waiting, Ada: Where is my parcel?")
    assert [one["number"] for one in told("list", "--state", "waiting")] == [1]
    assert [one["number"] for one in told("list", "--limit", "1")] == [1], "a waiting one comes first"
    assert "#1 human, Bo" in run("take", "1", "--as", "bo").stdout
    refused = run("reply", "1", "On its way.", "--as", "ada")
    assert refused.exit_code == 1 and "Bo holds ticket 1" in refused.stderr
    (own_home / "label.png").write_bytes(b"png")
    sent = told("reply", "1", "On its way.", "--as", "bo", "--file", str(own_home / "label.png"))
    assert (sent[0]["last_from"], sent[0]["operator_name"]) == ("operator", "Bo")
    assert run("note", "1", "Called the carrier.", "--as", "bo").exit_code == 0
    assert told("tag", "1", "parcel", "Late")[0]["tags"] == ["parcel", "late"]
    assert told("tag", "1", "late", "--remove")[0]["tags"] == ["parcel"]
    assert told("assign", "1", "ada")[0]["operator_name"] == "Ada"
    assert told("snooze", "1", "2d")[0]["state"] == "snoozed"
    assert told("hand-back", "1", "--as", "ada")[0]["state"] == "bot"
    assert told("resolve", "1")[0]["state"] == "resolved"
    assert told("reopen", "1")[0]["state"] == "waiting"
    shown = run("show", "1").stdout
    for line in ("[1] user: Where is my parcel?", "Bo: On its way. [image]", "note by Bo: Called", "- resolved by api"):
        assert line in shown
    assert [one["number"] for one in told("search", "bill")] == [2]
    asyncio.run(deliver(own_home))


async def deliver(home: Path) -> None:
    """Start the desk: what the command stored is delivered."""
    outlet = TestOutlet()
    async with running(home, outlet=outlet) as desk:
        await desk.settle()
    told, reply = outlet.texts
    assert "to a person" in told and reply == "On its way."
    assert [file.name for file in outlet.sent[1].attachments] == ["label.png"]


def test_matters_are_merged_and_split() -> None:
    assert told("merge", "2", "1")[0]["number"] == 1
    assert told("list", "--state", "resolved")[0]["number"] == 2
    assert len(told("show", "1")[0]["messages"]) == 4
    assert told("split", "1", "2", "--subject", "The bill")[0]["subject"] == "The bill"


def test_mistakes_are_told_in_one_line() -> None:
    for arguments, reason in (
        (("show", "9"), "no ticket 9"),
        (("take", "1", "--as", "nobody"), "nobody"),
        (("list", "--state", "closed"), "no state 'closed'"),
        (("hand-back", "1"), "cannot be handed back"),
        (("snooze", "1", "tomorrow"), "is no time"),
        (("reply", "1", "x", "--as", "ada", "--file", "missing.png"), "cannot be read"),
    ):
        done = run(*arguments)
        assert done.exit_code != 0 and reason in done.stderr, done.output


def test_an_export_is_noted_before_its_first_line(own_home: Path) -> None:
    done = run("export", "out.jsonl", "--since", "1d")
    assert done.exit_code == 0, done.output
    audit = CliRunner().invoke(app, ["operators", "audit", "--json"])
    assert '"export"' in audit.stdout and "out.jsonl" in audit.stdout


def test_the_report_counts_in_opening_hours(own_home: Path) -> None:
    async def open_for_three_days() -> None:
        begin = datetime.now(UTC) - timedelta(days=3)
        async with running(own_home, lambda messages: "I see.") as desk, desk.runtime.database.write() as connection:
            await connection.execute(update(Ticket).values(created_at=begin))

    asyncio.run(open_for_three_days())
    assert run("resolve", "1").exit_code == 0

    def minutes() -> float:
        done = run("report", "--json")
        assert done.exit_code == 0, done.output
        return float(json.loads(done.stdout)["resolution"]["median"])

    assert minutes() == pytest.approx(3 * 24 * 60, abs=10)
    (own_home / "qwendesk.toml").write_text('[hours]\nzone = "UTC"\nweek = "closed"\n')
    assert minutes() == 0


def test_what_waits_for_an_approval_is_listed_and_decided_on(own_home: Path) -> None:
    shop = Shop()

    async def answer(script: list[str]) -> list[str]:
        outlet = TestOutlet()
        async with running(own_home, script, outlet=outlet, tools=shop.tools) as desk:
            if len(script) > 1:
                for conversation in ("a", "b"):
                    await desk.say("Please refund order 4711.", conversation)
            await desk.settle()
        return outlet.texts

    assert told("approvals") == [] and "No call waits" in run("approvals").stderr
    asyncio.run(answer([REFUND, REFUND]))
    first, second = told("approvals")
    assert (first["ticket"], second["ticket"], first["status"]) == (3, 4, "waiting")
    (call,) = first["calls"]
    assert (call["tool"], call["arguments"], call["decision"]) == ("refund", {"order": "4711", "amount": 50}, None)
    shown = run("approvals").stdout
    assert f"#3 waiting: refund(order='4711', amount=50)  [{call['id']}]" in shown and "does not stand" in shown
    assert run("approve", "3").exit_code == 2, "an operator is needed"
    unnamed = run("approve", "3", "--as", "ada")
    assert unnamed.exit_code == 2 and call["id"] in unnamed.stderr, "which call was read is not known"
    wrong = run("approve", "3", "--as", "ada", "--call", call["id"], "--set", "amont=40")
    assert wrong.exit_code == 1 and "no argument 'amont'" in wrong.stderr
    assert run("approve", "3", "--as", "ada", "--set", "amount").exit_code == 2
    approved = run("approve", "3", "--as", "ada", "--call", call["id"], "--set", "amount=40").stdout
    assert "#3 approved by Ada: refund(order='4711', amount=40)" in approved
    late = run("decline", "3", "--as", "bo")
    assert late.exit_code == 1 and "Ada has approved refund of ticket 3 already" in late.stderr
    assert "#4 declined by Bo" in run("decline", "4", "--as", "bo", "--call", second["id"]).stdout
    texts = asyncio.run(answer(["It is refunded."]))
    assert shop.refunds == [("4711", 40)] and len(texts) == 2 and "It is refunded." in texts
    assert told("approvals") == []
    assert told("show", "3")[0]["approvals"][0]["calls"][0]["decision"]["outcome"] == "done"
    assert "#3 approved by Ada, done: refund(" in run("show", "3").stdout
