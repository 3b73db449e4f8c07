"""Show an answer while it is being written: a typing sign, then the text, changed at the platform's pace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from qwendesk.desk.delivery.deliver import Outlet
from qwendesk.desk.inbox.records import Arrived
from qwendesk.desk.machine_notice import after_notice
from qwendesk.errors import ChannelError, StoreError
from qwendesk.messages import AnswerReset, Event, TextDelta

if TYPE_CHECKING:
    from qwendesk.desk.delivery.deliver import Delivery

_SIGN_AFTER = 0.15
"""Seconds before the first sign; most answers of a quick model are there by then."""
_POST_AFTER = 0.8
"""Seconds before the beginning of an answer is posted."""
_PLACEHOLDER_AFTER = 1.5
"""Seconds before a platform without a typing sign shows that something happens."""
_PLACEHOLDER = "…"
_RENEW = 0.8
_LOOK = 0.1
log = logging.getLogger(__name__)


class Live:
    """Follows a turn; entered, it shows signs and text until it is left. The complete text is sent by delivery."""

    def __init__(self, arrived: Arrived, outlet: Outlet, delivery: Delivery, first_line: str = "") -> None:
        self._first_line = first_line
        self._arrived = arrived
        self._outlet = outlet
        self._delivery = delivery
        self._pieces: list[str] = []
        self._over = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._signs: asyncio.Task[None] | None = None
        self._texts: asyncio.Task[None] | None = None
        self._shown = ""
        self._begun = monotonic()

    @property
    def said(self) -> str:
        """What of the answer has come until now."""
        return "".join(self._pieces)

    def tell(self, event: Event) -> None:
        """Take what happens in the turn."""
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
        elif isinstance(event, AnswerReset):
            self._pieces.clear()

    async def __aenter__(self) -> Self:
        later = asyncio.get_running_loop().call_later
        if self._outlet.capabilities.typing is not None:
            self._timers.append(later(_SIGN_AFTER, self._show_signs))
        if self._outlet.capabilities.edits:
            self._timers.append(later(_POST_AFTER, self._show_texts))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for timer in self._timers:
            timer.cancel()
        if self._signs:
            self._signs.cancel()  # the answer does not wait for a sign that hangs
            await asyncio.wait([self._signs])
        if self._texts:
            # never cancelled: a message that is just being posted must get its name into the outbox
            await asyncio.shield(self._texts)

    def _show_signs(self) -> None:
        self._signs = asyncio.create_task(self._until_over(self._sign))

    def _show_texts(self) -> None:
        self._texts = asyncio.create_task(self._until_over(self._text))

    async def _until_over(self, show: Callable[[], Awaitable[bool]]) -> None:
        """Show again and again, until the turn is over or showing is of no use."""
        useful = True
        while useful and not self._over.is_set():
            pause = _LOOK
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

    async def _sign(self) -> bool:
        await self._outlet.typing(self._arrived.inbound.conversation)
        await self._is_over((self._outlet.capabilities.typing or 0.0) * _RENEW)
        return True

    async def _text(self) -> bool:
        abilities = self._outlet.capabilities
        age, text = monotonic() - self._begun, self.said.strip()
        if not text and abilities.typing is None and age > _PLACEHOLDER_AFTER:
            text = _PLACEHOLDER
        if not text or text == self._shown:
            return True
        pieces = await self._outlet.shape(after_notice(self._first_line, text))
        if not pieces:
            return True
        self._shown = text
        useful = await self._delivery.show(self._arrived, self._outlet, pieces[0])
        await self._is_over(abilities.edit_interval)
        return useful
