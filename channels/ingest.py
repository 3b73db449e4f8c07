"""What channels do alike with what comes in: reading a call, fetching files, handing over, telling a refusal."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from cachetools import FIFOCache

from qwendesk.channels.base import Accept
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Inbound

if TYPE_CHECKING:
    from starlette.requests import Request


MAX_JSON_DEPTH = 64
"""Levels of arrays and objects inside each other; platforms need about ten."""


def read_json(data: str | bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        ValueError: it is no JSON, is nested deeper than ``MAX_JSON_DEPTH``, or has a number that is not finite.
    """
    try:
        value = json.loads(data, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError(f"JSON is nested deeper than {MAX_JSON_DEPTH} levels") from None
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [child for part in level if isinstance(part, dict | list) for child in _children(part)]
        if not level:
            return
    raise ValueError(f"JSON is nested deeper than {MAX_JSON_DEPTH} levels")


def _children(part: dict[str, Any] | list[Any]) -> list[Any]:
    values = part.values() if isinstance(part, dict) else part
    return [value for value in values if isinstance(value, dict | list)]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


Fetch = Callable[[], Awaitable[Attachment]]
"""Fetches one file; raises ``ChannelError``."""
log = logging.getLogger(__name__)
CLOCK_TOLERANCE_SECONDS = 300
"""Seconds by which a clock may be wrong, and within which a repeated call is still taken for one."""


_MOST_FAILED = 1000
_LONGEST_MOMENT = 16
"""Digits of a time stamp."""


async def read_body(request: Request, largest: int) -> bytes | None:
    """Return a call's body; None where it is larger than ``largest`` bytes, which are all that is read."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > largest:
            return None
    return bytes(body)


def is_recent(moment: str, now: float | None = None) -> bool:
    """Tell whether a time stamp, in seconds, is of this moment as far as clocks agree."""
    current = time.time() if now is None else now
    readable = len(moment) <= _LONGEST_MOMENT and moment.isascii() and moment.isdecimal()
    return readable and abs(current - int(moment)) <= CLOCK_TOLERANCE_SECONDS


async def with_attachments(inbound: Inbound, files: Sequence[Fetch]) -> Inbound:
    """Return a message with its files; one that can never be had is named as unreadable.

    Raises:
        ChannelError: a file cannot be had now; the message has to come again.
    """
    try:
        return replace(inbound, attachments=tuple([await fetch() for fetch in files]))
    except ChannelError as error:
        log.warning("A file of %s was not fetched: %s", inbound.channel, error)
        if not error.permanent:
            raise
        return replace(inbound, unsupported_media="file")


class FileFetcher:
    """Fetches the files of messages; one that fails again and again does not hold up what comes after it.

    Args:
        most: how often the files of one message are tried.
    """

    def __init__(self, most: int = 5) -> None:
        self._most = most
        self._failed = FIFOCache[str, int](_MOST_FAILED)

    async def with_attachments(self, inbound: Inbound, files: Sequence[Fetch]) -> Inbound:
        """Return a message with its files; after some tries without them, and with their name as unreadable.

        Raises:
            ChannelError: a file cannot be had now; the message has to come again.
        """
        name = f"{inbound.account}:{inbound.event}"
        try:
            whole = await with_attachments(inbound, files)
        except ChannelError:
            if not self._is_last(name):
                raise
            whole = replace(inbound, unsupported_media="file")
        self._failed.pop(name, None)
        return whole

    def _is_last(self, name: str) -> bool:
        self._failed[name] = self._failed.get(name, 0) + 1
        return self._failed[name] >= self._most


async def submit(inbound: Inbound, accept: Accept, refuse: Callable[[str], Awaitable[object]]) -> bool:
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
