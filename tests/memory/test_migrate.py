"""Migrations lead to the tables the code describes, and say so offline as well."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from qwendesk.memory import migrate
from qwendesk.memory.database import Database
from qwendesk.memory.tables import Base

FULL_TEXT = ("kb_chunk_fts", "kb_chunk_vocab")
"""What SQLite keeps of its full-text index in tables of its own."""


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'qwendesk.db'}", 5)
    yield database.engine
    await database.aclose()


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def indexes(connection: Connection) -> set[str | None]:
    return {index["name"] for table in Base.metadata.tables for index in inspect(connection).get_indexes(table)}


async def test_an_empty_database_has_no_revision_and_then_the_head(engine: AsyncEngine) -> None:
    assert await migrate.current(engine) is None
    await migrate.upgrade(engine)
    assert await migrate.current(engine) == migrate.head()
    await migrate.upgrade(engine)
    assert await migrate.current(engine) == migrate.head()


def test_the_files_names_give_alembics_own_history() -> None:
    scripts = ScriptDirectory.from_config(migrate.config())
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert list(migrate.known()) == sorted(revisions) == revisions[::-1]
    assert migrate.head() == scripts.get_current_head()


async def test_the_migrations_lead_to_the_described_tables(engine: AsyncEngine) -> None:
    await migrate.upgrade(engine)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.check(migrate.config(sync)))
        found = {name for name in await connection.run_sync(tables) if not name.startswith(FULL_TEXT)}
        assert found == {*Base.metadata.tables, "alembic_version"}
        described = {index.name for table in Base.metadata.tables.values() for index in table.indexes}
        assert await connection.run_sync(indexes) - {"ix_kb_chunk_tsv"} == described


async def test_tables_of_libraries_are_left_alone(engine: AsyncEngine) -> None:
    await migrate.upgrade(engine)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE checkpoints (id TEXT)")
        await connection.run_sync(lambda sync: command.check(migrate.config(sync)))


async def test_down_and_up_again(engine: AsyncEngine) -> None:
    await migrate.upgrade(engine)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(migrate.config(sync), "base"))
        assert await connection.run_sync(tables) == {"alembic_version"}
    await migrate.upgrade(engine)
    assert await migrate.current(engine) == migrate.head()


async def test_a_broken_upgrade_leaves_nothing_behind(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE turn (id TEXT)")
    with pytest.raises(Exception, match="table turn already exists"):
        await migrate.upgrade(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(tables) == {"turn"}


@pytest.mark.parametrize(("url", "json"), [("sqlite://", "settings JSON"), ("postgresql+psycopg://", "settings JSONB")])
def test_the_sql_can_be_written_out(url: str, json: str) -> None:
    config = migrate.config(url=url)
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)
    written = config.output_buffer.getvalue()
    assert "CREATE TABLE conversation" in written
    assert json in written
    assert f"'{migrate.head()}'" in written.split("alembic_version")[-2]
