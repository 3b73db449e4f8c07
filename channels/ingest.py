"""What channels do alike with what comes in: reading a call, fetching files, handing over, telling a refusal."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cachetools import FIFOCache

from qwendesk.channels.base import Accept
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Inbound

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger(__name__)
TOLERANCE = 300
"""Seconds by which a clock may be wrong, and within which a repeated call is still taken for one."""


_MOST_FAILED = 1000
_LONGEST_MOMENT = 16
"""Digits of a time stamp."""


async def body_of(request: Request, largest: int) -> bytes | None:
    """Return a call's body; None where it is larger than ``largest`` bytes, which are all that is read."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > largest:
            return None
    return bytes(body)


def is_fresh(moment: str, now: float | None = None) -> bool:
    """Tell whether a time stamp, in seconds, is of this moment as far as clocks agree."""
    current = time.time() if now is None else now
    readable = len(moment) <= _LONGEST_MOMENT and moment.isascii() and moment.isdecimal()
    return readable and abs(current - int(moment)) <= TOLERANCE


async def with_files(inbound: Inbound, fetching: Sequence[Callable[[], Awaitable[Attachment]]]) -> Inbound:
    """Return a message with its files; one that can never be had is named as unreadable.

    Raises:
        ChannelError: a file cannot be had now; the message has to come again.
    """
    try:
        return replace(inbound, attachments=tuple([await fetch() for fetch in fetching]))
    except ChannelError as error:
        log.warning("A file of %s was not fetched: %s", inbound.channel, error)
        if not error.permanent:
            raise
        return replace(inbound, unsupported_media="file")


class Fetching:
    """Fetches the files of messages; one that fails again and again does not hold up what comes after it.

    Args:
        most: how often the files of one message are tried.
    """

    def __init__(self, most: int = 5) -> None:
        self._most = most
        self._failed = FIFOCache[str, int](_MOST_FAILED)

    async def with_files(self, inbound: Inbound, fetching: Sequence[Callable[[], Awaitable[Attachment]]]) -> Inbound:
        """Return a message with its files; after some tries without them, and with their name as unreadable.

        Raises:
            ChannelError: a file cannot be had now; the message has to come again.
        """
        name = f"{inbound.account}:{inbound.event}"
        try:
            whole = await with_files(inbound, fetching)
        except ChannelError:
            if not self._is_last(name):
                raise
            whole = replace(inbound, unsupported_media="file")
        self._failed.pop(name, None)
        return whole

    def _is_last(self, name: str) -> bool:
        self._failed[name] = self._failed.get(name, 0) + 1
        return self._failed[name] >= self._most


async def hand_over(inbound: Inbound, accept: Accept, refuse: Callable[[str], Awaitable[object]]) -> bool:
    """Give a message to the desk, and tell whether that is done; False: it has to come again.

    Args:
        inbound: the message.
        accept: takes it.
        refuse: tells the person why it was not taken.
    """
    admission = await accept(inbound)
    if admission.outcome == "refused" and admission.text:
        try:
            await refuse(admission.text)
        except ChannelError as error:
            log.warning("A refusal could not be told: %s", error)
    return admission.outcome != "busy"
