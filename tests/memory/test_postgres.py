"""Short units of work on PostgreSQL: who breaks off leaves a connection whole, and a lost one is opened anew."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import (
    Float,
    Integer,
    String,
    bindparam,
    cast,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from qwendesk.errors import StoreError
from qwendesk.memory.database import Database
from qwendesk.memory.tables.conversations import Tenant
from tests import postgres_server
from tests.ports import free_port

COUNT = select(func.count()).select_from(Tenant)
MOST = 10
"""Connections to a server."""
PROCESS = select(func.pg_backend_pid())
SLEEP = select(func.pg_sleep(bindparam("seconds", type_=Float)))


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    made = Database(url, 5)
    yield made
    await made.aclose()


@pytest.fixture
async def other(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Give another program's connection."""
    plain = url.replace("postgresql+psycopg", "postgresql")
    async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as connection:
        yield connection


async def add(database: Database, id_: str) -> None:
    async with database.write() as connection:
        await connection.execute(insert(Tenant), {"id": id_, "name": id_})


async def count(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(COUNT, {})).scalar_one())


async def process(database: Database) -> int:
    """Return the server's process at the other end."""
    async with database.read() as connection:
        return int((await connection.execute(PROCESS, {})).scalar_one())


async def end(other: psycopg.AsyncConnection[Any], process: int | None = None) -> None:
    """Let the server end others' connections, or one of them."""
    ours = "datname = current_database() AND pid != pg_backend_pid()"
    chosen = "" if process is None else f" AND pid = {process}"
    await other.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}{chosen}")


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what only the server knows, and tells nobody."""
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def transactions(other: psycopg.AsyncConnection[Any]) -> list[str]:
    """Return what the others' connections are doing."""
    query = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
    return [state for (state,) in await (await other.execute(query)).fetchall()]


async def test_all_kinds_of_statements_are_in_one_transaction(database: Database) -> None:
    before = await count(database)
    with pytest.raises(ValueError, match="no"):
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO tenant (id, name) VALUES ('a', 'a')"))
            await connection.execute(insert(Tenant), [{"id": "b", "name": "b"}, {"id": "c", "name": "c"}])
            await connection.execute(insert(Tenant), {"id": "d", "name": "d"})
            assert (await connection.execute(COUNT, {})).scalar_one() == before + 4
            assert await count(database) == before
            raise ValueError("no")
    assert await count(database) == before


@pytest.mark.parametrize("wrong", [ValueError("no"), asyncio.CancelledError()])
async def test_what_breaks_off_is_undone_and_the_connection_used_again(
    database: Database, wrong: BaseException
) -> None:
    before, used = await count(database), await process(database)
    with pytest.raises(type(wrong)):
        async with database.write() as connection:
            await connection.execute(insert(Tenant), {"id": "acme", "name": "acme"})
            raise wrong
    assert (await count(database), await process(database)) == (before, used)
    await add(database, "acme")


async def test_a_broken_rule_is_told_and_quotes_nobody(database: Database) -> None:
    await add(database, "a secret")
    with pytest.raises(StoreError) as raised:
        await add(database, "a secret")
    assert isinstance(raised.value.__cause__, IntegrityError)
    assert "unique constraint" in str(raised.value)
    assert "a secret" not in str(raised.value)
    with pytest.raises(StoreError, match="InvalidTextRepresentation") as raised:
        async with database.read() as connection:
            await connection.execute(select(cast(bindparam("number", type_=String), Integer)), {"number": "a secret"})
    assert "a secret" not in str(raised.value)
    await add(database, "other")


async def test_who_is_cancelled_inside_a_statement_leaves_nothing_running(
    database: Database, other: psycopg.AsyncConnection[Any]
) -> None:
    async def sleep(unit: Any) -> None:
        async with unit as connection:
            await connection.execute(SLEEP, {"seconds": 60.0})

    async def has(state: str) -> bool:
        return state in await transactions(other)

    async def is_quiet() -> bool:
        return set(await transactions(other)) <= {"idle"}

    for unit in (database.read(), database.write()):
        sleeping = asyncio.create_task(sleep(unit))
        await until(lambda: has("active"))
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        await until(is_quiet)
    await add(database, "acme")


async def test_a_cancelled_statement_costs_no_other_connection(database: Database) -> None:
    async with database.read() as one:
        kept = (await one.execute(PROCESS, {})).scalar_one()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2), database.read() as two:
                await two.execute(text("SELECT pg_sleep(60)"))
    assert await process(database) == kept


async def test_a_lost_connection_is_told_and_the_next_is_new(
    database: Database, other: psycopg.AsyncConnection[Any]
) -> None:
    async with database.read() as one, database.read() as two:
        kept = {(await connection.execute(PROCESS, {})).scalar_one() for connection in (one, two)}
    await end(other)
    with pytest.raises(StoreError, match="terminating connection"):
        await count(database)
    await add(database, "acme")  # none of those that went with it is tried
    assert await process(database) not in kept


async def test_one_in_use_when_another_is_lost_is_not_used_again(
    database: Database, other: psycopg.AsyncConnection[Any]
) -> None:
    with pytest.raises(StoreError, match="terminating connection"):
        async with database.read() as held:
            await held.execute(COUNT, {})
            await process(database)
            await end(other)
            with pytest.raises(StoreError, match="terminating connection"):
                await count(database)
    await count(database)


async def test_one_lost_before_the_end_of_its_transaction_is_told(
    database: Database, other: psycopg.AsyncConnection[Any]
) -> None:
    before = await count(database)
    with pytest.raises(StoreError, match="terminating connection"):
        async with database.write() as connection:
            await connection.execute(insert(Tenant), {"id": "acme", "name": "acme"})
            await end(other, (await connection.execute(PROCESS, {})).scalar_one())
    assert await count(database) == before


async def test_what_is_tried_on_a_lost_connection_is_told_as_well(
    database: Database, other: psycopg.AsyncConnection[Any]
) -> None:
    with pytest.raises(StoreError, match="rolled back"):
        async with database.write() as connection:
            await end(other, (await connection.execute(PROCESS, {})).scalar_one())
            with suppress(DBAPIError):
                await connection.execute(COUNT, {})
            await connection.execute(COUNT, {})


async def test_a_server_that_is_not_there_is_told_each_time() -> None:
    away = Database(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none", 5)
    for _ in range(7):
        with pytest.raises(StoreError, match="refused"):
            await count(away)
    await away.aclose()


async def test_plans_are_made_for_a_disk_that_does_not_turn(database: Database) -> None:
    for unit in (database.read(), database.write()):
        async with unit as connection:
            assert (await connection.execute(text("SHOW random_page_cost"))).scalar_one() == "1.1"  # type: ignore[attr-defined]


async def test_who_comes_when_all_connections_are_in_use_waits_for_one(
    database: Database, other: psycopg.AsyncConnection[Any]
) -> None:
    enough = asyncio.Event()

    async def hold() -> None:
        async with database.read() as connection:
            await connection.execute(COUNT, {})
            await enough.wait()

    async def all_hold() -> bool:
        return len(await transactions(other)) == MOST

    holding = [asyncio.create_task(hold()) for _ in range(MOST)]
    await until(all_hold)
    late = asyncio.create_task(count(database))
    await asyncio.sleep(0.2)
    assert not late.done() and await all_hold()
    enough.set()
    await asyncio.gather(late, *holding)
