"""Copies of one migrated SQLite file: a test that needs tables but not their making saves the migrations."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from qwendesk.memory.memory import Memory


def put_migrated(file: Path) -> None:
    """Put an empty database with all tables at a path, unless there is a file already."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(_migrated(), file)


@cache
def _migrated() -> Path:
    """Migrate a database once a process, in a thread since the caller may have a running event loop."""
    folder = tempfile.TemporaryDirectory(prefix="qwendesk-migrated-")
    _folders.append(folder)
    file = Path(folder.name) / "qwendesk.db"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _migrate(file)).result()
    return file


async def _migrate(file: Path) -> None:
    memory = Memory(f"sqlite+aiosqlite:///{file}")
    await memory.open()
    await memory.aclose()


_folders: list[tempfile.TemporaryDirectory[str]] = []
"""Removed at the end of the process."""
