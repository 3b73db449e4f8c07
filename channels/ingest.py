"""Shared inbound handling: read a request, fetch its files, submit the message, report a refusal."""

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
"""Maximum nesting of arrays and objects; platforms need about ten levels."""


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
"""Accepted clock difference, within which repeated requests are recognised."""


_MAX_FAILED_MESSAGES = 1000
_MAX_TIMESTAMP_DIGITS = 16


async def read_body(request: Request, largest: int) -> bytes | None:
    """Return a request's body, of which at most ``largest`` bytes are read; None if it is larger."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > largest:
            return None
    return bytes(body)


def is_recent(moment: str, now: float | None = None) -> bool:
    """Tell whether a timestamp in seconds is within the clock tolerance of now."""
    current = time.time() if now is None else now
    readable = len(moment) <= _MAX_TIMESTAMP_DIGITS and moment.isascii() and moment.isdecimal()
    return readable and abs(current - int(moment)) <= CLOCK_TOLERANCE_SECONDS


async def with_attachments(inbound: Inbound, files: Sequence[Fetch]) -> Inbound:
    """Return a message with its files, marked if a file is permanently unavailable.

    Raises:
        ChannelError: a file is temporarily unavailable; the platform has to deliver the message again.
    """
    try:
        return replace(inbound, attachments=tuple([await fetch() for fetch in files]))
    except ChannelError as error:
        log.warning("A file of %s was not fetched: %s", inbound.channel, error)
        if not error.permanent:
            raise
        return replace(inbound, unsupported_media="file")


class FileFetcher:
    """Fetches the files of messages, and gives up files that keep failing so that they do not block later messages.

    Args:
        most: attempts for the files of one message.
    """

    def __init__(self, most: int = 5) -> None:
        self._most = most
        self._failed = FIFOCache[str, int](_MAX_FAILED_MESSAGES)

    async def with_attachments(self, inbound: Inbound, files: Sequence[Fetch]) -> Inbound:
        """Return a message with its files; after the last attempt without them, and marked.

        Raises:
            ChannelError: a file is temporarily unavailable; the platform has to deliver the message again.
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
    """Submit a message to the desk; return False if the platform has to deliver it again.

    Args:
        inbound: the message.
        accept: accepts it.
        refuse: tells the person why it was refused.
    """
    admission = await accept(inbound)
    if admission.outcome == "refused" and admission.text:
        try:
            await refuse(admission.text)
        except ChannelError as error:
            log.warning("A refusal could not be delivered: %s", error)
    return admission.outcome != "busy"
