"""A database file of its own for each test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qwendesk.memory.sql import SqlMemory


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "data" / "qwendesk.db"


@pytest.fixture
def make(file: Path) -> Callable[..., SqlMemory]:
    return lambda **options: SqlMemory(f"sqlite+aiosqlite:///{file}", **options)
