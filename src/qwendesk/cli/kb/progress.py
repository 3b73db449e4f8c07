"""Progress of reading documents: a bar on stderr if it is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from qwendesk.knowledge.base import IngestResult
from qwendesk.printable import one_line

_MAX_NAME_CHARS = 40


class IngestionProgress:
    """Two progress bars: documents, and passages of the current document."""

    def __init__(self, bars: Progress, total: int) -> None:
        self._bars = bars
        self._documents: TaskID = bars.add_task("documents", total=total, visible=total > 1)
        self._passages: TaskID = bars.add_task("", total=None)

    def step(self, source: str) -> Callable[[int, int], None]:
        """Return a callback for the progress of a source."""
        self.begin(source)
        return self.update

    def begin(self, source: str) -> None:
        """Start a source."""
        name = source if len(source) <= _MAX_NAME_CHARS else "…" + source[1 - _MAX_NAME_CHARS :]
        shown = escape(one_line(name))
        self._bars.reset(self._passages, description=shown, total=None)

    def update(self, done: int, total: int) -> None:
        """Update the progress of the source."""
        self._bars.update(self._passages, completed=done, total=max(total, 1))

    def done(self, outcome: IngestResult) -> None:
        """Count a document."""
        self._bars.advance(self._documents)


@contextmanager
def ingestion_progress(total: int) -> Iterator[IngestionProgress]:
    """Show the progress bars while documents are read."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        yield IngestionProgress(bars, total)
