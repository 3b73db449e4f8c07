"""Past turns, read page by page, with a bar where it takes long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from qwendesk.memory.base import Memory
from qwendesk.memory.feedback.base import PastTurn

_PAGE = 500
_SHORT = 1000
"""Turns up to which no bar is needed."""


async def past_turns(memory: Memory, since: datetime | None, limit: int) -> AsyncIterator[list[PastTurn]]:
    """Yield pages of turns, newest first; a bar on stderr shows how far it is."""
    total = min(await memory.count_turns(since=since), limit)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=total <= _SHORT or not console.is_terminal) as bar:
        task, last = bar.add_task("turns", total=total), None
        while page := await memory.turns(since=since, before=last, limit=min(_PAGE, total)):
            page = page[:total]
            yield page
            bar.advance(task, len(page))
            total -= len(page)
            last = page[-1].id
            if total <= 0:
                return
