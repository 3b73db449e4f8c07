"""The web chat: visitors of a site talk to the desk, without an account."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Literal

from qwendesk.channels.base import Accept, Capabilities, Channel, Manifest, Setting
from qwendesk.channels.web.frames import LARGEST_FILE
from qwendesk.channels.web.pages import Look
from qwendesk.channels.web.rooms import MOST_SHOWN, Frame, Room, Rooms
from qwendesk.channels.web.socket import LATER, POLICY, Visit
from qwendesk.errors import ChannelError, ConfigError, StoreError
from qwendesk.messages import Outbound

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

    from qwendesk.channels.simulate.base import Simulator

Recall = Callable[[str], Awaitable[Sequence[tuple[str, str]]]]
"""Gives what was sent to a conversation before this process began: the messages' names and texts, oldest first."""
Answers = Literal["here", "elsewhere", "for others"]
"""Given and shown here; given by another process and shown here; given here and shown by another process."""
MOST_SOCKETS = 2000
_LOOK_EVERY = 0.5
"""Seconds between two looks for the answers of another process."""
log = logging.getLogger(__name__)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.:\[\]-]+")


class WebChannel(Channel):
    """A page with a socket. A visitor is whoever holds the random token that the page has made for itself."""

    manifest = Manifest(
        "web",
        "Web chat",
        Capabilities(
            markup="html",
            max_length=16_000,
            edits=True,
            edit_interval=0.15,
            typing=3.0,
            buttons=8,
            max_file_in=LARGEST_FILE,
            idempotent=True,
        ),
        (
            Setting("title", "What stands over the chat.", default="Chat"),
            Setting("greeting", "What a visitor reads first.", default="Hello! How can I help?"),
            Setting("origins", "Sites that may show the chat, as 'https://shop.example', with commas between them."),
            Setting("accent", "The colour of buttons and of the visitor's own messages.", default="#5b4bd6"),
        ),
    )

    def __init__(self, title: str, greeting: str, origins: str, accent: str) -> None:
        sites = tuple(site.strip().rstrip("/") for site in origins.split(",") if site.strip())
        if wrong := [site for site in sites if not _ORIGIN.fullmatch(site)]:
            raise ConfigError(f"'origins' of the web chat has {wrong!r}; an origin is like 'https://shop.example'.")
        if not _COLOUR.fullmatch(accent):
            raise ConfigError(f"'accent' of the web chat is {accent!r}; a colour is like '#5b4bd6'.")
        self._look = Look(title, greeting, accent, sites)
        self._rooms = Rooms()
        self._accept: Accept | None = None
        self._sockets = 0
        self._started = False
        self._stopping = asyncio.Event()
        self.recall: Recall | None = None
        """Where set, a page that comes back after a restart gets what it missed."""
        self.answers: Answers = "here"
        """Which process has the answers, and which the visitors."""

    async def start(self, accept: Accept) -> None:
        """Wait for visitors; where others answer them, look for the answers."""
        self._accept, self._started = accept, True
        while not self._stopping.is_set():
            if self.answers == "elsewhere":
                await self._look_for_answers()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY if self.answers == "elsewhere" else None):
                    await self._stopping.wait()

    async def stop(self) -> None:
        """Take no more messages; pages are told to keep theirs."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Show a message to all pages of the visitor, now or when they are back; its key is its name."""
        if self.answers == "for others":
            return message.key  # it is in the database, where the process with the visitors looks for it
        self._room(message.conversation).show(_frame(message.key, message))
        return message.key

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Change a message where it stands; one that this process does not know is shown."""
        if self.answers != "for others":
            self._room(message.conversation).change(_frame(message_id, message))

    async def typing(self, conversation: str) -> None:
        """Show three dots."""
        if self.answers != "for others":
            self._room(conversation).tell({"type": "typing"})

    async def check(self) -> str:
        """Say where the page is."""
        return "the page is at /channels/web/ of the desk's web server"

    @classmethod
    def simulator(cls) -> Simulator:
        """Return visitors without a browser."""
        from qwendesk.channels.web.simulator import WebSimulator

        return WebSimulator()

    def routes(self) -> Sequence[BaseRoute]:
        """Return the page, its files and the socket."""
        from starlette.routing import WebSocketRoute

        return [*self._look.routes(), WebSocketRoute("/socket", self._connected)]

    async def aclose(self) -> None:
        """Let ``start`` return."""
        self._stopping.set()

    def _room(self, key: str) -> Room:
        if not self._started:
            raise ChannelError("The web chat is not open yet; it is tried again.")
        return self._rooms.room(key)

    async def _connected(self, socket: WebSocket) -> None:
        if not self._look.allows(socket.headers.get("origin"), socket.headers.get("host", "")):
            await socket.close(POLICY)
            return
        if self._sockets >= MOST_SOCKETS:
            await socket.close(LATER)
            return
        self._sockets += 1
        try:
            await Visit(socket, self._enter, lambda: self._accept).run()
        finally:
            self._sockets -= 1

    async def _look_for_answers(self) -> None:
        for key, room in self._rooms.waiting(monotonic()) if self.recall else ():
            try:
                found = await self.recall(key) if self.recall else ()
            except StoreError as error:
                log.warning("Answers for the web chat could not be looked up: %s", error)
                return
            for name, text in found[-MOST_SHOWN:]:
                room.show({"type": "shown", "id": name, "text": text})

    async def _enter(self, key: str) -> Room:
        room = self._rooms.room(key)
        if self.recall and not room.recalled:
            try:
                room.recollect(await self.recall(key))
                room.recalled = True
            except StoreError as error:  # it is looked up when the page is back the next time
                log.warning("What a visitor was shown before could not be looked up: %s", error)
        return room


def _frame(name: str, message: Outbound) -> Frame:
    buttons = [{"label": button.label, "value": button.value, "chosen": button.chosen} for button in message.buttons]
    return {"type": "shown", "id": name, "text": message.text} | ({"buttons": buttons} if buttons else {})
