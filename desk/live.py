"""Show an answer while it is being written: a typing sign, then the text, changed at the platform's pace."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from qwendesk.desk.ports import Outlet
from qwendesk.errors import ChannelError, StoreError
from qwendesk.memory.inbox import Arrived
from qwendesk.messages import Event, Restarted, TextDelta

if TYPE_CHECKING:
    from qwendesk.desk.delivery import Delivery

_SIGN_AFTER = 0.15
"""Seconds before the first sign; most answers of a quick model are there by then."""
_POST_AFTER = 0.8
"""Seconds before the beginning of an answer is posted."""
_PLACEHOLDER_AFTER = 1.5
"""Seconds before a platform without a typing sign shows that something happens."""
_PLACEHOLDER = "…"
_RENEW = 0.8
log = logging.getLogger(__name__)


class Live:
    """Follows a turn; entered, it shows signs and text until it is left. The complete text is sent by delivery."""

    def __init__(self, arrived: Arrived, outlet: Outlet, delivery: Delivery) -> None:
        self._arrived = arrived
        self._outlet = outlet
        self._delivery = delivery
        self._pieces: list[str] = []
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._message_id: str | None = None
        self._shown = ""
        self._next_edit = 0.0
        self._next_sign = 0.0

    @property
    def said(self) -> str:
        """What of the answer has come until now."""
        return "".join(self._pieces)

    def tell(self, event: Event) -> None:
        """Take what happens in the turn."""
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
        elif isinstance(event, Restarted):
            self._pieces.clear()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._show())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._task:
            # never cancelled: a message that is just being posted must get its name into the outbox
            await asyncio.shield(self._task)

    async def _show(self) -> None:
        begun = monotonic()
        if await self._is_over(_SIGN_AFTER):
            return
        while True:
            try:
                await self._sign()
                await self._text(monotonic() - begun)
            except ChannelError as error:
                if error.permanent:
                    return
                self._next_edit = monotonic() + (error.retry_after or 2.0)
            except StoreError:
                return
            except Exception as error:
                log.warning("Showing an answer failed with %s.", type(error).__name__)
                return
            if await self._is_over(0.1):
                return

    async def _is_over(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
            return True
        except TimeoutError:
            return False

    async def _sign(self) -> None:
        lasts = self._outlet.capabilities.typing
        if lasts is None or monotonic() < self._next_sign:
            return
        self._next_sign = monotonic() + lasts * _RENEW
        await self._outlet.typing(self._arrived.inbound.conversation)

    async def _text(self, age: float) -> None:
        from qwendesk.desk.delivery import message_for

        abilities = self._outlet.capabilities
        if not abilities.edits or monotonic() < self._next_edit:
            return
        text = self.said.strip()
        if not text and abilities.typing is None and age > _PLACEHOLDER_AFTER:
            text = _PLACEHOLDER
        if not text or age < _POST_AFTER or text == self._shown:
            return
        pieces = await self._outlet.shape(text)
        if not pieces:
            return
        piece = pieces[0]
        self._next_edit = monotonic() + abilities.edit_interval
        self._shown = text
        if self._message_id is None:
            self._message_id = await self._delivery.post(self._arrived, self._outlet, piece)
            return
        message = message_for(self._arrived, f"{self._arrived.id}:0", piece, 0)
        await self._outlet.edit(self._message_id, message)
