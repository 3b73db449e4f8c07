"""The simulator port: a chat platform that runs in this process with the real platform's protocol."""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx

from qwendesk.certificates import trusted_certificates
from qwendesk.errors import ConfigError
from qwendesk.messages import Attachment

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from qwendesk.channels.base import Channel

Fault = Literal["slow_down", "gone", "broken", "bad_markup"]
"""An error that the platform answers a delivery with: rate limit, recipient gone, server error, unreadable markup."""


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A message that a person sends."""

    text: str = ""
    person: str = "1001"
    chat: str = ""
    """The chat's id; empty: the private chat of the person and the desk."""
    group: bool = False
    mention: bool = False
    """Whether the text mentions the desk in the platform's syntax."""
    reply_to: str | None = None
    """The id of the desk's message that this one replies to."""
    bot: bool = False
    """Whether the sender is a program."""
    locale: str = "en"
    files: tuple[Attachment, ...] = ()
    thread: str | None = None
    """The thread or topic of the chat that the message is written in."""
    press: bool = False
    """Whether the person presses a button of the message ``reply_to``; ``text`` is the button's value."""


@dataclass(slots=True)
class SeenMessage:
    """A message of the desk in its current version, as a person sees it."""

    id: str
    chat: str
    text: str
    """The text with markup, as the desk sent it."""
    reply_to: str | None = None
    versions: list[str] = field(default_factory=list)
    """All texts of the message, oldest first."""
    file: str | None = None
    buttons: tuple[tuple[str, str], ...] = ()
    """Label and value of each button."""
    thread: str | None = None
    """The thread or topic that it was posted in."""


class Simulator(ABC):
    """A simulated platform that a test or a script controls."""

    uses_webhook: bool = False
    """Whether the platform calls the desk's web server; False: the desk polls or keeps a connection."""

    sends_retry_after: bool = True
    """Whether the platform's rate limit says how many seconds to wait."""

    users_can_edit: bool = False
    """Whether people can edit their messages."""

    numeric_ids: bool = False
    """Whether ids of people and chats are numbers."""

    sends_locale: bool = True
    """Whether a message carries its sender's language."""

    def __init__(self) -> None:
        self.desk_url = ""
        """The address of the desk's web server; set it before a platform with a webhook starts."""
        self.messages: list[SeenMessage] = []
        """The desk's messages, oldest first."""
        self.typing: list[str] = []
        """The chat of each typing indicator, oldest first."""
        self.faults: list[Fault] = []
        """The errors of the next deliveries, first one first."""
        self.unwanted: set[str] = set()
        """Words of messages that the platform refuses for good."""
        self.retry_after = 1
        """Seconds to wait that the fault ``slow_down`` asks for."""
        self._changed = asyncio.Event()
        self._open = AsyncExitStack()

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the channel settings that connect to this platform."""

    def wrong_settings(self, secret: str) -> dict[str, Any]:
        """Return settings whose secret of this name the platform refuses."""
        return self.settings() | {secret: "wrong:secret"}

    @abstractmethod
    async def write(self, message: UserMessage) -> str:
        """Deliver a person's message and return the platform's id of it."""

    async def edit(self, text: str) -> None:
        """Change the text of the last message that a person sent.

        Raises:
            ConfigError: The platform has no edits.
        """
        raise ConfigError(f"{type(self).__name__} has no edits: people cannot change their messages on this platform.")

    async def delete_thread(self, chat: str, thread: str) -> None:
        """Delete a thread or topic, as a person with the right to does.

        Raises:
            ConfigError: The platform has no threads.
        """
        raise ConfigError(f"{type(self).__name__} has no threads.")

    @abstractmethod
    async def repeat(self) -> None:
        """Deliver the last update again, as platforms do after a missing acknowledgement."""

    @abstractmethod
    async def deliver_malformed(self, payload: Any) -> None:
        """Deliver an invalid payload: bytes unchanged, other values as JSON."""

    async def wait_started(self) -> None:  # noqa: B027 - a platform with a webhook has nothing to wait for
        """Wait until the channel receives messages."""

    async def wait_until(self, condition: Callable[[Simulator], bool], seconds: float = 30.0) -> None:
        """Wait until a condition on the seen messages holds.

        Raises:
            TimeoutError: The condition did not hold within this time.
        """
        async with asyncio.timeout(seconds):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    def texts(self, chat: str | None = None) -> list[str]:
        """Return the texts of the desk's messages in one chat, or in all chats, oldest first."""
        return [message.text for message in self.messages if chat in (None, message.chat)]

    def notify(self) -> None:
        """Make ``wait_until`` evaluate its condition again."""
        self._changed.set()

    async def __aenter__(self) -> Self:
        """Start the platform."""
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop the platform."""
        await self._open.aclose()

    @abstractmethod
    async def _start(self, stack: AsyncExitStack) -> None:
        """Start the platform's servers; the stack stops them."""


def simulator_for(channel: type[Channel]) -> Simulator:
    """Return the simulator that a channel's manifest names.

    Raises:
        ConfigError: The manifest names none, or the named class cannot be loaded.
    """
    if not channel.manifest.simulator:
        raise ConfigError(f"{channel.manifest.title} has no simulator.")
    try:
        simulator: type[Simulator] = resolve_name(channel.manifest.simulator)
    except (ImportError, AttributeError, ValueError) as error:
        where = f"{channel.manifest.simulator!r}, the simulator of {channel.manifest.title}"
        raise ConfigError(f"{where}, cannot be loaded: {error}.") from error
    return simulator()


class WebhookClient:
    """Call the desk's webhook as a platform does."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses: list[int] = []
        """The HTTP status of each response, oldest first."""

    async def call(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Post a body and return the response."""
        async with httpx.AsyncClient(timeout=30, verify=trusted_certificates()) as client:
            response = await client.post(self.url, content=body, headers=headers)
        self.statuses.append(response.status_code)
        return response


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application on a free port of this machine and yield its address."""
    import uvicorn

    class LocalServer(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Leave SIGINT to the program."""
            yield

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = LocalServer(uvicorn.Config(app, log_level="critical", lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started and not task.done():  # noqa: ASYNC110 - the server has no event to wait for
                await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True  # open responses are not needed any more
            await task
