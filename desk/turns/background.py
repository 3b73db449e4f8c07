"""Work that waits until nobody does: summaries and facts, made after a turn and stopped when the next one begins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from qwendesk.engines.selected_model import SelectedModel
from qwendesk.errors import QwendeskError
from qwendesk.held_words import Forgotten
from qwendesk.messages import Inbound

_LOG = logging.getLogger(__name__)
_WAITING = 1000
"""Conversations that may wait; the oldest is left out, and comes again with its next turn."""


@dataclass(frozen=True, slots=True)
class Over:
    """A turn that is over."""

    inbound: Inbound
    choice: SelectedModel | None
    tokens: int
    """About how many tokens its history had."""
    messages: int
    """How many messages its history had."""


Job = Callable[[Over], Awaitable[None]]


class Background:
    """Runs jobs after turns, one at a time.

    Args:
        jobs: what is done for each conversation whose turn is over.
        idle: seconds without a turn before a job begins.
        gives_way: whether a job stops where a turn begins, to be begun again later: a model on this machine can
            serve only one of them well.
    """

    def __init__(self, jobs: Sequence[Job] = (), *, idle: float = 2.0, gives_way: bool = True) -> None:
        self._jobs = jobs
        self._idle = idle
        self._gives_way = gives_way
        self._turns = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._waiting: dict[tuple[str, str], Over] = {}
        self._working: asyncio.Task[None] | None = None
        self._job: asyncio.Task[None] | None = None
        self._over: Over | None = None
        """What the job is done for."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While it is entered, a turn is being answered."""
        self._turns += 1
        self._quiet.clear()
        if self._gives_way and self._job:
            self._job.cancel()
        try:
            yield
        finally:
            self._turns -= 1
            if not self._turns:
                self._quiet.set()

    def note(self, over: Over) -> None:
        """Let the jobs look at a conversation when there is time."""
        if not self._jobs:
            return
        self._waiting[over.inbound.channel, over.inbound.conversation] = over
        while len(self._waiting) > _WAITING:
            self._waiting.pop(next(iter(self._waiting)))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())

    async def drop(self, forgotten: Forgotten) -> None:
        """Leave out what waits of a person, and stop what is done of it."""
        for key, over in list(self._waiting.items()):
            if forgotten.is_meant(over.inbound.channel, over.inbound.person):
                del self._waiting[key]
        if self._over and forgotten.is_meant(self._over.inbound.channel, self._over.inbound.person):
            self._over = None
            if self._job:
                self._job.cancel()

    async def settle(self) -> None:
        """Wait until nothing waits."""
        while self._working and not self._working.done():
            await asyncio.wait([self._working])

    async def aclose(self) -> None:
        """Stop; what is not done is done after the conversation's next turn."""
        self._waiting.clear()
        for task in (self._working, self._job):
            if task:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _work(self) -> None:
        while self._waiting:
            await self._pause()
            key = next(iter(self._waiting), None)
            if key is None:  # what waited was dropped meanwhile
                return
            self._over = self._waiting.pop(key)
            self._job = asyncio.create_task(self._do(self._over))
            await asyncio.wait([self._job])
            if self._job.cancelled() and self._over:
                self._waiting.setdefault(key, self._over)
            self._over = self._job = None

    async def _pause(self) -> None:
        """Wait until no turn has run for a while."""
        if not self._gives_way:
            return
        while True:
            await self._quiet.wait()
            await asyncio.sleep(self._idle)
            if not self._turns:
                return

    async def _do(self, over: Over) -> None:
        for job in self._jobs:
            try:
                await job(over)
            except QwendeskError as error:
                # nobody waits for it, so nobody is told; it is tried again after the next turn
                _LOG.warning("%s was given up: %s", type(job).__name__, error)
            except Exception as error:
                # the text of an unknown error may quote what a person wrote
                _LOG.error("%s failed: %s", type(job).__name__, type(error).__name__)
