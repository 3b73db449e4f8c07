"""A running turn on a channel: show its text while it is written, and stop it on request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing, suppress
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

from qwendesk.desk.delivery.deliver import Delivery, Outlet
from qwendesk.desk.inbox.repository import ClaimedMessage
from qwendesk.desk.translations import after_notice
from qwendesk.errors import ChannelError, StoreError
from qwendesk.messages import AnswerReset, Event, Finished, Reply, TextDelta

T = TypeVar("T")
_TYPING_DELAY_SECONDS = 0.15
"""Delay of the first indicator; a fast model has answered by then."""
_POST_DELAY_SECONDS = 0.8
"""Delay of the first post of the text."""
_PLACEHOLDER_DELAY_SECONDS = 1.5
"""Delay of the placeholder on a platform without a typing indicator."""
_PLACEHOLDER = "…"
_TYPING_RENEWAL_SHARE = 0.8
"""Share of an indicator's lifetime after which it is renewed."""
_TEXT_POLL_SECONDS = 0.1
_STOP_POLL_SECONDS = 0.5
log = logging.getLogger(__name__)


class StreamingReply:
    """Shows the events of a turn on a channel while the context is entered; the delivery sends the complete text."""

    def __init__(self, claimed: ClaimedMessage, outlet: Outlet, delivery: Delivery, notice: str = "") -> None:
        self._notice = notice
        self._claimed = claimed
        self._outlet = outlet
        self._delivery = delivery
        self._pieces: list[str] = []
        self._over = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._typing_task: asyncio.Task[None] | None = None
        self._text_task: asyncio.Task[None] | None = None
        self._shown = ""
        self._begun = monotonic()

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return "".join(self._pieces)

    def add(self, event: Event) -> None:
        """Add an event of the turn."""
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
        elif isinstance(event, AnswerReset):
            self._pieces.clear()

    async def __aenter__(self) -> Self:
        later = asyncio.get_running_loop().call_later
        if self._outlet.capabilities.typing is not None:
            self._timers.append(later(_TYPING_DELAY_SECONDS, self._start_typing))
        if self._outlet.capabilities.edits:
            self._timers.append(later(_POST_DELAY_SECONDS, self._start_text))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for timer in self._timers:
            timer.cancel()
        if self._typing_task:
            self._typing_task.cancel()  # the answer does not wait for an indicator that hangs
            await asyncio.wait([self._typing_task])
        if self._text_task:
            # never cancelled: the outbox must get the platform id of a message that is being posted
            await asyncio.shield(self._text_task)

    def _start_typing(self) -> None:
        self._typing_task = asyncio.create_task(self._repeat(self._show_typing))

    def _start_text(self) -> None:
        self._text_task = asyncio.create_task(self._repeat(self._show_text))

    async def _repeat(self, show: Callable[[], Awaitable[bool]]) -> None:
        """Repeat until the turn is over or the platform cannot show it."""
        useful = True
        while useful and not self._over.is_set():
            pause = _TEXT_POLL_SECONDS
            try:
                useful = await show()
            except ChannelError as error:
                useful = not error.permanent
                pause = error.retry_after or 2.0
            except StoreError:
                return
            except Exception as error:
                log.warning("Showing an answer failed with %s.", type(error).__name__)
                return
            if useful:
                await self._is_over(pause)

    async def _is_over(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
            return True
        except TimeoutError:
            return False

    async def _show_typing(self) -> bool:
        await self._outlet.typing(self._claimed.inbound.conversation)
        await self._is_over((self._outlet.capabilities.typing or 0.0) * _TYPING_RENEWAL_SHARE)
        return True

    async def _show_text(self) -> bool:
        abilities = self._outlet.capabilities
        age, text = monotonic() - self._begun, self.text.strip()
        if not text and abilities.typing is None and age > _PLACEHOLDER_DELAY_SECONDS:
            text = _PLACEHOLDER
        if not text or text == self._shown:
            return True
        pieces = await self._outlet.split_message(after_notice(self._notice, text))
        if not pieces:
            return True
        self._shown = text
        useful = await self._delivery.show(self._claimed, self._outlet, pieces[0])
        await self._is_over(abilities.edit_interval)
        return useful


async def last_reply(turn: AsyncGenerator[Event, None], streaming: StreamingReply) -> Reply:
    """Show the events of a turn and return its reply."""
    async with aclosing(turn) as events:
        async for event in events:
            streaming.add(event)
            if isinstance(event, Finished):
                return event.reply
    raise RuntimeError("The turn ended without a reply.")


class TurnCancellation:
    """Runs turns that can be stopped by the id of their message.

    Args:
        stop_requested: returns which of these running messages are to be stopped, by requests to any process.
    """

    def __init__(self, stop_requested: Callable[[Sequence[str]], Awaitable[list[str]]]) -> None:
        self._stop_requested = stop_requested
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._stopped: set[str] = set()
        self._watch: asyncio.Task[None] | None = None

    async def run(self, id_: str, turn: Coroutine[Any, Any, T]) -> T:
        """Run a turn; a stop raises ``CancelledError``, as any cancellation does; ``was_stopped`` tells which."""
        task = asyncio.create_task(turn)
        self._stopped.discard(id_)
        self._running[id_] = task
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._poll())
        try:
            return await task
        finally:
            task.cancel()
            self._running.pop(id_, None)

    def stop(self, ids: Iterable[str]) -> None:
        """Stop those of the messages whose turns run in this process."""
        for id_ in ids:
            if (task := self._running.get(id_)) and task.cancel():
                self._stopped.add(id_)

    def was_stopped(self, id_: str) -> bool:
        """Return whether ``stop`` cancelled the turn; a second call returns False."""
        was = id_ in self._stopped
        self._stopped.discard(id_)
        return was

    async def aclose(self) -> None:
        """Stop the polling."""
        if self._watch:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def _poll(self) -> None:
        """Poll for requests while turns run."""
        await asyncio.sleep(_STOP_POLL_SECONDS)
        while self._running:
            with suppress(StoreError):
                self.stop(await self._stop_requested(list(self._running)))
            await asyncio.sleep(_STOP_POLL_SECONDS)
