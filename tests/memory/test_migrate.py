"""Migrations create the described tables; their SQL can be written out."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from qwendesk.memory.database import Database
from qwendesk.memory.migrations import upgrade
from qwendesk.memory.tables.conversations import Base

FULL_TEXT = ("kb_chunk_fts", "kb_chunk_vocab")
"""Beginnings of the names of SQLite's full-text tables."""


@pytest.fixture
async def engine(empty_url: str, file: Path) -> AsyncIterator[AsyncEngine]:
    file.parent.mkdir(parents=True)
    database = Database(empty_url, 5)
    yield database.engine
    await database.aclose()


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def indexes(connection: Connection) -> set[str | None]:
    found = [index for table in Base.metadata.tables for index in inspect(connection).get_indexes(table)]
    return {index["name"] for index in found if not index.get("duplicates_constraint")}


async def test_an_empty_database_has_no_revision_and_then_the_head(engine: AsyncEngine) -> None:
    assert await upgrade.current(engine) is None
    await upgrade.upgrade(engine)
    assert await upgrade.current(engine) == upgrade.head()
    await upgrade.upgrade(engine)
    assert await upgrade.current(engine) == upgrade.head()


def test_files_are_named_after_their_revisions() -> None:
    scripts = ScriptDirectory.from_config(upgrade.config())
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert list(upgrade.revisions()) == sorted(revisions) == revisions[::-1]
    assert upgrade.head() == scripts.get_current_head()


async def test_the_migrations_lead_to_the_described_tables(engine: AsyncEngine) -> None:
    await upgrade.upgrade(engine)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.check(upgrade.config(sync)))
        found = {name for name in await connection.run_sync(tables) if not name.startswith(FULL_TEXT)}
        assert found == {*Base.metadata.tables, "alembic_version"}
        described = {index.name for table in Base.metadata.tables.values() for index in table.indexes}
        assert await connection.run_sync(indexes) - {"ix_kb_chunk_tsv"} == described


async def test_tables_of_libraries_are_left_alone(engine: AsyncEngine) -> None:
    await upgrade.upgrade(engine)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE checkpoints (id TEXT)")
        await connection.run_sync(lambda sync: command.check(upgrade.config(sync)))


async def test_down_and_up_again(engine: AsyncEngine) -> None:
    await upgrade.upgrade(engine)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(upgrade.config(sync), "base"))
        assert await connection.run_sync(tables) == {"alembic_version"}
    await upgrade.upgrade(engine)
    assert await upgrade.current(engine) == upgrade.head()


async def test_a_broken_upgrade_leaves_nothing_behind(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE turn (id TEXT)")
    with pytest.raises(Exception, match=r"(table|relation) \"?turn\"? already exists"):
        await upgrade.upgrade(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(tables) == {"turn"}


@pytest.mark.parametrize(("url", "json"), [("sqlite://", "settings JSON"), ("postgresql+psycopg://", "settings JSONB")])
def test_the_sql_can_be_written_out(url: str, json: str) -> None:
    config = upgrade.config(url=url)
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)
    written = config.output_buffer.getvalue()
    assert "CREATE TABLE conversation" in written
    assert json in written
    assert f"SET version_num='{upgrade.head()}'" in written
