"""The port of a simulated platform: people write, see, and the platform has its bad days."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import httpx

from qwendesk.errors import ConfigError
from qwendesk.messages import Attachment

Trouble = Literal["slow_down", "gone", "broken", "bad_markup"]
"""What a platform may answer instead of delivering: wait, never again, an error of its own, markup it cannot read."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a person sends."""

    text: str = ""
    person: str = "1001"
    chat: str = ""
    """Where it is written; empty: alone with the desk."""
    group: bool = False
    mention: bool = False
    """Whether the desk's own name is in it, as the platform writes it."""
    reply_to: str | None = None
    """The id of a message shown before."""
    bot: bool = False
    """Whether the sender is a program."""
    locale: str = "en"
    files: tuple[Attachment, ...] = ()
    press: bool = False
    """Whether the text is the value of a button that is pressed under ``reply_to``."""


@dataclass(slots=True)
class Shown:
    """A message of the desk as the person sees it now."""

    id: str
    chat: str
    text: str
    """With markup, as it was sent."""
    reply_to: str | None = None
    versions: list[str] = field(default_factory=list)
    """All texts it has had, the first one first."""
    file: str | None = None
    buttons: tuple[tuple[str, str], ...] = ()


class Simulator(ABC):
    """A platform that runs here, speaks the real one's protocol, and does what a test or a script wants."""

    calls: bool = False
    """Whether the platform calls the desk; else the desk asks or listens."""

    says_how_long: bool = True
    """Whether a platform that asks to wait says for how many seconds."""

    people_edit: bool = False
    """Whether people can change what they wrote."""

    numbered: bool = False
    """Whether people and chats have numbers for names."""

    tells_language: bool = True
    """Whether it says with a message which language its person reads."""

    def __init__(self) -> None:
        self.desk = ""
        """The desk's own address; has to be known before a platform that calls it is started."""
        self.shown: list[Shown] = []
        self.typing: list[str] = []
        """Chats in which a typing sign was seen, in order."""
        self.troubles: list[Trouble] = []
        """What the next deliveries run into; the oldest first."""
        self.retry_after = 1
        self._changed = asyncio.Event()
        self._open = AsyncExitStack()

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what the channel's settings have to be to speak with this platform."""

    def wrong_settings(self, secret: str) -> dict[str, Any]:
        """Return settings that this platform refuses: one of its secrets is wrong."""
        return self.settings() | {secret: "wrong:secret"}

    @abstractmethod
    async def write(self, written: Written) -> str:
        """Let a person write, and return the platform's id of the message."""

    async def edit(self, text: str) -> None:
        """Let whoever wrote last change the text of that message.

        Raises:
            ConfigError: the platform has no such thing.
        """
        raise ConfigError(f"{type(self).__name__} has no edits: people cannot change there what they wrote.")

    @abstractmethod
    async def repeat(self) -> None:
        """Deliver the last message once more, as platforms do that saw no answer."""

    @abstractmethod
    async def garble(self, payload: Any) -> None:
        """Deliver what no platform should; bytes as they are, anything else as JSON."""

    async def started(self) -> None:  # noqa: B027 - a platform that calls nobody need not wait
        """Wait until the channel listens."""

    async def saw(self, what: Callable[[Simulator], bool], seconds: float = 30.0) -> None:
        """Wait until the person sees something.

        Raises:
            TimeoutError: it did not come.
        """
        async with asyncio.timeout(seconds):
            while not what(self):
                self._changed.clear()
                await self._changed.wait()

    def texts(self, chat: str | None = None) -> list[str]:
        """Return what is seen in a chat, or in all, in order."""
        return [shown.text for shown in self.shown if chat in (None, shown.chat)]

    def notice(self) -> None:
        """Wake those who wait for something to be seen."""
        self._changed.set()

    async def __aenter__(self) -> Self:
        """Start the platform."""
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop it."""
        await self._open.aclose()

    @abstractmethod
    async def _start(self, stack: AsyncExitStack) -> None:
        """Start what has to run; the stack stops it."""


class Caller:
    """Calls a desk's webhook as a platform does."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int] = []
        """The status of each answer."""

    async def call(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Post a body and return the answer."""
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.post(self.url, content=body, headers=headers)
        self.answers.append(answer.status_code)
        return answer
