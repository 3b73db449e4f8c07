"""A migrated database for the operators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwendesk.memory.memory import Memory
from tests.databases import put_migrated


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    put_migrated(tmp_path / "qwendesk.db")
    opened = Memory(f"sqlite+aiosqlite:///{tmp_path / 'qwendesk.db'}")
    await opened.open()
    yield opened
    await opened.aclose()
