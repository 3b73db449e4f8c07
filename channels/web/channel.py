"""The web chat: visitors of a site talk to the desk, without an account."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from qwendesk.channels.base import (
    Accept,
    Channel,
    ChannelCapabilities,
    Component,
    Manifest,
    Setting,
    ShownMessage,
    Transcript,
)
from qwendesk.channels.relay import Frame, Relay
from qwendesk.channels.retry import sleep_unless_stopped
from qwendesk.channels.web.pages import Look
from qwendesk.channels.web.protocol import LARGEST_FILE
from qwendesk.channels.web.sessions import FORGOTTEN, Room, Rooms, shown
from qwendesk.channels.web.socket import LATER, POLICY, Visit
from qwendesk.errors import ChannelError, ConfigError, StoreError
from qwendesk.held_words import Forgotten
from qwendesk.messages import Outbound

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

MOST_SOCKETS = 2000
_POLL_SECONDS, _RELAYED_POLL_SECONDS = 0.5, 5.0
"""Intervals in which answers of another process are read from the database: without the relay, and with it."""
log = logging.getLogger(__name__)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.:\[\]-]+")


class WebChannel(Channel):
    """A page with a socket. A visitor is whoever holds the random token that the page has made for itself."""

    manifest = Manifest(
        "web",
        "Web chat",
        ChannelCapabilities(
            markup="html",
            max_length=16_000,
            edits=True,
            edit_interval=0.15,
            typing=3.0,
            buttons=8,
            max_file_in=LARGEST_FILE,
            shows_machine_notice=True,
        ),
        (
            Setting("title", "What stands over the chat.", default="Chat"),
            Setting("greeting", "What a visitor reads first; empty: a greeting in the visitor's language."),
            Setting("origins", "Sites that may show the chat, such as https://shop.example.", default=()),
            Setting("accent", "The colour of buttons and of the visitor's own messages.", default="#5b4bd6"),
        ),
        simulator="qwendesk.testing.simulators.web:WebSimulator",
        component="web",
        has_page=True,
    )

    def __init__(self, title: str, greeting: str, origins: tuple[str, ...], accent: str) -> None:
        sites = tuple(site.rstrip("/") for site in origins)
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
        self._transcript: Transcript | None = None
        self._relay: Relay | None = None
        self._component: Component = "all"

    def attach(
        self, transcript: Transcript, relay: Relay | None, component: Component, machine_notice: str | bool
    ) -> None:
        """Receive the transcript and the relay, by which pages get what this process has not sent itself."""
        self._transcript, self._relay, self._component = transcript, relay, component
        self._look = replace(self._look, machine=machine_notice)

    async def start(self, accept: Accept) -> None:
        """Wait for visitors; where others answer them, look for the answers."""
        self._accept, self._started = accept, True
        if self._component != "web":
            await self._stopping.wait()
            return
        async with asyncio.TaskGroup() as tasks:
            if self._relay:
                tasks.create_task(self._relay.listen(self._receive, self._stopping))
            tasks.create_task(self._poll())

    async def stop(self) -> None:
        """Take no more messages; pages are told to keep theirs."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Show a message to all pages of the visitor, now or when they are back; its key is its name."""
        frame = shown(message.key, message.text, message.buttons)
        if self._is_worker:  # the message is in the database already, from where pages get it without the relay
            await self._tell(message.conversation, frame)
        else:
            self._room(message.conversation).show(frame)
        return message.key

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Change a message where it stands; one that this process does not know is shown."""
        frame = shown(message_id, message.text, message.buttons)
        if self._is_worker:
            await self._tell(message.conversation, frame)
        else:
            self._room(message.conversation).change(frame)

    async def typing(self, conversation: str) -> None:
        """Show three dots."""
        if self._is_worker:
            await self._tell(conversation, {"type": "typing"})
        else:
            self._room(conversation).tell({"type": "typing"})

    async def check(self) -> str:
        """Say where the page is."""
        return "the page is at /channels/web/ of the desk's web server"

    def routes(self) -> Sequence[BaseRoute]:
        """Return the page, its files and the socket."""
        from starlette.routing import WebSocketRoute

        return [*self._look.routes(), WebSocketRoute("/socket", self._connected)]

    async def aclose(self) -> None:
        """Let ``start`` return."""
        self._stopping.set()
        if self._relay:
            await self._relay.aclose()

    async def drop(self, forgotten: Forgotten) -> None:
        """Drop what is kept of a person, here and at the processes where the person's pages are open."""
        if forgotten.names is None:
            for key in self._rooms.refresh():
                await self._enter(key)
        for key in forgotten.names_on(self.manifest.name):
            self._rooms.forget(key)
            await self._tell(key, FORGOTTEN)

    def _room(self, key: str) -> Room:
        if not self._started:
            raise ChannelError("The web chat is not open yet; it is tried again.")
        return self._rooms.room(key)

    async def _connected(self, socket: WebSocket) -> None:
        if not self._look.allows(socket.headers.get("origin"), socket.headers.get("host", "")):
            self._look.tell_refused(socket.headers.get("origin"))
            await socket.close(POLICY)
            return
        if self._sockets >= MOST_SOCKETS:
            await socket.close(LATER)
            return
        self._sockets += 1
        try:
            await Visit(socket, self._enter, lambda: self._accept, self._tell).run()
        finally:
            self._sockets -= 1

    async def _tell(self, key: str, frame: Frame) -> None:
        """Let the visitor's pages at other processes see it."""
        if self._relay:
            await self._relay.send(key, frame)

    def _receive(self, key: str, frame: Frame) -> None:
        """Show a frame of another process in a session of this one; other sessions read the database when opened."""
        room = self._rooms.known(key)
        if room is None:
            return
        if frame == FORGOTTEN:
            self._rooms.forget(key)
            return
        if frame["type"] == "typing":
            room.tell(frame)
        else:
            room.change(frame)

    @property
    def _is_worker(self) -> bool:
        """Whether this process sends answers to pages that another process serves."""
        return self._component in ("ingress", "worker")

    async def _poll(self) -> None:
        listening = False
        while not self._stopping.is_set():
            await self._catch_up()
            listening, before = bool(self._relay and self._relay.is_listening), listening
            # once more without delay: a frame may have been sent just before this process listened
            await sleep_unless_stopped(self._stopping, _RELAYED_POLL_SECONDS if listening and before else _POLL_SECONDS)

    async def _stored(self, key: str) -> list[ShownMessage]:
        """Return the stored messages of a session, with the names that the page has given to its own."""
        stored = await self._transcript(key) if self._transcript else ()
        return [replace(message, id=message.id.removeprefix(f"{key}:")) for message in stored]

    async def _catch_up(self) -> None:
        for key, room in self._rooms.waiting(monotonic()) if self._transcript else ():
            try:
                found = await self._stored(key)
            except StoreError as error:
                log.warning("Answers for the web chat could not be looked up: %s", error)
                return
            room.catch_up(found)

    async def _enter(self, key: str) -> Room:
        room = self._rooms.room(key)
        if self._transcript and not room.recalled:
            try:
                room.recollect(await self._stored(key))
                room.recalled = True
            except StoreError as error:  # it is looked up when the page is back the next time
                log.warning("What a visitor was shown before could not be looked up: %s", error)
        return room
