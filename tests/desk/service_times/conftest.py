"""The counter of the tests of tickets: on SQLite, and where transactions meet, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.databases import put_migrated
from tests.desk.tickets.conftest import Counter, _made
from tests.desk.tickets.conftest import counter as counter_on_both

__all__ = ["counter_on_both"]


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    put_migrated(tmp_path / "qwendesk.db")
    async for made in _made(f"sqlite+aiosqlite:///{tmp_path / 'qwendesk.db'}"):
        yield made
