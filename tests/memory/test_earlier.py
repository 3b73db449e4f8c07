"""A database from before the first migration: refused with advice, dumped, and loaded into the present tables."""

import asyncio
import gzip
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from qwendesk.agents.checks.tool_results import GROUNDED, STATES_RESULT
from qwendesk.desk.translations import MachineNotices
from qwendesk.errors import StoreError
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.memory.database import Database
from qwendesk.memory.maintenance.backup import backup, check, restore, write_dump
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.inbox import InboundEvent, InboundFile
from qwendesk.messages import Inbound
from tests.desk.parts import running
from tests.memory.talk import say

DATA = Path(__file__).parent / "data"
DUMP = DATA / "earlier.jsonl.gz"
"""Written by that version; ``earlier.sql.gz`` creates the database it was written from, without its search index."""
ADVICE = "write it to a file with 'qwendesk db dump FILE' and read the file with 'qwendesk db load FILE --force'"


def create_earlier(file: Path) -> None:
    with closing(sqlite3.connect(file)) as raw:
        raw.executescript(gzip.decompress((DATA / "earlier.sql.gz").read_bytes()).decode())


@pytest.fixture
async def earlier(tmp_path: Path) -> AsyncIterator[Database]:
    await asyncio.to_thread(create_earlier, tmp_path / "earlier.db")
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'earlier.db'}", 5)
    yield database
    await database.aclose()


async def assert_everything_is_there(memory: Memory) -> None:
    question, answer, *_ = await memory.history.messages("c1")
    assert (question.text, answer.text) == ("My home is Berlin.", "Noted.")
    assert [(file.name, file.data) for file in question.attachments] == [("p.png", b"a picture")]
    last = await memory.history.last_turn("c1")
    assert (
        last and last.receipt and (last.question, last.answer, last.status) == ("How do I loop?", "With for.", "done")
    )
    assert last.receipt["role_without_override"] == "general" and last.receipt["sub_answers"][0]["question"] == "why?"
    context = await memory.turns.context(Inbound("hi", "c1", person="ada"))
    assert context.summary and (context.summary.text, context.summary.to_sequence) == ("They live in Berlin.", 1)
    assert [(fact.key, fact.value) for fact in context.facts] == [("home", "Rome")]
    ada = await memory.people.find("ada")
    assert ada
    assert [fact.value for fact in await memory.facts.past(ada.id, "home")] == ["Rome", "Berlin"]
    unread = await memory.summaries.unlearned("c1")
    assert unread and unread.lines == ()
    ratings = [turn.ratings for turn in await memory.feedback.turns()]
    assert [(one.thumb, one.role, one.model) for (one,) in filter(None, ratings)] == [(-1, "coder", "scripted:m")]
    async with memory.scope.read() as connection:
        event = (await connection.execute(select(*InboundEvent.__table__.c))).one()
        content = (await connection.execute(select(InboundFile.content))).scalar_one()
    assert (event.sequence, event.status, event.runs, event.forgiven_runs) == (1, "queued", 1, 0)
    assert event.saved_reply == {"outcome": "done", "text": "hello"} and not event.cancel_requested
    assert event.payload["unsupported_media"] == "video" and content == b"notes"
    base = KnowledgeBase(memory.database)
    scope = await base.scope_of("python", "", "ada", "c1")
    assert {passage.title for passage in await base.search("bicycle", scope)} == {"bicycles.txt", "mine.txt"}
    await base.aclose()
    assert (await check(memory.database)).problems == ()
    assert await say(memory, "And it goes on.", person="ada")


async def test_an_earlier_database_is_refused_with_the_way_over(earlier: Database) -> None:
    with pytest.raises(StoreError) as refused:
        await earlier.open()
    assert str(refused.value).count("\n") == 0
    assert "earlier.db' (revision 0024) is of an earlier Qwendesk" in str(refused.value)
    assert ADVICE in str(refused.value)
    assert ADVICE in (await check(earlier)).problems[0]


async def test_a_dump_of_an_earlier_database_is_loaded(url: str) -> None:
    memory = Memory(url)
    await restore(memory.database, DUMP)
    await assert_everything_is_there(memory)
    await memory.aclose()


async def test_an_earlier_database_is_dumped_and_loaded_in_place(earlier: Database, tmp_path: Path) -> None:
    await write_dump(earlier, tmp_path / "dump")
    with pytest.raises(StoreError, match="is not empty; add --force"):
        await restore(earlier, tmp_path / "dump")
    await restore(earlier, tmp_path / "dump", force=True)
    memory = Memory(f"sqlite+aiosqlite:///{earlier.file}")
    await memory.open()
    await assert_everything_is_there(memory)
    await memory.aclose()


async def test_a_backup_of_an_earlier_database_is_restored(earlier: Database, empty_url: str, tmp_path: Path) -> None:
    await backup(earlier, tmp_path / "copy")
    memory = Memory(empty_url)
    await restore(memory.database, tmp_path / "copy")
    await assert_everything_is_there(memory)
    await memory.aclose()


async def test_a_dump_has_no_rows_but_those_of_the_database(earlier: Database, tmp_path: Path) -> None:
    await write_dump(earlier, tmp_path / "dump")
    header, *rows = await asyncio.to_thread(lambda: gzip.decompress((tmp_path / "dump").read_bytes()).splitlines())
    kept, *expected = await asyncio.to_thread(lambda: gzip.decompress(DUMP.read_bytes()).splitlines())
    assert json.loads(header) == json.loads(kept)
    assert sorted(map(json.loads, rows), key=repr) == sorted(map(json.loads, expected), key=repr)


def change_row(line: bytes) -> bytes:
    """Give the open message, its conversation and the turns the values that a desk of that version had written."""
    table, row = json.loads(line)
    if table == "conversation" and row["channel"] == "telegram":
        row |= {"channel": "test", "settings": {"heard": "de", "told_machine": True, "role": "coder"}}
    elif table == "inbound_event":
        told = {"text": "hello", "outcome": "done", "error": None, "is_rated": True, "tells_machine": True}
        row |= {"channel": "test", "verdict": told}
    elif table == "turn":
        row["receipt"]["checks"] = [{"name": "repeats the tool's result", "outcome": "failed", "detail": "7"}]
        answers = row["receipt"]["parts"]
        answers[0]["checks"] = [{"name": "keeps to what was looked up", "outcome": "passed", "detail": ""}]
    return json.dumps([table, row]).encode()


async def test_an_open_message_of_an_earlier_database_is_delivered(tmp_path: Path) -> None:
    header, *rows = gzip.decompress(DUMP.read_bytes()).splitlines()
    await asyncio.to_thread(
        (tmp_path / "dump").write_bytes, gzip.compress(b"\n".join([header, *map(change_row, rows)]) + b"\n")
    )
    url = f"sqlite+aiosqlite:///{tmp_path / 'desk.db'}"
    memory = Memory(url)
    await restore(memory.database, tmp_path / "dump")
    await memory.aclose()
    notices = MachineNotices({"test": True})
    async with running(tmp_path, lambda messages: "never asked", url=url, notices=notices) as desk:
        await desk.runtime.maintenance.once()
        await desk.settle()
        assert desk.outlet.texts == ["hello"], "the saved reply has the notice already"
        async with desk.desk.memory.scope.read() as connection:
            event = (await connection.execute(select(InboundEvent.status, InboundEvent.error))).one()
            settings = (await connection.execute(select(Conversation.settings))).scalars().all()
        assert (event.status, event.error) == ("done", None)
        assert {"detected_language": "de", "machine_notice_sent": True, "role": "coder"} in settings
        last = await desk.desk.memory.history.last_turn("c1")
        assert last and last.receipt and last.receipt["checks"][0]["name"] == STATES_RESULT
        assert last.receipt["sub_answers"][0]["checks"][0]["name"] == GROUNDED
