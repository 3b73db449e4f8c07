"""A database of its own for each test of operators: a SQLite file, or one on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qwendesk.memory.memory import Memory
from tests import postgres_server
from tests.databases import put_migrated


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give both databases in turn."""
    if request.param == "sqlite":
        put_migrated(tmp_path / "qwendesk.db")
        yield f"sqlite+aiosqlite:///{tmp_path / 'qwendesk.db'}"
        return
    with postgres_server.database() as url:
        yield url


@pytest.fixture
async def memory(url: str) -> AsyncIterator[Memory]:
    opened = Memory(url)
    await opened.open()
    yield opened
    await opened.aclose()
