"""Progress of downloads on stderr: a bar on a terminal, otherwise occasional lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from qwendesk.models.sources.base import PullProgress

LINE_EVERY = 5.0
"""Seconds between two lines without a terminal."""


@contextmanager
def pull_progress() -> Iterator[Callable[[PullProgress], None]]:
    """Yield a function that shows download progress."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        yield _Bar(bars)


@contextmanager
def engine_progress() -> Iterator[Callable[[str, float | None], None]]:
    """Yield a function that shows an engine's progress."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Told(console)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        task = bars.add_task("", total=None)

        def show(text: str, fraction: float | None) -> None:
            total = None if fraction is None else 1.0
            bars.update(task, description=text, completed=fraction or 0.0, total=total)

        yield show


class _Told:
    """Writes a line when a task starts and occasionally while it runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = -LINE_EVERY
        self._line = ""

    def __call__(self, text: str, fraction: float | None) -> None:
        is_due = fraction in (None, 1.0) or time.monotonic() - self._last >= LINE_EVERY
        if text == self._line or not is_due:
            return
        self._last, self._line = time.monotonic(), text
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Bar:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._source = ""
        self._task = bars.add_task("looking for sources", total=None)

    def __call__(self, progress: PullProgress) -> None:
        if progress.note:
            self._bars.console.print(progress.note, markup=False, highlight=False)
        elif progress.source != self._source:
            # a new task, so that bytes downloaded earlier do not count as speed
            self._bars.remove_task(self._task)
            self._source = progress.source
            self._task = self._bars.add_task(
                f"{progress.model} from {progress.source}", total=progress.total, completed=progress.done
            )
        else:
            self._bars.update(self._task, completed=progress.done, total=progress.total)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = -LINE_EVERY
        self._line = ""

    def __call__(self, progress: PullProgress) -> None:
        is_end = progress.total is not None and progress.done >= progress.total
        if progress.note or is_end or time.monotonic() - self._last >= LINE_EVERY:
            self._show(progress.note or f"{progress.model} from {progress.source}: {_amount(progress)}")

    def _show(self, line: str) -> None:
        self._last = time.monotonic()
        if line != self._line:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._line = line


def _amount(progress: PullProgress) -> str:
    if not progress.total:
        return f"{progress.done / 1e6:,.1f} MB"
    share = progress.done / progress.total
    return f"{progress.done / 1e6:,.1f} of {progress.total / 1e6:,.1f} MB ({share:.0%})"
