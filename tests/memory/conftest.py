"""A database of its own for each test: a SQLite file, or one on a real PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from qwendesk.memory.memory import Memory
from tests import postgres_server
from tests.databases import put_migrated


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "data" / "qwendesk.db"


@pytest.fixture
def make(file: Path) -> Callable[..., Memory]:
    return lambda **options: Memory(f"sqlite+aiosqlite:///{file}", **options)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, file: Path) -> Iterator[str]:
    """Give both databases in turn."""
    if request.param == "sqlite":
        put_migrated(file)
        yield f"sqlite+aiosqlite:///{file}"
        return
    with postgres_server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, file: Path) -> Iterator[str]:
    """Give both databases in turn, without any tables."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{file}"
        return
    with postgres_server.database(empty=True) as url:
        yield url


@pytest.fixture
async def memory(url: str) -> AsyncIterator[Memory]:
    made = Memory(url)
    await made.open()
    yield made
    await made.aclose()
