"""The IRC channel on irctokens."""

from __future__ import annotations

import asyncio
import base64
from contextlib import nullcontext
from functools import partial
from uuid import uuid4

from aiolimiter import AsyncLimiter
from irctokens.line import Line, build, tokenise

from qwendesk.channels.base import Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.connection import Connection, Enqueue, Values
from qwendesk.channels.irc.parse import normalize_name, parse, split_lines
from qwendesk.channels.persistent_connection import PersistentConnectionChannel
from qwendesk.messages import Outbound


class IrcChannel(PersistentConnectionChannel, Channel):
    """A nick; a message of several lines is written as so many."""

    manifest = Manifest(
        "irc",
        "IRC",
        ChannelCapabilities(max_length=2000, length_unit="bytes", typing=6.0, groups=True),
        (
            Setting("host", "The server's address.", required=True),
            Setting("port", "Its port.", default=6697),
            Setting("tls", "Whether the connection is kept secret.", default=True),
            Setting("nick", "What the desk is called; where that is taken, _ is added.", default="qwendesk"),
            Setting("channels", "Channels to be in, such as #help; a key after a space.", default=()),
            Setting("account", "The registered account to log in to (SASL); empty: none."),
            Setting("password", "The account's password; without an account, the server's.", True),
            Setting("line_seconds", "Seconds from line to line, after a few at once.", default=1.0),
        ),
        needs=("irctokens",),
        simulator="qwendesk.testing.simulators.irc:IrcSimulator",
    )

    def make_connection(self) -> Connection:
        """Make a connection."""
        return IrcConnection(self._settings, self.enqueue)


_CAPABILITIES = ("account-tag", "message-tags")

_LOGIN_REFUSED = {"432", "464", "465", "902", "904", "905", "908"}

_TRY_LATER = {"437", "439"}

_JOIN_REFUSED = {"471", "473", "474", "475"}

_NO_CHANNEL = {"403", "477"}

"""Said of who wants to enter, and of who writes."""

_NICK_TAKEN = {"433", "436", "437"}

_MAX_NICK_SUFFIXES = 5

_BURST_LINES = 4

"""Lines that go out at once after a pause."""

_SASL_CHUNK_BYTES = 400


class IrcConnection(Connection):
    """Made anew each time."""

    title = "IRC"

    def __init__(self, settings: Values, put: Enqueue) -> None:
        super().__init__(settings, put)
        self.nick = settings["nick"]
        self.abilities: set[str] = set()
        for channel in settings["channels"]:
            self.rooms[normalize_name(channel.split()[0])] = partial(self._tell, "JOIN", *channel.split())
        self._registered = asyncio.Event()
        self._asked: dict[str, asyncio.Event] = {}
        seconds = settings["line_seconds"]
        self._pace = AsyncLimiter(_BURST_LINES, _BURST_LINES * seconds) if seconds else nullcontext()
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect, register and enter the channels."""
        connecting = asyncio.open_connection(self._settings["host"], self._settings["port"], ssl=self._settings["tls"])
        came, self._writer = await self.wait_for(connecting)
        self.start_task(self.read_all(came, self._answer))
        self._introduce()
        await self.wait_for(self._registered.wait())
        for enter in self.rooms.values():
            enter()

    async def ping(self, name: str) -> None:
        """Ask the server whether it is there."""
        self._asked[name] = answered = asyncio.Event()
        self._tell("PING", name)
        await answered.wait()

    def status(self) -> str:
        """Say in one line as whom the desk is connected."""
        return f"connected to {self._settings['host']} as {self.nick}"

    async def send(self, message: Outbound) -> str:
        """Write a message, to whom it answers where others read along, line by line as fast as servers bear it."""
        text = f"{message.reply_to}: {message.text}" if message.reply_to else message.text
        target = message.conversation.partition(" ")[0]
        name = f"{normalize_name(target)},{uuid4().hex}"  # no name on IRC has a comma in it
        async with self.confirming(name, normalize_name(target)) as refusals:
            for line in split_lines(text, f"{self.nick} {target}"):
                async with self._pace:
                    if refusals or self.closed.done():
                        break  # nobody reads the rest
                    self._tell("PRIVMSG", target, line)
        return name

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being written, where the server passes that on, to programs that can show it."""
        if "message-tags" in self.abilities:
            async with self._pace:
                self._tell("TAGMSG", conversation.partition(" ")[0], tags={"+typing": "active"})

    async def close(self) -> None:
        """Hang up."""
        if self._writer:
            self._tell("QUIT")
            self._writer.close()
        await super().close()

    def _tell(self, command: str, *values: str, tags: dict[str, str] | None = None) -> None:
        if self._writer and not self._writer.is_closing():
            self._writer.write(build(command, list(values), tags=tags).format().encode() + b"\r\n")

    def _introduce(self) -> None:
        """Ask for abilities, each answered by itself, and for a nick; who has an account proves it first."""
        account, password = self._settings["account"], self._settings["password"]
        for ability in (*_CAPABILITIES, "sasl") if account else _CAPABILITIES:
            self._tell("CAP", "REQ", ability)
        if password and not account:
            self._tell("PASS", password)
        self._tell("NICK", self.nick)
        self._tell("USER", self.nick, "0", "*", "Qwendesk")
        if not account:
            self._tell("CAP", "END")

    def _answer(self, data: bytes) -> None:
        line = tokenise(data.strip(b"\r\n"))
        match line.command:
            case "PRIVMSG" if inbound := parse(line, self.nick, self._settings["host"], self.abilities):
                self._put(inbound)
            case "PING":
                self._tell("PONG", *line.params)
            case "PONG" if answered := self._asked.pop(line.params[-1], None):
                answered.set()
            case "NICK" if self._is_me(line.hostmask.nickname):
                self.nick = line.params[0]
            case "JOIN" if self._is_me(line.hostmask.nickname):
                self.mark_joined(normalize_name(line.params[0]))
            case "KICK" if self._is_me(line.params[1]):
                self.mark_left(normalize_name(line.params[0]), " ".join(["put out", *line.params[2:]]))
            case "ERROR":
                self._hung_up(line.params[-1], permanent="password" in line.params[-1].lower())
            case _ if not self._registered.is_set():
                self._register(line)
            case code if code.startswith(("4", "5")):
                self._refused(line)

    def _is_me(self, nick: str) -> bool:
        return normalize_name(nick) == normalize_name(self.nick)

    def _register(self, line: Line) -> None:
        match line.command, [value.strip() for value in line.params]:
            case "CAP", [_, "ACK", ability]:
                self.abilities.add(ability)
                if ability == "sasl":
                    self._tell("AUTHENTICATE", "PLAIN")
            case "AUTHENTICATE", _:
                self._prove()
            case "903", _:
                self._tell("CAP", "END")
            case ("CAP", [_, "NAK", "sasl"]) | ("001", _) if self._settings["account"] and "sasl" not in self.abilities:
                advice = "leave 'account' in [channels.irc] empty, or choose another server"
                self.fail(f"the server offers no SASL, and the desk cannot log in; {advice}", permanent=True)
            case "001", [nick, *_]:
                self.nick = nick
                self._registered.set()
            case code, _ if code in _NICK_TAKEN and len(self.nick) < len(self._settings["nick"]) + _MAX_NICK_SUFFIXES:
                self.nick += "_"
                self._tell("NICK", self.nick)
            case code, [*_, why] if code in _LOGIN_REFUSED | _NICK_TAKEN:
                self._hung_up(why, permanent=True)

    def _prove(self) -> None:
        account, password = self._settings["account"], self._settings["password"]
        proof = base64.b64encode(f"{account}\0{account}\0{password}".encode()).decode()
        for start in range(0, len(proof) + 1, _SASL_CHUNK_BYTES):
            self._tell("AUTHENTICATE", proof[start : start + _SASL_CHUNK_BYTES] or "+")

    def _hung_up(self, why: str, *, permanent: bool) -> None:
        advice = "; check QWENDESK_CHANNELS__IRC__PASSWORD, 'account' and 'nick'" if permanent else ""
        self.fail(f"the server hangs up, {why!r}{advice}", permanent=permanent)

    def _refused(self, line: Line) -> None:
        """Tell who waits for it that a line was refused."""
        about = normalize_name(line.params[1])
        name = next((name for name in self.pending if name.startswith(f"{about},")), None)
        if name and line.command not in _JOIN_REFUSED:
            self.refuse(name, " ".join(line.params[1:]), permanent=line.command not in _TRY_LATER)
        elif line.command in _JOIN_REFUSED | _NO_CHANNEL:
            self.mark_left(about, line.params[-1])
        else:
            self.warn(" ".join(line.params[1:]))
