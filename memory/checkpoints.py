"""LangGraph's own checkpointers: the state of one turn that is under way, never the conversation itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from qwendesk.errors import ConfigError
from qwendesk.memory.database import Database

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

_CONNECTIONS = 4
SUFFIX = ".turns"
"""Added to the name of the SQLite file: checkpoints are many small writes that would hold up the conversations'."""


@asynccontextmanager
async def checkpointer(url: str) -> AsyncIterator[BaseCheckpointSaver[str]]:
    """Give the checkpointer that goes with a database, its tables made.

    Use one thread for each turn and delete it when the turn is over: a finished turn that is run again on its thread
    would add its answer once more.

    Raises:
        ConfigError: its package is not installed.
    """
    database = Database(url, 5.0)
    await database.aclose()
    async with AsyncExitStack() as stack:
        try:
            if database.is_sqlite:
                saver = await _on_sqlite(stack, f"{database.file}{SUFFIX}" if database.file else ":memory:")
            else:
                saver = await _on_postgresql(stack, url)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"The package of {error.name!r} is not installed: pip install 'qwendesk[durable]'."
            ) from error
        yield saver


async def _on_sqlite(stack: AsyncExitStack, file: str) -> BaseCheckpointSaver[str]:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(file))
    await saver.setup()
    return saver


async def _on_postgresql(stack: AsyncExitStack, url: str) -> BaseCheckpointSaver[str]:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool

    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    pool = AsyncConnectionPool(dsn, min_size=1, max_size=_CONNECTIONS, open=False, kwargs=options)
    # the pool's rows are dictionaries by ``row_factory``, which its type does not tell
    saver = AsyncPostgresSaver(await stack.enter_async_context(pool))  # type: ignore[arg-type]
    await saver.setup()
    return saver
