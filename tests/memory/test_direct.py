"""SQLite on the event loop: what may wait does not stop the loop, and whoever leaves in between leaves it whole."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from qwendesk.errors import StoreError
from qwendesk.memory import direct
from qwendesk.memory.database import Database
from qwendesk.memory.opening import prepare
from qwendesk.memory.prepared import Prepared
from qwendesk.memory.tables import Tenant

COUNT = text("SELECT count(*) FROM tenant")
ADD = text("INSERT INTO tenant (id, name) VALUES (:id, :id)")


@pytest.fixture
async def database(file: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite+aiosqlite:///{file}", 5)
    await prepare(made)
    yield made
    await made.aclose()


@pytest.fixture
def other(database: Database, file: Path) -> Iterator[sqlite3.Connection]:
    """Give another program's connection, inside a transaction that writes."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


async def add(database: Database, id_: str) -> None:
    async with database.write_briefly() as connection:
        await connection.execute(ADD, {"id": id_})


async def count(database: Database) -> int:
    async with database.read_briefly() as connection:
        return int((await connection.execute(COUNT)).scalar_one())


async def test_waiting_for_another_writer_leaves_the_loop_free(database: Database, other: sqlite3.Connection) -> None:
    before = await count(database)
    adding = asyncio.create_task(add(database, "acme"))
    for _ in range(20):
        await asyncio.sleep(0.005)  # the loop turns while the transaction cannot begin
    assert not adding.done()
    assert await count(database) == before
    other.execute("COMMIT")
    await adding
    assert await count(database) == before + 1


@pytest.mark.parametrize("times", [1, 3])
async def test_who_is_cancelled_while_waiting_holds_nothing(
    database: Database, other: sqlite3.Connection, times: int
) -> None:
    before = await count(database)
    adding = asyncio.create_task(add(database, "acme"))
    for _ in range(times):
        await asyncio.sleep(0.05)
        adding.cancel()
    await asyncio.sleep(0.05)
    assert not adding.done(), "the connection is not free yet"
    other.execute("COMMIT")
    with pytest.raises(asyncio.CancelledError):
        await adding
    other.execute("BEGIN IMMEDIATE")  # nobody else is inside a transaction
    other.execute("COMMIT")
    assert await count(database) == before
    await add(database, "later")
    assert await count(database) == before + 1


@pytest.mark.parametrize("wrong", [ValueError("no"), asyncio.CancelledError()])
async def test_what_breaks_off_is_undone(database: Database, wrong: BaseException) -> None:
    before = await count(database)
    with pytest.raises(type(wrong)):
        async with database.write_briefly() as connection:
            await connection.execute(ADD, {"id": "acme"})
            raise wrong
    assert await count(database) == before
    await add(database, "acme")
    assert await count(database) == before + 1


async def test_a_statement_that_fails_is_told_with_the_databases_name(database: Database) -> None:
    await add(database, "acme")
    with pytest.raises(StoreError, match="qwendesk.db' failed: UNIQUE constraint"):
        await add(database, "acme")
    await add(database, "other")


async def test_what_is_not_committed_is_not_read(database: Database) -> None:
    before = await count(database)
    async with database.write_briefly() as connection:
        await connection.execute(ADD, {"id": "acme"})
        assert await count(database) == before
    assert await count(database) == before + 1


async def test_the_journal_is_moved_into_the_file(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "_MOVED_EVERY", 2)
    await add(database, "one")
    begun = await asyncio.to_thread(file.read_bytes)
    await add(database, "two")
    moved = await asyncio.to_thread(file.read_bytes)
    assert moved != begun
    await add(database, "three")
    assert await asyncio.to_thread(file.read_bytes) == moved  # it waits in the journal for the next


async def test_closing_waits_for_who_waits(database: Database, other: sqlite3.Connection) -> None:
    adding = asyncio.create_task(add(database, "acme"))
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(database.aclose())
    await asyncio.sleep(0.05)
    assert not closing.done()
    other.execute("COMMIT")
    await asyncio.gather(adding, closing)


async def test_what_is_stored_is_not_called_failed_where_the_journal_cannot_be_moved(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(direct, "_MOVED_EVERY", 1)
    await add(database, "one")
    assert database._direct
    writer = direct._driver(database._direct._writer)  # type: ignore[arg-type]
    with monkeypatch.context() as broken:
        broken.setattr(direct._Driver, "execute", lambda self, sql: full() if "checkpoint" in sql else begin(self, sql))
        await add(database, "two")
    assert database._direct._unmoved == 1
    await add(database, "three")
    assert database._direct._unmoved == 0 and not writer.in_transaction


def begin(driver: sqlite3.Connection, sql: str) -> sqlite3.Cursor:
    return sqlite3.Connection.execute(driver, sql)


async def test_rows_that_nobody_reads_hold_nothing(database: Database) -> None:
    kept = []
    both = text("INSERT INTO tenant (id, name) VALUES ('a', 'a'), ('b', 'b') RETURNING id")
    async with database.write_briefly() as connection:
        kept.append(await connection.execute(both))
    async with database.read_briefly() as connection:
        kept.append(await connection.execute(text("SELECT id FROM tenant")))
        kept[-1].fetchone()
    before = await count(database)
    await add(database, "c")
    assert await count(database) == before + 1
    assert kept[0].scalars().all() == ["a", "b"]


async def test_an_interrupt_inside_a_statement_is_survived(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    await add(database, "one")
    before = await count(database)
    for work in (lambda: add(database, "two"), lambda: count(database)):
        with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
            broken.setattr(direct._Cursor, "execute", interrupted)
            broken.setattr(direct._Driver, "execute", begin)
            await work()  # type: ignore[operator]
    await add(database, "three")
    assert await count(database) == before + 1


async def test_an_interrupt_beside_a_prepared_statement_is_survived(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = await count(database)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        async with database.write_briefly() as connection:
            await connection.execute(insert(Tenant), {"id": "one", "name": "one"})
            broken.setattr(Prepared, "run", interrupted)
            await connection.execute(insert(Tenant), {"id": "two", "name": "two"})
    await add(database, "three")
    assert await count(database) == before + 1


async def test_closed_it_opens_anew(database: Database) -> None:
    await add(database, "acme")
    known = await count(database)
    await database.aclose()
    assert await count(database) == known
