"""Inbound handling that channels share: requests, quotes, mentions, files, and submission to the desk."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from cachetools import FIFOCache

from qwendesk.channels.base import Accept
from qwendesk.desk.access import PUBLIC_COMMANDS
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Inbound

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_JSON_DEPTH = 64
"""Maximum nesting of arrays and objects; platforms need about ten levels."""
CLOCK_TOLERANCE_SECONDS = 300
"""Accepted clock difference, within which repeated requests are recognised."""
_MAX_TIMESTAMP_DIGITS = 16
_COMMAND = re.compile(r"/\w+(?=\s|@|\Z)")
_MAX_QUOTE_CHARS = 4000
"""Characters of all quotes of a message together."""
_MAX_OWN_CHARS = 1000
"""Characters of a quote of the desk's own message."""
_MAX_NAME_CHARS = 100
START_COMMANDS = frozenset({"start"})
"""Commands that platforms send when a person opens the chat."""
_COMMANDS_WITH_ARGUMENT = frozenset({"model", "lang", "memory", "remember", "forget", "link"})
"""Commands that may have an argument without a slash; "good morning" is a greeting."""
Fetch = Callable[[], Awaitable[Attachment]]
"""Fetches one file; raises ``ChannelError``."""
log = logging.getLogger(__name__)
_MAX_FAILED_MESSAGES = 1000


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


@dataclass(frozen=True, slots=True)
class Quote:
    """Text of a message that a person refers to."""

    text: str
    author: str = ""
    kind: Literal["reply", "forward"] = "reply"
    own: bool = False
    """Whether the desk wrote it."""
    moment: float | None = None
    """Time of the message in seconds since 1970."""

    def rendered(self, max_chars: int = _MAX_QUOTE_CHARS) -> str:
        """Return the quote as lines that begin with ``>``.

        Args:
            max_chars: characters of the text that are kept.
        """
        limit = min(max_chars, _MAX_OWN_CHARS) if self.own else max_chars
        text = self.text.strip()
        text = text if len(text) <= limit else f"{text[:limit].rstrip()} …"
        return "\n".join(f"> {line}".rstrip() for line in (self._head(), *text.splitlines()))

    def _head(self) -> str:
        who = "you, the assistant" if self.own else " ".join(self.author.split())[:_MAX_NAME_CHARS]
        if self.kind == "forward":
            return f"Forwarded message{f' from {who}' if who else ''}{self._when()}:"
        return f"{who or 'Somebody'} wrote{self._when()}:"

    def _when(self) -> str:
        try:
            moment = datetime.fromtimestamp(self.moment, UTC) if self.moment else None
        except (ValueError, OverflowError, OSError):
            moment = None
        return f" on {moment:%Y-%m-%d %H:%M} UTC" if moment else ""


def with_quotes(text: str, quotes: Iterable[Quote]) -> str:
    """Put quotes above a person's text; leave a chat command unchanged."""
    pointed = [quote for quote in quotes if quote.text.strip()]
    blocks = [quote.rendered(_MAX_QUOTE_CHARS // len(pointed)) for quote in pointed]
    return text if _COMMAND.match(text) else "\n\n".join([*blocks, text] if text else blocks)


def add_slash(text: str) -> str:
    """Add the slash to a command that was written without it; return any other text unchanged."""
    name, _, more = text.strip().partition(" ")
    known = _COMMANDS_WITH_ARGUMENT if more else PUBLIC_COMMANDS
    return f"/{text.strip()}" if name.lower() in known else text


def is_mentioned(text: str, names: Collection[str]) -> bool:
    """Tell whether a text has one of the desk's names as a word, outside of addresses and paths."""
    named = rf"(?<![\w@.+/\\:=-])@?{_any(names)}(?![\w@/\\=]|[.+-]\w|:[\d/])"
    return bool(re.search(named, text, re.IGNORECASE))


def strip_mention(text: str, names: Collection[str]) -> str:
    """Remove the desk's names from the start of a text."""
    return re.sub(rf"\A(?:\s*@?{_any(names)}(?:[:,]\s*|\s+|\Z))+", "", text, flags=re.IGNORECASE).strip()


def _any(names: Collection[str]) -> str:
    return f"(?:{'|'.join(re.escape(name) for name in sorted(names, key=len, reverse=True))})"


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
        max_attempts: attempts for the files of one message.
    """

    def __init__(self, max_attempts: int = 5) -> None:
        self._max_attempts = max_attempts
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
        return self._failed[name] >= self._max_attempts


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
