"""One connection to an IRC server: registered under a nick, in its channels, and sure of what it has sent."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any
from uuid import uuid4

from irctokens.line import Line, build, tokenise

from qwendesk.channels.irc.text import folded, lines_of
from qwendesk.channels.link import Link
from qwendesk.errors import ChannelError

log = logging.getLogger(__name__)
_WANTED = ("account-tag", "message-tags")
_REFUSES_THE_DESK = {"432", "464", "465", "902", "904", "905", "908"}
_REFUSES_FOR_NOW = {"437", "439"}
_NOT_ENTERED = {"471", "473", "474", "475"}
_NOT_THERE = {"403", "477"}
"""Said of who wants to enter, and of who writes."""
_NICK_TAKEN = {"433", "436", "437"}
_TRIED_NICKS = 5
_BURST = 4
_SILENT_SECONDS = 120.0
_SASL_BYTES = 400
_OUTSIDE_SECONDS = 30.0
"""After so long the desk tries again to enter a channel that it was put out of, or not let into."""


class Connection(Link):
    """Made anew each time.

    Args:
        of: the channel's settings.
        channels: the channels to enter.
        heard: is given what people write; must not wait.
    """

    def __init__(self, of: dict[str, Any], channels: list[str], heard: Callable[[Connection, Line], None]) -> None:
        super().__init__("IRC")
        self.nick = of["nick"]
        self.abilities: set[str] = set()
        self._of, self._heard = of, heard
        self._offered: list[str] = []
        self._keys = {folded(channel.split()[0]): channel.split() for channel in channels}
        self._outside: dict[str, str] = {}
        """The channels that the desk is not in, and why."""
        self._registered = asyncio.Event()
        self._said: dict[str, tuple[str, asyncio.Future[Line]]] = {}
        self._free_at = 0.0
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, register and enter the channels."""
        trusted = ssl.create_default_context() if self._of["tls"] else None
        try:
            came, self._writer = await self.lasting(
                asyncio.open_connection(self._of["host"], self._of["port"], ssl=trusted)
            )
        except OSError as error:
            raise ChannelError(f"The IRC server cannot be reached: {error}.") from error
        self._reader = asyncio.create_task(self._read(came))
        self._tell("CAP", "LS", "302")
        if self._of["password"] and not self._of["account"]:
            self._tell("PASS", self._of["password"])
        self._tell("NICK", self.nick)
        self._tell("USER", self._of["nick"], "0", "*", "Qwendesk")
        await self.lasting(self._registered.wait())
        for entered in self._keys.values():
            self._tell("JOIN", *entered)

    async def say(self, target: str, text: str) -> str:
        """Write a text, line by line as fast as servers bear it, and return its name; the server answers in order.

        Raises:
            ChannelError: a line was refused, or the connection is lost.
        """
        name, answered = uuid4().hex, asyncio.get_running_loop().create_future()
        self._said[name] = folded(target), answered
        try:
            for line in lines_of(text, f"{self.nick} {target}"):
                await self._pace()
                if answered.done() or self.ended.done():
                    break  # nobody reads the rest
                self._tell("PRIVMSG", target, line)
            self._tell("PING", name)
            answer = await self.lasting(answered)
        finally:
            self._said.pop(name, None)
        if answer.command != "PONG":
            why = f"IRC refuses the message: {' '.join(answer.params[1:])}."
            raise ChannelError(why, permanent=answer.command not in _REFUSES_FOR_NOW)
        return name

    async def type(self, target: str) -> None:
        """Show that something is being written, where the server passes that on."""
        if "message-tags" in self.abilities:
            await self._pace()
            self._tell("TAGMSG", target, tags={"+typing": "active"})

    async def close(self) -> None:
        """Hang up."""
        self.end("the desk has hung up")
        if self._writer:
            self._tell("QUIT")
            self._writer.close()
        if self._reader:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    def _tell(self, command: str, *values: str, tags: dict[str, str] | None = None) -> None:
        if self._writer and not self._writer.is_closing():
            self._writer.write(build(command, list(values), tags=tags).format().encode() + b"\r\n")

    async def _pace(self) -> None:
        pause, now = self._of["line_seconds"], monotonic()
        self._free_at = max(self._free_at, now - _BURST * pause) + pause
        await asyncio.sleep(max(0.0, self._free_at - now))

    async def _read(self, came: asyncio.StreamReader) -> None:
        answer = self.reading(self._answer)
        try:
            while data := await self._next(came):
                if line := data.strip(b"\r\n"):
                    answer(line)
            self.end("the server has hung up")
        except (OSError, ValueError) as error:  # a line without an end is a ValueError
            self.end(f"the connection broke, {error}")

    async def _next(self, came: asyncio.StreamReader) -> bytes:
        for _ in range(2):
            with suppress(TimeoutError):
                async with asyncio.timeout(_SILENT_SECONDS):
                    return await came.readline()
            self._tell("PING", "there")
        return b""

    def _answer(self, data: bytes) -> None:
        line = tokenise(data)
        match line.command:
            case "PRIVMSG":
                self._heard(self, line)
            case "PING":
                self._tell("PONG", *line.params)
            case "PONG" if line.params[-1] in self._said:
                self._said.pop(line.params[-1])[1].set_result(line)
            case "NICK" if folded(line.hostmask.nickname) == folded(self.nick):
                self.nick = line.params[0]
            case "JOIN" | "KICK":
                self._moved(line)
            case "ERROR":
                self._hung_up(line.params[-1], permanent="password" in line.params[-1].lower())
            case _ if self._registered.is_set():
                self._refused(line)
            case _:
                self._register(line)

    def _register(self, line: Line) -> None:
        match line.command:
            case "CAP":
                self._negotiate(line.params[1], line.params[-1].split(), more=line.params[2:-1] == ["*"])
            case "AUTHENTICATE":
                self._prove()
            case "903":
                self._tell("CAP", "END")
            case "001" if self._of["account"] and "sasl" not in self.abilities:
                self._cannot_log_in()
            case "001":
                self.nick = line.params[0]
                self._registered.set()
            case code if code in _NICK_TAKEN and len(self.nick) < len(self._of["nick"]) + _TRIED_NICKS:
                self.nick += "_"
                self._tell("NICK", self.nick)
            case code if code in _REFUSES_THE_DESK | _NICK_TAKEN:
                self._hung_up(line.params[-1], permanent=True)

    def _hung_up(self, why: str, *, permanent: bool) -> None:
        advice = "; check QWENDESK_CHANNELS__IRC__PASSWORD, 'account' and 'nick'" if permanent else ""
        self.end(f"the server hangs up, {why!r}{advice}", permanent=permanent)

    def _cannot_log_in(self) -> None:
        advice = "leave 'account' in [channels.irc] empty, or choose another server"
        self.end(f"the server offers no SASL, and the desk cannot log in; {advice}", permanent=True)

    def _negotiate(self, kind: str, abilities: list[str], *, more: bool) -> None:
        """Ask for what the server offers and the desk can use; a proof of who the desk is comes before all else.

        Args:
            kind: what the server says.
            abilities: about what.
            more: whether the rest comes in another line.
        """
        if kind == "LS":
            self._offered += [ability.partition("=")[0] for ability in abilities]
            if not more:
                self._ask()
        elif kind in ("ACK", "NAK"):
            self.abilities |= set(abilities) if kind == "ACK" else set()
            if not more:
                self._log_in()

    def _ask(self) -> None:
        wanted = [*_WANTED, "sasl"] if self._of["account"] else _WANTED
        asked = [ability for ability in wanted if ability in self._offered]
        if self._of["account"] and "sasl" not in asked:
            self._cannot_log_in()
        else:
            self._tell(*(("CAP", "REQ", " ".join(asked)) if asked else ("CAP", "END")))

    def _log_in(self) -> None:
        if not self._of["account"]:
            self._tell("CAP", "END")
        elif "sasl" in self.abilities:
            self._tell("AUTHENTICATE", "PLAIN")
        else:
            self._cannot_log_in()

    def _moved(self, line: Line) -> None:
        """Note that the desk is in a channel, or was put out of it."""
        channel = line.params[0]
        if line.command == "JOIN" and folded(line.hostmask.nickname) == folded(self.nick):
            self._outside.pop(folded(channel), None)
        elif line.command == "KICK" and folded(line.params[1]) == folded(self.nick):
            self._is_outside(channel, " ".join(["put out", *line.params[2:]]))
        self._tell_of_channels()

    def _is_outside(self, channel: str, why: str) -> None:
        """Note that the desk is not in a channel, and try again later; the others go on."""
        if key := self._keys.get(folded(channel)):
            self._outside[folded(channel)] = f"{key[0]} ({why})"
            asyncio.get_running_loop().call_later(_OUTSIDE_SECONDS, self._tell, "JOIN", *key)
            log.warning("IRC: not in %s (%s); the next try is in %g s.", key[0], why, _OUTSIDE_SECONDS)
        self._tell_of_channels()

    def _tell_of_channels(self) -> None:
        self.trouble = f"IRC: the desk is not in {', '.join(self._outside.values())}." if self._outside else ""

    def _prove(self) -> None:
        proof = base64.b64encode("\0".join((self._of["account"],) * 2 + (self._of["password"],)).encode()).decode()
        for start in range(0, len(proof) + 1, _SASL_BYTES):
            self._tell("AUTHENTICATE", proof[start : start + _SASL_BYTES] or "+")

    def _refused(self, line: Line) -> None:
        """Tell who waits for it that a line was refused."""
        if line.command.isdecimal() and line.command[0] in "45" and len(line.params) > 1:
            about = folded(line.params[1])
            name = next((name for name, (target, _) in self._said.items() if target == about), None)
            if about in self._keys and line.command in (_NOT_ENTERED if name else _NOT_ENTERED | _NOT_THERE):
                self._is_outside(about, line.params[-1])
            elif name:
                self._said.pop(name)[1].set_result(line)
            else:
                log.warning("IRC: %s", " ".join(line.params[1:]))
