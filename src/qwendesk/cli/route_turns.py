"""Past turns, read page by page, and a bar for what takes long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from qwendesk.memory.feedback.base import PastTurn
from qwendesk.memory.sql import Memory
from qwendesk.settings import Settings

_PAGE = 500
_STEP = 50
"""Turns after which a bar moves."""
_SHORT = 1000
"""Turns up to which no bar is needed."""


async def stored_turns(settings: Settings, since: datetime | None, limit: int) -> list[PastTurn]:
    """Return the newest turns of the settings' database, at most so many."""
    memory = Memory(settings.database, tenant=settings.tenant)
    await memory.open()
    try:
        return await _all_pages(memory, since, limit)
    finally:
        await memory.aclose()


def with_bar(turns: Sequence[PastTurn], doing: str) -> Iterator[Sequence[PastTurn]]:
    """Yield a few turns at a time; where there are many, a bar on stderr shows how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    quiet = len(turns) <= _SHORT or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(doing, total=len(turns))
        for begin in range(0, len(turns), _STEP):
            some = turns[begin : begin + _STEP]
            yield some
            bar.advance(task, len(some))


async def _all_pages(memory: Memory, since: datetime | None, limit: int) -> list[PastTurn]:
    turns: list[PastTurn] = []
    while len(turns) < limit:
        before = turns[-1].id if turns else None
        page = await memory.turns(since=since, before=before, limit=min(_PAGE, limit - len(turns)))
        if not page:
            break
        turns += page
    return turns
