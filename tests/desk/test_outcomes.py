"""The queue's note that a message is done: one statement, and only by whom the message belongs to."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qwendesk.desk import outcomes
from tests.desk.parts import running

STATUS = "SELECT status, owner_xid, completed_at > 0 FROM workflow_status WHERE name = 'answer'"


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(next(folder.glob("**/*.db")))) as connection:
        return connection.execute(sql).fetchall()


async def until(folder: Path, sql: str, wanted: list[tuple[object, ...]]) -> None:
    async with asyncio.timeout(20):
        while rows(folder, sql) != wanted:  # noqa: ASYNC110 - the queue tells nobody when it has noted something
            await asyncio.sleep(0.02)


async def test_a_message_that_is_answered_is_nobodys(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        await desk.say("hello", event="e1")
        await desk.settle()
        await until(tmp_path, STATUS, [("SUCCESS", None, 1)])
    assert rows(tmp_path, "SELECT count(*) FROM workflow_output") == [(0,)]


async def test_whoever_has_lost_a_message_notes_nothing(tmp_path: Path) -> None:
    def taken_over(_: object) -> str:
        with closing(sqlite3.connect(next(tmp_path.glob("**/*.db")))) as connection, connection:
            connection.execute("UPDATE workflow_status SET owner_xid = 'another'")
        return "Hello."

    async with running(tmp_path, taken_over) as desk:
        await desk.say("hello", event="e1")
        await desk.settle()
        assert desk.outlet.texts == ["Hello."]
        async with asyncio.timeout(20):
            while desk.office.dispatcher.running():  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.02)
        assert rows(tmp_path, STATUS) == [("PENDING", "another", None)]


@pytest.mark.parametrize("noted", ["by one statement", "by DBOS itself"])
async def test_the_next_message_of_a_conversation_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: str
) -> None:
    if noted == "by DBOS itself":  # where the statement fails, it is DBOS that tries again
        monkeypatch.setattr(outcomes, "_done", lambda row, now: row.delete().where(row.c.owner_xid.regexp_match("(")))
    async with running(tmp_path) as desk:
        for number in range(3):
            await desk.say("hello", event=f"e{number}")
        await desk.settle()
        await until(tmp_path, STATUS, [("SUCCESS", None, 1)] * 3)
    assert len(desk.outlet.sent) == 3
    assert rows(tmp_path, "SELECT count(*) FROM workflow_output") == [(3 if noted == "by DBOS itself" else 0,)]
