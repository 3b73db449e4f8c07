"""Backups while others write, their way back, retention and checks."""

import asyncio
import gzip
import json
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from qwendesk.errors import StoreError
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.knowledge.search import SearchMode
from qwendesk.memory.database import Database
from qwendesk.memory.maintenance.backup import backup, check, restore, revision
from qwendesk.memory.maintenance.retention import purge, tenants
from qwendesk.memory.memory import Memory
from qwendesk.memory.migrations import upgrade
from qwendesk.memory.records import NewFact
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.messages import Attachment, Inbound
from tests import postgres_server
from tests.knowledge.conftest import WordVectors
from tests.memory.talk import say

PICTURE = Attachment("image", "image/png", bytes(range(256)), "p.png")


@pytest.fixture
async def database(memory: Memory) -> AsyncIterator[Database]:
    yield memory.database


async def filled(memory: Memory) -> str:
    await say(memory, "hello\0 'quoted'", files=(PICTURE,))
    ada = await memory.people.get_or_create("ada")
    await memory.facts.learn(ada.id, [NewFact("home", "Berlin")])
    await memory.facts.learn(ada.id, [NewFact("home", "Rome", data={"n": [1, None]})])
    return json.dumps(await memory.people.export(ada.id), sort_keys=True)


async def exported(memory: Memory) -> str:
    return json.dumps(await memory.people.export((await memory.people.get_or_create("ada")).id), sort_keys=True)


async def test_a_backup_comes_back(memory: Memory, database: Database, tmp_path: Path) -> None:
    before = await filled(memory)
    copy = await backup(database, tmp_path / "copy")
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600 and copy.revision == upgrade.head()
    await say(memory, "later")
    await memory.people.forget((await memory.people.get_or_create("ada")).id)
    await say(memory, "another person's", person="bob")
    with pytest.raises(StoreError, match="is not empty; add --force"):
        await restore(database, tmp_path / "copy")
    await restore(database, tmp_path / "copy", force=True)
    assert await exported(memory) == before
    assert [person.names[0].name for person in await memory.people.listed()] == ["ada"]
    assert [message.attachments for message in await memory.history.messages("c1")][0] == (PICTURE,)
    assert (await check(database)).problems == ()
    assert await asyncio.to_thread(lambda: list(tmp_path.glob("*.part"))) == []


@pytest.mark.parametrize("way", ["sqlite-postgresql", "postgresql-sqlite"])
async def test_a_backup_goes_into_the_other_database(way: str, tmp_path: Path) -> None:
    with postgres_server.database() as dsn:
        urls = [f"sqlite+aiosqlite:///{tmp_path / 'a.db'}", dsn]
        source, target = [Memory(url) for url in (urls if way.startswith("sqlite") else urls[::-1])]
        await source.open()
        before = await filled(source)
        await backup(source.database, tmp_path / "copy")
        await restore(target.database, tmp_path / "copy")
        assert await exported(target) == before
        assert await say(target, "and it goes on")
        await source.aclose()
        await target.aclose()


async def test_a_backup_while_writing_is_of_one_moment(memory: Memory, database: Database, tmp_path: Path) -> None:
    done = asyncio.Event()
    begun = asyncio.Barrier(4)

    async def write(number: int) -> None:
        for turn in range(1000):
            if turn == 1:
                await begun.wait()
            await memory.turns.begin(Inbound(f"{turn}", f"c{number}", person=f"p{number}"))
            if done.is_set():
                return

    writers = [asyncio.create_task(write(number)) for number in range(3)]
    await begun.wait()
    for number in range(3):
        await backup(database, tmp_path / f"copy{number}")
    done.set()
    await asyncio.gather(*writers)
    for number in range(3):
        await restore(database, tmp_path / f"copy{number}", force=True)
        assert (await check(database)).problems == ()
        for conversation in range(3):
            found = [message.text for message in await memory.history.messages(f"c{conversation}", limit=10_000)]
            assert found == [str(turn) for turn in range(len(found))] and found


async def test_what_is_no_backup_is_refused(memory: Memory, database: Database, tmp_path: Path) -> None:
    before = await filled(memory)
    good = tmp_path / "good"
    await backup(database, good)
    with pytest.raises(StoreError, match="exists already"):
        await backup(database, good)
    (tmp_path / "text").write_text("Dear diary")
    (tmp_path / "cut").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (tmp_path / "zip").write_bytes(gzip.compress(b'{"a": 1}\n'))
    (tmp_path / "wild").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    for name in ("text", "cut", "zip", "wild", "none"):
        with pytest.raises(StoreError, match=r"damaged|not a backup|cannot be read|newer"):
            await restore(database, tmp_path / name, force=True)
    assert await exported(memory) == before


async def test_a_backup_of_a_newer_program_is_refused(memory: Memory, database: Database, tmp_path: Path) -> None:
    newer = tmp_path / "newer.db"
    with closing(sqlite3.connect(newer)) as raw, raw:
        raw.execute("CREATE TABLE alembic_version (version_num TEXT)")
        raw.execute("INSERT INTO alembic_version VALUES ('9999')")
    with pytest.raises(StoreError, match=r"newer Qwendesk \(revision 9999\); upgrade"):
        await restore(database, newer, force=True)


async def test_nothing_to_back_up(empty_url: str, tmp_path: Path) -> None:
    database = Database(empty_url, 5)
    assert (await revision(database)).revision is None
    with pytest.raises(StoreError, match="no tables yet"):
        await backup(database, tmp_path / "copy")
    assert "run 'qwendesk db upgrade'" in (await check(database)).problems[0]
    assert not (tmp_path / "home").exists(), "looking makes no file"
    await database.aclose()


async def test_a_check_finds_what_is_wrong(memory: Memory, database: Database) -> None:
    assert (await check(database)).problems == ()
    async with database.write() as connection:
        await connection.execute(text("DROP TABLE audit"))
    assert "differ from their description" in (await check(database)).problems[0]


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[40_000:60_000] = b"\xff" * 20_000
    file.write_bytes(content)


async def test_a_check_finds_a_damaged_file(file: Path, memory: Memory) -> None:
    if memory.scope.dialect != "sqlite":
        return
    for number in range(50):
        await say(memory, "x" * 2000, conversation=f"c{number}")
    await memory.aclose()
    await asyncio.to_thread(damage, file)
    database = Database(f"sqlite+aiosqlite:///{file}", 5)
    assert (await check(database)).problems
    await database.aclose()


async def test_retention(memory: Memory, database: Database) -> None:
    await filled(memory)
    unread = await memory.summaries.pending("c1")
    assert unread and await memory.summaries.add(unread, 1, "they said hello", "m")
    await say(memory, "old elsewhere", conversation="c2")
    split = datetime.now(UTC)
    await say(memory, "new")
    scoped = TenantDatabase(database, "default")
    would = await purge(scoped, split, dry_run=True)
    assert len(await memory.history.messages("c1")) == 4
    assert await purge(scoped, split) == would
    removed = {table: count for table, count in would.items() if count}
    assert removed == {"conversation_summary": 1, "message": 4, "conversation": 1, "fact": 1}
    await database.vacuum(always=True)
    assert [message.text for message in await memory.history.messages("c1")] == ["new", "I see."]
    assert [info.key for info in await memory.history.conversations()] == ["c1"]
    ada = await memory.people.get_or_create("ada")
    assert [fact.value for fact in await memory.facts.past(ada.id, "home")] == ["Rome"]
    assert (await memory.turns.context(Inbound("hi", "c1", person="ada"))).summary is None
    assert (await check(database)).problems == ()


async def test_retention_is_of_one_tenant(memory: Memory, database: Database) -> None:
    other = memory.of_tenant("acme")
    await other.open()
    await say(memory, "mine")
    await say(other, "theirs")
    assert await tenants(database) == ["acme", "default"]
    await purge(TenantDatabase(database, "acme"), datetime.now(UTC) + timedelta(days=1))
    assert await other.history.conversations() == [] and len(await memory.history.conversations()) == 1


async def with_documents(memory: Memory) -> KnowledgeBase:
    base = KnowledgeBase(memory.database, WordVectors())
    await say(memory, "hello")
    await base.add_bytes("ours.txt", b"the secret of all")
    await base.add_bytes("mine.txt", b"the secret of ada", await base.scope_of("python", "", "ada", "c1"))
    return base


async def found(base: KnowledgeBase) -> list[list[str]]:
    scope = await base.scope_of("python", "", "ada", "c1")
    modes: tuple[SearchMode, ...] = ("words", "vectors", "hybrid")
    return [sorted(p.text for p in await base.search("secret", scope, mode=mode)) for mode in modes]


@pytest.mark.parametrize("way", ["sqlite-sqlite", "sqlite-postgresql", "postgresql-sqlite", "postgresql-postgresql"])
async def test_documents_come_back(way: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls = [
            stack.enter_context(postgres_server.database())
            if kind == "postgresql"
            else f"sqlite+aiosqlite:///{tmp_path / str(number)}.db"
            for number, kind in enumerate(way.split("-"))
        ]
        source, target = map(Memory, urls)
        await source.open()
        base = await with_documents(source)
        before = await found(base)
        assert before == [["the secret of ada", "the secret of all"]] * 3
        await backup(source.database, tmp_path / "copy")
        await target.open()
        other = await with_documents(target)
        await other.add_bytes("gone.txt", b"the secret of nobody")
        assert len((await found(other))[0]) == 3
        await restore(target.database, tmp_path / "copy", force=True)
        assert await found(other) == before, "whoever was searching meanwhile sees what was restored"
        assert (await check(target.database)).problems == ()
        assert (await other.add_bytes("new.txt", b"the secret of tomorrow")).status == "added"
        assert len((await found(other))[0]) == 3
        for one in (base, other, source, target):
            await one.aclose()


def test_a_portable_backup_knows_the_documents() -> None:
    """The command line loads nothing of the knowledge base by itself."""
    tables = "{'kb_embedding', 'outbound', 'fact'}"
    code = f"from qwendesk.memory.maintenance import dump as p; print({tables} <= set(p.Base.metadata.tables))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("DELETE FROM kb_chunk WHERE ordinal = 0", "2 documents without all of their passages"),
        ("UPDATE kb_chunk SET scope = ''", "1 passages are for others than their document"),
        ("UPDATE kb_embedding SET scope = 'person=eve'", "2 vectors are for others than their passage"),
        ("UPDATE kb_embedding SET dimension = 3", "2 vectors are not of the size they say"),
    ],
)
async def test_a_check_looks_at_documents(memory: Memory, damage: str, problem: str) -> None:
    base = await with_documents(memory)
    assert (await check(memory.database)).problems == ()
    async with memory.database.write() as connection:
        await connection.execute(text(damage))
    assert any(problem in line for line in (await check(memory.database)).problems)
    await base.aclose()


async def test_a_check_finds_an_index_that_is_not_of_its_table(make: Callable[..., Memory]) -> None:
    memory = make()
    await memory.open()
    base = await with_documents(memory)
    async with memory.database.write() as connection:
        await connection.execute(text("UPDATE kb_chunk SET terms = 'other words'"))
    assert "full-text index" in (await check(memory.database)).problems[0]
    await base.aclose()
    await memory.aclose()


async def test_documents_go_with_old_conversations(memory: Memory, database: Database) -> None:
    base = await with_documents(memory)
    gone = await purge(TenantDatabase(database, "default"), datetime.now(UTC) + timedelta(days=1))
    assert gone["kb_document"] == 1
    assert [document.title for document in await base.documents()] == ["ours.txt"]
    assert await found(base) == [["the secret of all"]] * 3
    await base.aclose()
