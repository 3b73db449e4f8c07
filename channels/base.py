"""The port of a chat channel: a manifest that says what it can do, and ``start``, ``stop``, ``send``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from qwendesk.errors import ChannelError
from qwendesk.messages import Admission, Event, Inbound, Outbound

Handler = Callable[[Inbound], AsyncGenerator[Event, None]]
"""Answers a message at once; yields what happens, last ``Finished``. Closing it stops the answer."""
Accept = Callable[[Inbound], Awaitable[Admission]]
"""Takes a message for good: once it returns, the message survives a killed process."""

Markup = Literal["plain", "html", "mrkdwn", "markdown"]
"""How a channel writes bold and code: not at all, Telegram's and Matrix's HTML, Slack's mrkdwn, Markdown itself."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform can do; the desk shapes its messages by it."""

    markup: Markup = "plain"
    max_length: int = 4000
    """Longest text of one message after markup, in ``length_unit``."""
    length_unit: Literal["characters", "utf16", "bytes"] = "characters"
    edits: bool = False
    """Whether a message that was sent can be changed; answers are then streamed by edits."""
    edit_interval: float = 1.0
    """Least number of seconds between two edits in one conversation."""
    typing: float | None = None
    """Seconds that a typing sign lasts; None: the platform has none."""
    buttons: int = 0
    """How many buttons a message may have."""
    threads: bool = False
    max_file_in: int = 0
    """Largest file that can be fetched, in bytes; 0: files are not taken."""
    max_file_out: int = 0
    """Largest file that can be sent, in bytes; 0: files are not sent."""
    idempotent: bool = False
    """Whether the platform itself drops a message that is sent twice with the same key."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a channel before its library is imported."""

    name: str
    title: str
    capabilities: Capabilities
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a channel, as ``[channels.NAME]`` in ``qwendesk.toml`` or ``QWENDESK_CHANNELS__NAME__KEY``."""

    name: str
    help: str
    secret: bool = False
    required: bool = False
    default: str | int | float | bool | None = None


class Channel(ABC):
    """One place where people write."""

    manifest: ClassVar[Manifest]

    @abstractmethod
    async def start(self, accept: Accept) -> None:
        """Take messages and hand them over until ``stop``.

        A message may be acknowledged to the platform only after ``accept`` has returned.

        Raises:
            ChannelError: the platform refuses the credentials.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Take no more messages; ``start`` returns. Sending still works until ``aclose``."""

    @abstractmethod
    async def send(self, message: Outbound) -> str | None:
        """Deliver one message, already split and in the channel's markup, and return the platform's id for it.

        Raises:
            ChannelError: it was not delivered; ``retry_after`` says when to try again, ``permanent`` that it is vain.
        """

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a message that was sent; an unchanged text is no error."""
        raise ChannelError(f"{self.manifest.title} cannot change a message that was sent.", permanent=True)

    async def typing(self, conversation: str) -> None:  # noqa: B027 - most platforms show nothing
        """Show for a moment that an answer is being written."""

    async def check(self) -> str:
        """Try the credentials and return one line that says as whom the channel is connected.

        Raises:
            ChannelError: they do not hold; the text says what to do.
        """
        return "nothing to check"

    async def aclose(self) -> None:  # noqa: B027 - a channel that holds nothing need not say so
        """Free connections."""
