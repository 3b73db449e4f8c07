"""Units of work: what is read agrees, what fails is undone, and a cancelled caller leaves no lock behind."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import bindparam, func, insert, select, text, update

from qwendesk.errors import StoreError
from qwendesk.memory.database import Database
from qwendesk.memory.tables.conversations import Tenant
from tests.databases import another_file_in_place

COUNT = select(func.count()).select_from(Tenant)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    made = Database(url, 5)
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture
async def on_sqlite(file: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite+aiosqlite:///{file}", 30)
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture
def other(on_sqlite: Database, file: Path) -> Iterator[sqlite3.Connection]:
    """Give another program's connection, inside a transaction that writes."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


async def add(database: Database, id_: str) -> None:
    async with database.write() as connection:
        await connection.execute(insert(Tenant), {"id": id_, "name": id_})


async def count(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(COUNT)).scalar_one())


async def test_statements_of_one_read_agree(database: Database) -> None:
    async with database.read() as connection:
        before = (await connection.execute(COUNT)).scalar_one()
        await add(database, "acme")
        assert (await connection.execute(COUNT)).scalar_one() == before
    assert await count(database) == before + 1


async def test_what_is_not_committed_is_not_read(database: Database) -> None:
    before = await count(database)
    async with database.write() as connection:
        await connection.execute(insert(Tenant), {"id": "acme", "name": "acme"})
        assert await count(database) == before
    assert await count(database) == before + 1


@pytest.mark.parametrize("wrong", [ValueError("no"), asyncio.CancelledError()])
async def test_what_breaks_off_is_undone(database: Database, wrong: BaseException) -> None:
    before = await count(database)
    with pytest.raises(type(wrong)):
        async with database.write() as connection:
            await connection.execute(insert(Tenant), {"id": "acme", "name": "acme"})
            raise wrong
    assert await count(database) == before
    await add(database, "acme")
    assert await count(database) == before + 1


async def test_a_broken_rule_is_told_and_quotes_nobody(database: Database) -> None:
    await add(database, "a secret")
    with pytest.raises(StoreError, match="(?i)unique constraint") as raised:
        await add(database, "a secret")
    assert database.name in str(raised.value)
    assert "a secret" not in str(raised.value)
    await add(database, "other")


async def test_a_change_tells_how_many_rows_it_changed(database: Database) -> None:
    await add(database, "acme")
    change = update(Tenant).where(Tenant.id == bindparam("of_id")).values(name="Acme")
    async with database.write() as connection:
        assert [(await connection.execute(change, {"of_id": id_})).rowcount for id_ in ("acme", "none")] == [1, 0]


async def test_writers_come_in_turn(database: Database) -> None:
    before = await count(database)
    await asyncio.gather(*(add(database, f"tenant {number}") for number in range(40)))
    assert await count(database) == before + 40


async def test_who_is_cancelled_while_waiting_for_a_writer_holds_nothing(on_sqlite: Database) -> None:
    async with on_sqlite.write():
        waiting = [asyncio.create_task(add(on_sqlite, f"tenant {number}")) for number in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
    assert [type(one) for one in await asyncio.gather(*waiting, return_exceptions=True)] == [
        type(None),
        asyncio.CancelledError,
        type(None),
    ]
    await add(on_sqlite, "later")


async def test_shielded_work_is_done_although_its_caller_is_cancelled(database: Database) -> None:
    before, begun = await count(database), asyncio.Event()

    async def work() -> None:
        async with database.write() as connection:
            begun.set()
            await connection.execute(insert(Tenant), {"id": "acme", "name": "acme"})

    caller = asyncio.create_task(database.shield(work()))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await database.aclose()  # waits for it
    assert await count(database) == before + 1


async def test_waiting_for_another_program_leaves_the_loop_free(on_sqlite: Database, other: sqlite3.Connection) -> None:
    before = await count(on_sqlite)
    adding = asyncio.create_task(add(on_sqlite, "acme"))
    for _ in range(20):
        await asyncio.sleep(0.005)  # the loop turns while the transaction cannot begin
    assert not adding.done()
    assert await count(on_sqlite) == before
    other.execute("COMMIT")
    await adding
    assert await count(on_sqlite) == before + 1


async def test_who_is_cancelled_while_another_program_writes_holds_nothing(
    on_sqlite: Database, other: sqlite3.Connection
) -> None:
    before = await count(on_sqlite)
    adding = asyncio.create_task(add(on_sqlite, "acme"))
    await asyncio.sleep(0.1)
    adding.cancel()
    await asyncio.sleep(0.1)
    other.execute("COMMIT")
    with pytest.raises(asyncio.CancelledError):
        await adding
    other.execute("PRAGMA busy_timeout=30000")
    other.execute("BEGIN IMMEDIATE")  # nobody else stays inside a transaction
    other.execute("COMMIT")
    assert await count(on_sqlite) == before
    await add(on_sqlite, "later")
    assert await count(on_sqlite) == before + 1


async def test_closing_waits_for_a_writer(on_sqlite: Database, other: sqlite3.Connection) -> None:
    before = await count(on_sqlite)
    adding = asyncio.create_task(add(on_sqlite, "acme"))
    await asyncio.sleep(0.1)
    ending = asyncio.create_task(on_sqlite.aclose())
    await asyncio.sleep(0.1)
    assert not ending.done()
    other.execute("COMMIT")
    await asyncio.gather(adding, ending)
    assert await count(on_sqlite) == before + 1


async def test_the_journal_does_not_grow_for_ever(on_sqlite: Database, file: Path) -> None:
    journal, sizes = file.with_name(f"{file.name}-wal"), []
    change = update(Tenant).values(name=bindparam("text"))
    for number in range(1500):
        async with on_sqlite.write() as connection:
            await connection.execute(change, {"text": f"{number}" * 5000})
        sizes.append(journal.stat().st_size)
    assert max(sizes) <= 8 * 2**20, "SQLite moves it into the file every 1,000 pages of 4 KiB"


async def test_a_cancelled_reader_does_not_take_the_journal_for_removed(on_sqlite: Database) -> None:
    await add(on_sqlite, "one")
    for _ in range(3):
        reading = asyncio.create_task(count(on_sqlite))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await on_sqlite.engine.dispose()  # the last connection takes the journal with it
        await add(on_sqlite, f"after {_}")
    await on_sqlite.check()


async def test_closed_it_opens_anew(database: Database) -> None:
    await add(database, "acme")
    known = await count(database)
    await database.aclose()
    assert await count(database) == known


async def test_connections_to_another_file_in_its_place_are_refused(on_sqlite: Database, file: Path) -> None:
    before = await count(on_sqlite)
    with another_file_in_place(file):
        # all at once, so that the pool opens new connections
        results = await asyncio.gather(*(count(on_sqlite) for _ in range(8)), return_exceptions=True)
        assert any(isinstance(result, StoreError) for result in results)
    assert await asyncio.gather(*(count(on_sqlite) for _ in range(8))) == [before] * 8
    await add(on_sqlite, "acme")
    assert await count(on_sqlite) == before + 1


async def test_text_that_is_waiting_to_be_vacuumed_is_gone_afterwards(on_sqlite: Database, file: Path) -> None:
    await add(on_sqlite, "a word that nobody else writes")
    async with on_sqlite.write() as connection:
        await connection.execute(text("DELETE FROM tenant WHERE id LIKE 'a word%'"))
    await on_sqlite.vacuum()
    for part in file.parent.iterdir():
        assert b"a word that nobody" not in await asyncio.to_thread(part.read_bytes), part
