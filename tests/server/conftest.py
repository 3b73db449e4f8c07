"""A migrated database for the operators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwendesk.desk.operators.operators import Operators
from qwendesk.memory.memory import Memory
from tests.databases import put_migrated
from tests.server.browser import operators_in


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    put_migrated(tmp_path / "qwendesk.db")
    opened = Memory(f"sqlite+aiosqlite:///{tmp_path / 'qwendesk.db'}")
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
def operators(memory: Memory) -> Operators:
    return operators_in(memory)
