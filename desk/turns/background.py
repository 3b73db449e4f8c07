"""Background jobs after turns, such as summaries and facts; they stop while a turn runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from qwendesk.errors import QwendeskError
from qwendesk.messages import Inbound
from qwendesk.models.card import SelectedModel
from qwendesk.text_caches import Forgotten

log = logging.getLogger(__name__)
_MAX_WAITING_CONVERSATIONS = 1000
"""Most scheduled conversations; the oldest one is dropped and scheduled again by its next turn."""


@dataclass(frozen=True, slots=True)
class FinishedTurn:
    """A finished turn."""

    inbound: Inbound
    choice: SelectedModel | None
    tokens: int
    """Estimated tokens of its history."""
    messages: int
    """Messages of its history."""


Job = Callable[[FinishedTurn], Awaitable[None]]


class BackgroundJobs:
    """Runs jobs after turns, one at a time.

    Args:
        jobs: run for each conversation after a turn.
        idle_seconds: time without a turn before a job starts.
        yields_to_turns: whether a turn cancels a running job, which is repeated later: a model on this machine serves
            only one of them well.
    """

    def __init__(self, jobs: Sequence[Job] = (), *, idle_seconds: float = 2.0, yields_to_turns: bool = True) -> None:
        self._jobs = jobs
        self.idle_seconds = idle_seconds
        self._yields_to_turns = yields_to_turns
        self._turns = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._scheduled: dict[tuple[str, str], FinishedTurn] = {}
        self._working: asyncio.Task[None] | None = None
        self._job: asyncio.Task[None] | None = None
        self._current: FinishedTurn | None = None
        """The turn that the running job is for."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Mark a turn as running while the context is entered."""
        self._turns += 1
        self._quiet.clear()
        if self._yields_to_turns and self._job:
            self._job.cancel()
        try:
            yield
        finally:
            self._turns -= 1
            if not self._turns:
                self._quiet.set()

    def schedule(self, turn: FinishedTurn) -> None:
        """Schedule the jobs for a turn's conversation."""
        if not self._jobs:
            return
        self._scheduled[turn.inbound.channel, turn.inbound.conversation] = turn
        while len(self._scheduled) > _MAX_WAITING_CONVERSATIONS:
            self._scheduled.pop(next(iter(self._scheduled)))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())

    async def drop(self, forgotten: Forgotten) -> None:
        """Drop the scheduled turns of a deleted person, and stop a running job for one."""
        for key, turn in list(self._scheduled.items()):
            if forgotten.is_meant(turn.inbound.channel, turn.inbound.person):
                del self._scheduled[key]
        if self._current and forgotten.is_meant(self._current.inbound.channel, self._current.inbound.person):
            self._current = None
            if self._job:
                self._job.cancel()

    async def wait(self) -> None:
        """Wait until no job is scheduled or running."""
        while self._working and not self._working.done():
            await asyncio.wait([self._working])

    async def aclose(self) -> None:
        """Stop; the conversation's next turn schedules the jobs again."""
        self._scheduled.clear()
        for task in (self._working, self._job):
            if task:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _work(self) -> None:
        while self._scheduled:
            await self._pause()
            key = next(iter(self._scheduled), None)
            if key is None:  # dropped meanwhile
                return
            self._current = self._scheduled.pop(key)
            self._job = asyncio.create_task(self._run_jobs(self._current))
            await asyncio.wait([self._job])
            if self._job.cancelled() and self._current:
                self._scheduled.setdefault(key, self._current)
            self._current = self._job = None

    async def _pause(self) -> None:
        """Wait until no turn has run for ``idle_seconds``."""
        if not self._yields_to_turns:
            return
        while True:
            await self._quiet.wait()
            await asyncio.sleep(self.idle_seconds)
            if not self._turns:
                return

    async def _run_jobs(self, turn: FinishedTurn) -> None:
        for job in self._jobs:
            try:
                await job(turn)
            except QwendeskError as error:
                # no person waits for it; the next turn schedules it again
                log.warning("%s failed and is repeated after the next turn: %s", type(job).__name__, error)
            except Exception as error:
                # only the type: the text of an unknown error may quote a message
                log.error("%s failed: %s", type(job).__name__, type(error).__name__)
