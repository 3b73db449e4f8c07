"""The web chat: visitors of a website write to the desk without an account."""

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
from qwendesk.channels.lifecycle import sleep_unless_stopped
from qwendesk.channels.relay import Frame, Relay
from qwendesk.channels.web.identity import IdentityRefused, IdentityVerifier
from qwendesk.channels.web.pages import ChatPage, read_starters
from qwendesk.channels.web.sessions import FORGOTTEN, VisitorSession, VisitorSessions, author_fields, shown_frame
from qwendesk.channels.web.socket import MAX_FILE_BYTES, POLICY_VIOLATION, TRY_AGAIN_LATER, PageConnection
from qwendesk.channels.web.visitors import VisitorDirectory
from qwendesk.desk.translations import known_language, languages
from qwendesk.errors import ChannelError, ConfigError, StoreError, not_among
from qwendesk.messages import Author, Outbound
from qwendesk.text_caches import Forgotten

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

    from qwendesk.desk.visitors import Visitors

MAX_CONNECTIONS = 2000
_POLL_SECONDS, _RELAYED_POLL_SECONDS = 0.5, 5.0
"""Intervals in which answers of another process are read from the database: without the relay, and with it."""
log = logging.getLogger(__name__)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_PICTURE = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?/[^\s;,'\"<>]*")
_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.:\[\]-]+")


class WebChannel(Channel):
    """A page with a WebSocket; a random token that the page makes identifies its visitor."""

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
            max_file_in=MAX_FILE_BYTES,
            shows_machine_notice=True,
            shows_author=True,
        ),
        (
            Setting("title", "Title over the chat.", default="Chat"),
            Setting("greeting", "First message on the page; empty: a greeting in the visitor's language."),
            Setting("origins", "Websites that may embed the chat, such as https://shop.example.", default=()),
            Setting("accent", "Colour of buttons and of the visitor's own messages.", default="#5b4bd6"),
            Setting(
                "language", "Language of the page, such as 'it'; empty: the browser's. 'data-lang' goes before it."
            ),
            Setting("bot_name", "Name of the bot over its messages; empty: 'Assistant' in the page's language."),
            Setting("bot_picture", "Address of the bot's picture, such as https://shop.example/bot.png."),
            Setting(
                "starters",
                "Questions to begin with, shown as buttons. 'it: Dove è il mio ordine?' is for one language.",
                default=(),
            ),
            Setting(
                "identity_secret",
                "Secret with which the shop's server signs who is logged in; a second one while it is changed.",
                secret=True,
                default=(),
            ),
            Setting(
                "identity_audience", "Value that 'aud' of the shop's tokens must have; empty: tokens have no 'aud'."
            ),
            Setting("identity_enforce", "Whether only customers whom the shop has signed may write.", default=False),
        ),
        simulator="qwendesk.testing.simulators.web:WebSimulator",
        component="web",
        has_page=True,
    )

    def __init__(
        self,
        title: str,
        greeting: str,
        origins: tuple[str, ...],
        accent: str,
        language: str = "",
        bot_name: str = "",
        bot_picture: str = "",
        starters: tuple[str, ...] = (),
        identity_secret: tuple[str, ...] = (),
        identity_audience: str = "",
        identity_enforce: bool = False,
    ) -> None:
        sites = tuple(site.rstrip("/") for site in origins)
        if wrong := [site for site in sites if not _ORIGIN.fullmatch(site)]:
            raise ConfigError(f"'origins' of the web chat has {wrong!r}; an origin is like 'https://shop.example'.")
        if not _COLOUR.fullmatch(accent):
            raise ConfigError(f"'accent' of the web chat is {accent!r}; a colour is like '#5b4bd6'.")
        if language and not known_language(language):
            raise ConfigError(f"'language' of the web chat has {not_among('unknown', [language], languages())}")
        if bot_picture and not _PICTURE.fullmatch(bot_picture):
            raise ConfigError(f"'bot_picture' of the web chat is {bot_picture!r}; it is an address with https://.")
        if identity_enforce and not identity_secret:
            raise ConfigError("'identity_enforce' of the web chat needs 'identity_secret'.")
        verifier = IdentityVerifier(identity_secret, identity_audience)
        self.directory = VisitorDirectory(verifier, is_enforced=identity_enforce)
        self.page = ChatPage(
            title,
            greeting,
            accent,
            sites,
            language=known_language(language) or "",
            bot_name=bot_name,
            bot_picture=bot_picture,
            starters=read_starters(starters),
        )
        self.sessions = VisitorSessions()
        """Sessions that this process serves."""
        self._accept: Accept | None = None
        self._connections = 0
        self._started = False
        self._stopping = asyncio.Event()
        self._transcript: Transcript | None = None
        self._relay: Relay | None = None
        self._component: Component = "all"
        self._logged_faults: set[str] = set()

    def attach(
        self, transcript: Transcript, relay: Relay | None, component: Component, machine_notice: str | bool
    ) -> None:
        """Receive the transcript and the relay, which give pages the messages that other processes send."""
        self._transcript, self._relay, self._component = transcript, relay, component
        self.page = replace(self.page, machine_notice=machine_notice)

    def attach_visitors(self, visitors: Visitors) -> None:
        """Receive the stored visitors, by which a customer finds the conversations of other devices."""
        self.directory.stored = visitors

    @property
    def accept(self) -> Accept | None:
        """Accepts messages; None while the desk stops."""
        return self._accept

    async def start(self, accept: Accept) -> None:
        """Accept messages until ``stop``; if workers answer them, read the answers from the database."""
        self._accept, self._started = accept, True
        if self._component != "web":
            await self._stopping.wait()
            return
        async with asyncio.TaskGroup() as tasks:
            if self._relay:
                tasks.create_task(self._relay.listen(self._receive, self._stopping))
            tasks.create_task(self._poll())

    async def stop(self) -> None:
        """Accept no more messages; pages repeat unconfirmed ones later."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Show a message on all pages of the visitor, now or when they reconnect; return its key as its id."""
        frame = shown_frame(message.key, message.text, message.buttons, message.author, is_complete=message.is_complete)
        if self._is_worker:  # the message is in the database already, from where pages get it without the relay
            await self.publish(message.conversation, frame)
        else:
            session = self._session(message.conversation)
            session.show(frame)
            if session.pages and message.is_complete:
                await self.update_standing(message.conversation, session)
        return message.key

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Change a message in place; show one that this process does not know."""
        frame = shown_frame(message_id, message.text, message.buttons, message.author, is_complete=message.is_complete)
        if self._is_worker:
            await self.publish(message.conversation, frame)
        else:
            self._session(message.conversation).change(frame)

    async def typing(self, conversation: str) -> None:
        """Show the typing sign."""
        await self._show_typing(conversation, {"type": "typing"})

    async def operator_typing(self, conversation: str, author: Author) -> None:
        """Show the typing sign with the operator's name."""
        await self._show_typing(conversation, {"type": "typing", "author": author_fields(author)})

    async def _show_typing(self, conversation: str, frame: Frame) -> None:
        if self._is_worker:
            await self.publish(conversation, frame)
        else:
            self._session(conversation).broadcast(frame)

    async def check(self) -> str:
        """Return the address of the page."""
        return "the page is at /channels/web/ of the desk's web server"

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes of the page, its files and the WebSocket."""
        from starlette.routing import WebSocketRoute

        return [*self.page.routes(), WebSocketRoute("/socket", self._connected)]

    async def aclose(self) -> None:
        """End ``start`` and close the relay."""
        self._stopping.set()
        if self._relay:
            await self._relay.aclose()

    async def drop(self, forgotten: Forgotten) -> None:
        """Drop a person's messages, in this process and in those that serve the person's pages."""
        if forgotten.names is None:
            for key in self.sessions.reset():
                await self.load_session(key)
        for name in forgotten.names_on(self.manifest.name):
            self.sessions.forget_person(name)
            await self.publish(name, FORGOTTEN)

    def _session(self, key: str) -> VisitorSession:
        if not self._started:
            raise ChannelError("The web chat is not open yet; delivery is retried.")
        return self.sessions.open(key)

    async def _connected(self, socket: WebSocket) -> None:
        if not self.page.allows(socket.headers.get("origin"), socket.headers.get("host", "")):
            self.page.log_refused(socket.headers.get("origin"))
            await socket.close(POLICY_VIOLATION)
            return
        if self._connections >= MAX_CONNECTIONS:
            await socket.close(TRY_AGAIN_LATER)
            return
        self._connections += 1
        try:
            await PageConnection(socket, self).run()
        finally:
            self._connections -= 1

    async def update_standing(self, key: str, session: VisitorSession) -> None:
        """Find out who answers in a conversation, and show or hide the form for an address on its pages."""
        session.is_standing_due = False
        if self.directory.stored is None:
            return
        try:
            standing = await self.directory.stored.standing(key)
        except StoreError as error:
            log.info("Who answers in a conversation could not be read: %s", error)
            return
        session.set_standing(standing)

    def log_refused_identity(self, error: IdentityRefused) -> None:
        """Log that an identity was refused, once for each reason."""
        if error.fault not in self._logged_faults and error.fault not in ("required", "expired"):
            self._logged_faults.add(error.fault)
            log.warning("The web chat refused the identity that a page passed: %s (docs/how-to/web.md).", error)

    async def publish(self, key: str, frame: Frame) -> None:
        """Send a frame to the visitor's pages at other processes."""
        if self._relay:
            await self._relay.send(key, frame)

    def _receive(self, key: str, frame: Frame) -> None:
        """Show a frame of another process in a session of this one; other sessions read the database when opened."""
        if frame == FORGOTTEN:
            self.sessions.forget_person(key)
            return
        session = self.sessions.get(key)
        if session is None:
            return
        if frame["type"] == "typing":
            session.broadcast(frame)
        else:
            session.change(frame)
            session.is_standing_due = True

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
        for key, session in self.sessions.awaiting_answer(monotonic()) if self._transcript else ():
            try:
                found = await self._stored(key)
            except StoreError as error:
                log.warning("Answers for the web chat could not be read from the database: %s", error)
                return
            session.catch_up(found)
            if session.is_standing_due:
                await self.update_standing(key, session)

    async def load_session(self, key: str) -> VisitorSession:
        """Return the session of a conversation's key, with its stored messages."""
        session = self.sessions.open(key)
        if self._transcript and not session.is_loaded:
            try:
                session.load(await self._stored(key))
                session.is_loaded = True
            except StoreError as error:  # the page gets it when it reconnects
                log.warning("The earlier messages of a visitor could not be read from the database: %s", error)
        return session
