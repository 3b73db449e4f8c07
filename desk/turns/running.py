"""Run turns in tasks of their own, one at a time in a conversation, and yield their events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakValueDictionary

from qwendesk.desk.turns.background import BackgroundJobs
from qwendesk.errors import EngineError, QwendeskError
from qwendesk.messages import AnswerReset, Event, Inbound, Notice, Routed, TextDelta, ToolFinished, ToolUse

EventQueue = asyncio.Queue[Event | None]
"""The events of a turn; None ends them."""


@dataclass(frozen=True, slots=True)
class EventCollector:
    """Passes events on, collects the text, and restarts the turn's time limit while a model is fetched or loaded."""

    events: EventQueue
    text: list[str]
    limit: asyncio.Timeout
    seconds: float
    started: float
    """``time.perf_counter()`` when the turn began."""
    done: list[ToolUse]
    """Calls that have ended."""

    def add(self, event: Event) -> None:
        """Add an event."""
        if isinstance(event, TextDelta):
            self.text.append(event.text)
        elif isinstance(event, ToolFinished):
            self.done.append(event.use)
        elif isinstance(event, Notice | Routed | AnswerReset):
            if isinstance(event, AnswerReset):
                self.text.clear()
            # the loading of a model may outlast this turn
            with suppress(RuntimeError):
                self.limit.reschedule(asyncio.get_running_loop().time() + self.seconds)
        self.events.put_nowait(event)


class RunningTurns:
    """The tasks of turns; a caller that stops listening stops its turn.

    Args:
        background: jobs that wait while a turn runs.
    """

    def __init__(self, background: BackgroundJobs) -> None:
        self._background = background
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self.is_closing = False
        """Whether the desk stops its turns."""

    async def events(
        self, inbound: Inbound, work: Callable[[EventQueue], Awaitable[None]]
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of work that runs alone in its conversation."""
        events = EventQueue()
        task = asyncio.create_task(self._alone(inbound, events, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            if task.cancelled():
                raise EngineError("The desk was closed while it answered.")
            task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, QwendeskError):
                await task

    async def aclose(self) -> None:
        """Stop all tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _alone(self, inbound: Inbound, events: EventQueue, work: Callable[[EventQueue], Awaitable[None]]) -> None:
        lock = self._locks.setdefault((inbound.channel, inbound.conversation), asyncio.Lock())
        async with lock:
            with self._background.turn():
                await work(events)
