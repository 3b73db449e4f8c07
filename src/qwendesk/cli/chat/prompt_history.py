"""The prompt's history file, in the data folder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from qwendesk.cli.chat.console_channel import ConsoleChannel
from qwendesk.messages import Inbound

if TYPE_CHECKING:
    from qwendesk.memory.records import PersonRecord
    from qwendesk.settings import Settings

PERSON = Inbound("", "").person
"""Name of the person at the terminal."""


def history_file(settings: Settings) -> Path:
    """Return the path of the history file."""
    return settings.data_dir / "prompt_history"


def typed_here(person: PersonRecord) -> bool:
    """Return whether a person is the one at the terminal."""
    return any((one.channel, one.name) == (ConsoleChannel.manifest.name, PERSON) for one in person.names)


async def read_typed(file: Path) -> str:
    """Return the lines of the history."""
    return await asyncio.to_thread(lambda: file.read_text("utf-8", errors="replace") if file.exists() else "")


async def forget_typed(file: Path) -> bool:
    """Truncate the file, since an open prompt keeps writing to it; return whether it had content."""
    return await asyncio.to_thread(_empty, file)


def _empty(file: Path) -> bool:
    if not file.exists() or not file.stat().st_size:
        return False
    file.write_bytes(b"")
    return True
