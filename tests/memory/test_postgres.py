"""Short units of work on PostgreSQL: who breaks off leaves a connection whole, and a lost one is opened anew."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import bindparam, cast, func, insert, literal, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import Float, Numeric

from qwendesk.errors import StoreError
from qwendesk.memory import postgres
from qwendesk.memory.database import Database
from qwendesk.memory.postgres import ServerConnection
from qwendesk.memory.tables import Conversation, Tenant
from tests import postgres_server
from tests.memory.test_prepared import CONVERSATION, HERE, NOW

COUNT = select(func.count()).select_from(Tenant)
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
    async with database.write_briefly() as connection:
        await connection.execute(insert(Tenant), {"id": id_, "name": id_})


async def count(database: Database) -> int:
    async with database.read_briefly() as connection:
        return int((await connection.execute(COUNT, {})).scalar_one())


async def process(database: Database) -> int:
    """Return the server's process at the other end."""
    async with database.read_briefly() as connection:
        assert isinstance(connection, ServerConnection)
        return connection.driver.info.backend_pid


async def transactions(other: psycopg.AsyncConnection[Any]) -> list[str]:
    """Return what the others' connections are doing."""
    query = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
    return [state for (state,) in await (await other.execute(query)).fetchall()]


async def test_values_are_what_sqlalchemy_gives(database: Database) -> None:
    odd = (cast(literal(1.5), Numeric(6, 2)), cast(2, Numeric(asdecimal=False)), cast(2.5, Float), func.now())
    query = select(Conversation.__table__, *odd).where(HERE)
    async with database.write_briefly() as connection:
        await connection.execute(insert(Conversation), CONVERSATION)
        ours = (await connection.execute(query, {"of_id": "c1"})).one()
        assert isinstance(connection, ServerConnection)
        theirs = (await connection._connection.execute(query, {"of_id": "c1"})).one()
    assert ours._asdict() == theirs._asdict()
    assert [type(value) for value in ours] == [type(value) for value in theirs]
    assert (ours.settings, ours.created_at) == (CONVERSATION["settings"], NOW)


async def test_what_sqlalchemy_has_to_see_is_in_the_same_transaction(database: Database) -> None:
    before = await count(database)
    with pytest.raises(ValueError, match="no"):
        async with database.write_briefly() as connection:
            await connection.execute(text("INSERT INTO tenant (id, name) VALUES ('a', 'a')"))
            await connection.execute(insert(Tenant), [{"id": "b", "name": "b"}, {"id": "c", "name": "c"}])
            await connection.execute(insert(Tenant), {"id": "d", "name": "d"})
            assert (await connection.execute(COUNT, {})).scalar_one() == before + 4
            assert await count(database) == before
            raise ValueError("no")
    assert await count(database) == before


async def test_a_change_tells_how_many_rows_it_changed(database: Database) -> None:
    await add(database, "acme")
    change = update(Tenant).where(Tenant.id == bindparam("of_id")).values(name="Acme")
    async with database.write_briefly(single=True) as connection:
        assert [(await connection.execute(change, {"of_id": id_})).rowcount for id_ in ("acme", "none")] == [1, 0]


@pytest.mark.parametrize("wrong", [ValueError("no"), asyncio.CancelledError()])
async def test_what_breaks_off_is_undone_and_the_connection_used_again(
    database: Database, wrong: BaseException
) -> None:
    before, used = await count(database), await process(database)
    with pytest.raises(type(wrong)):
        async with database.write_briefly() as connection:
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
    await add(database, "other")


async def test_who_is_cancelled_inside_a_statement_leaves_nothing_running(
    database: Database, other: psycopg.AsyncConnection[Any]
) -> None:
    async def sleep(unit: Any) -> None:
        async with unit as connection:
            await connection.execute(SLEEP, {"seconds": 60.0})

    for unit in (database.read_briefly(), database.write_briefly()):
        sleeping = asyncio.create_task(sleep(unit))
        while "active" not in await transactions(other):  # noqa: ASYNC110 - the server knows, and tells nobody
            await asyncio.sleep(0.01)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        assert set(await transactions(other)) == {"idle"}
    await add(database, "acme")


async def test_a_lost_connection_is_told_and_the_next_is_new(
    database: Database, other: psycopg.AsyncConnection[Any]
) -> None:
    async with database.read_briefly(), database.read_briefly():
        pass  # two that are kept
    kept = await process(database)
    await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")
    with pytest.raises(StoreError, match="terminating connection"):
        await count(database)
    await add(database, "acme")  # none of those that went with it is tried
    assert await process(database) != kept


async def test_one_lost_before_the_end_of_its_transaction_is_told(
    database: Database, other: psycopg.AsyncConnection[Any]
) -> None:
    before = await count(database)
    with pytest.raises(StoreError, match="terminating connection"):
        async with database.write_briefly() as connection:
            await connection.execute(insert(Tenant), {"id": "acme", "name": "acme"})
            assert isinstance(connection, ServerConnection)
            await other.execute("SELECT pg_terminate_backend(%s)", (connection.driver.info.backend_pid,))
    assert await count(database) == before


async def test_there_are_no_more_connections_than_said(
    database: Database, other: psycopg.AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_PATIENCE", 0.05)
    enough = asyncio.Event()

    async def hold() -> None:
        async with database.read_briefly() as connection:
            await connection.execute(COUNT, {})
            await enough.wait()

    holding = [asyncio.create_task(hold()) for _ in range(5)]
    while len(await transactions(other)) < 5:  # noqa: ASYNC110 - the server knows, and tells nobody
        await asyncio.sleep(0.01)
    with pytest.raises(StoreError, match="no connection was free"):
        await count(database)
    enough.set()
    await asyncio.gather(*holding)
    await count(database)


async def test_closed_it_opens_anew(database: Database, other: psycopg.AsyncConnection[Any]) -> None:
    before = await count(database)
    await database.aclose()
    assert await transactions(other) == []
    assert await count(database) == before
