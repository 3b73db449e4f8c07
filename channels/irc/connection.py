"""One IRC connection: registration with SASL, joined channels, and rate-limited lines."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from functools import partial
from uuid import uuid4

from aiolimiter import AsyncLimiter
from irctokens.line import Line, build, tokenise

from qwendesk.channels.connection import ChannelSettings, Connection, Enqueue
from qwendesk.channels.ingest import is_mentioned, strip_mention
from qwendesk.channels.markup.text_split import split_plain
from qwendesk.messages import Inbound, Outbound, storable_text

_MAX_LINE_BYTES = 400
"""The rest of a line's 512 bytes: servers add up to 10 bytes of user, 63 bytes of host, and separators."""
_ACTION = re.compile("\x01ACTION (.*?)\x01?", re.DOTALL)
_COLOURS = re.compile("\x03(?:\\d{1,2}(?:,\\d{1,2})?)?|[\x02\x0f\x11\x16\x1d\x1e\x1f]")
_CAPABILITIES = ("account-tag", "message-tags")
_LOGIN_REFUSED = {"432", "464", "465", "902", "904", "905", "908"}
_TRY_LATER = {"437", "439"}
_JOIN_REFUSED = {"471", "473", "474", "475"}
_NO_CHANNEL = {"403", "477"}
"""The server sends these after JOIN and after PRIVMSG."""
_NICK_TAKEN = {"433", "436", "437"}
_MAX_NICK_SUFFIXES = 5
_BURST_LINES = 4
"""Lines that are sent without delay after a pause."""
_SASL_CHUNK_BYTES = 400


def parse(line: Line, nick: str, server: str, capabilities: Collection[str]) -> Inbound | None:
    """Return the message of a line; None if it does not address the desk or a bot sent it.

    Args:
        line: A PRIVMSG.
        nick: The desk's nick.
        server: The server's host name.
        capabilities: The enabled capabilities; tags are trusted only with ``message-tags``.

    Raises:
        ValueError, IndexError: The line does not conform to the IRC protocol.
    """
    target, text = line.params
    who, tags = line.hostmask, line.tags if "message-tags" in capabilities and line.tags else {}
    private, own = normalize_name(target) == normalize_name(nick), normalize_name(who.nickname) == normalize_name(nick)
    if (action := _ACTION.fullmatch(text)) is not None:
        text = action[1]  # the text of /me
    text = _COLOURS.sub("", storable_text(text)).strip()
    if own or text.startswith("\x01") or not {"bot", "draft/bot"}.isdisjoint(tags) or not who.hostname:
        return None  # the desk, a CTCP query, a bot, or the server
    if not text or not (private or is_mentioned(text, [nick])):
        return None
    # a nick is no identity: without an account, user and host distinguish people
    person = tags.get("account") or f"{normalize_name(who.nickname)}!{who.username}@{who.hostname}"
    return Inbound(
        text if private else strip_mention(text, [nick]),
        f"{who.nickname} {person}" if private else normalize_name(target),
        person=person,
        channel="irc",
        account=server,
        event=tags.get("msgid"),
        reply_to=None if private else who.nickname,
        group=not private,
        display_name=who.nickname,
    )


def split_lines(text: str, names: str) -> Iterator[str]:
    """Split a text into lines that fit with the names that the server adds."""
    limit = _MAX_LINE_BYTES - len(names.encode())
    for line in re.split(r"[\r\n\0]+", text.replace("\x01", "")):
        yield from split_plain(line.rstrip(), lambda part: len(part.encode()) <= limit)


def normalize_name(name: str) -> str:
    """Return a name with ASCII letters in lower case, as in the casemapping ``ascii``."""
    return name.encode().lower().decode()


class IrcConnection(Connection):
    """One connection to an IRC server."""

    title = "IRC"

    def __init__(self, settings: ChannelSettings, enqueue: Enqueue) -> None:
        super().__init__(settings, enqueue)
        self.nick = settings["nick"]
        self.capabilities: set[str] = set()
        for channel in settings["channels"]:
            self.rooms[normalize_name(channel.split()[0])] = partial(self._tell, "JOIN", *channel.split())
        self._registered = asyncio.Event()
        self._pings: dict[str, asyncio.Event] = {}
        seconds = settings["line_seconds"]
        self._limiter = AsyncLimiter(_BURST_LINES, _BURST_LINES * seconds) if seconds else nullcontext()
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect, register, and join the channels."""
        connecting = asyncio.open_connection(self._settings["host"], self._settings["port"], ssl=self._settings["tls"])
        reader, self._writer = await self.wait_for(connecting)
        self.start_task(self.read_all(reader, self._handle_line))
        self._register()
        await self.wait_for(self._registered.wait())
        for join in self.rooms.values():
            join()

    async def ping(self, name: str) -> None:
        """Send PING and wait for PONG."""
        self._pings[name] = answered = asyncio.Event()
        self._tell("PING", name)
        await answered.wait()

    def status(self) -> str:
        """Return the server and the nick of the connection."""
        return f"connected to {self._settings['host']} as {self.nick}"

    async def send(self, message: Outbound) -> str:
        """Send a message line by line within the rate limit; in channels it begins with the asker's nick."""
        text = f"{message.reply_to}: {message.text}" if message.reply_to else message.text
        target = message.conversation.partition(" ")[0]
        name = f"{normalize_name(target)},{uuid4().hex}"  # IRC names have no comma
        async with self.confirming(name, normalize_name(target)) as refusals:
            for line in split_lines(text, f"{self.nick} {target}"):
                async with self._limiter:
                    if refusals or self.closed.done():
                        break  # the rest would be refused too
                    self._tell("PRIVMSG", target, line)
        return name

    async def typing(self, conversation: str) -> None:
        """Send a typing notification, if the server supports message tags."""
        if "message-tags" in self.capabilities:
            async with self._limiter:
                self._tell("TAGMSG", conversation.partition(" ")[0], tags={"+typing": "active"})

    async def close(self) -> None:
        """Send QUIT and close the connection."""
        if self._writer:
            self._tell("QUIT")
            self._writer.close()
        await super().close()

    def _tell(self, command: str, *values: str, tags: dict[str, str] | None = None) -> None:
        if self._writer and not self._writer.is_closing():
            self._writer.write(build(command, list(values), tags=tags).format().encode() + b"\r\n")

    def _register(self) -> None:
        """Request each capability separately, and the nick; with an account, SASL ends the negotiation."""
        account, password = self._settings["account"], self._settings["password"]
        for capability in (*_CAPABILITIES, "sasl") if account else _CAPABILITIES:
            self._tell("CAP", "REQ", capability)
        if password and not account:
            self._tell("PASS", password)
        self._tell("NICK", self.nick)
        self._tell("USER", self.nick, "0", "*", "Qwendesk")
        if not account:
            self._tell("CAP", "END")

    def _handle_line(self, data: bytes) -> None:
        line = tokenise(data.strip(b"\r\n"))
        match line.command:
            case "PRIVMSG" if inbound := parse(line, self.nick, self._settings["host"], self.capabilities):
                self._enqueue(inbound)
            case "PING":
                self._tell("PONG", *line.params)
            case "PONG" if answered := self._pings.pop(line.params[-1], None):
                answered.set()
            case "NICK" if self._is_me(line.hostmask.nickname):
                self.nick = line.params[0]
            case "JOIN" if self._is_me(line.hostmask.nickname):
                self.mark_joined(normalize_name(line.params[0]))
            case "KICK" if self._is_me(line.params[1]):
                self.mark_left(normalize_name(line.params[0]), " ".join(["kicked", *line.params[2:]]))
            case "ERROR":
                self._server_closed(line.params[-1], permanent="password" in line.params[-1].lower())
            case _ if not self._registered.is_set():
                self._handle_registration(line)
            case code if code.startswith(("4", "5")):
                self._refused(line)

    def _is_me(self, nick: str) -> bool:
        return normalize_name(nick) == normalize_name(self.nick)

    def _handle_registration(self, line: Line) -> None:
        match line.command, [value.strip() for value in line.params]:
            case "CAP", [_, "ACK", capability]:
                self.capabilities.add(capability)
                if capability == "sasl":
                    self._tell("AUTHENTICATE", "PLAIN")
            case "AUTHENTICATE", _:
                self._authenticate()
            case "903", _:
                self._tell("CAP", "END")
            case ("CAP", [_, "NAK", "sasl"]) | ("001", _) if (
                self._settings["account"] and "sasl" not in self.capabilities
            ):
                advice = "leave 'account' in [channels.irc] empty, or choose another server"
                self.fail(f"the server offers no SASL, and the desk cannot log in; {advice}", permanent=True)
            case "001", [nick, *_]:
                self.nick = nick
                self._registered.set()
            case code, _ if code in _NICK_TAKEN and len(self.nick) < len(self._settings["nick"]) + _MAX_NICK_SUFFIXES:
                self.nick += "_"
                self._tell("NICK", self.nick)
            case code, [*_, why] if code in _LOGIN_REFUSED | _NICK_TAKEN:
                self._server_closed(why, permanent=True)

    def _authenticate(self) -> None:
        account, password = self._settings["account"], self._settings["password"]
        proof = base64.b64encode(f"{account}\0{account}\0{password}".encode()).decode()
        for start in range(0, len(proof) + 1, _SASL_CHUNK_BYTES):
            self._tell("AUTHENTICATE", proof[start : start + _SASL_CHUNK_BYTES] or "+")

    def _server_closed(self, why: str, *, permanent: bool) -> None:
        advice = "; check QWENDESK_CHANNELS__IRC__PASSWORD, 'account' and 'nick'" if permanent else ""
        self.fail(f"the server closes the connection, {why!r}{advice}", permanent=permanent)

    def _refused(self, line: Line) -> None:
        """Handle an error reply: fail the message or the join that it names, or log it."""
        about = normalize_name(line.params[1])
        name = next((name for name in self.pending if name.startswith(f"{about},")), None)
        if name and line.command not in _JOIN_REFUSED:
            self.refuse(name, " ".join(line.params[1:]), permanent=line.command not in _TRY_LATER)
        elif line.command in _JOIN_REFUSED | _NO_CHANNEL:
            self.mark_left(about, line.params[-1])
        else:
            self.warn(" ".join(line.params[1:]))
