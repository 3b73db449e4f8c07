"""Simulated IRC server: one client, the desk, and one channel."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack, suppress
from typing import Any

from irctokens.line import Line, build, tokenise

from qwendesk.testing.simulators.base import Fault, SeenMessage, Simulator, UserMessage

_HERE, _DESK, _CHANNEL = "irc.here.example", "desk", "#lobby"
_ACCOUNT, _PASSWORD = "desk-account", "simulated-password"
_REFUSALS: dict[Fault, tuple[str, str]] = {
    "slow_down": ("439", "Target change too fast. Please wait."),
    "gone": ("401", "No such nick/channel"),
    "bad_markup": ("404", "Cannot send to channel"),
}


class IrcSimulator(Simulator):
    """An IRC server on TCP; all groups are one channel, and PING ends a message of several lines."""

    sends_retry_after = False
    sends_locale = False

    def __init__(self) -> None:
        super().__init__()
        self._port = 0
        self._client: _Client | None = None
        self._present = asyncio.Event()
        self._number = 0
        self._last = b""

    def settings(self) -> dict[str, Any]:
        """Return the channel settings of this server."""
        where = {"host": "127.0.0.1", "port": self._port, "tls": False, "line_seconds": 0.0}
        return where | {"nick": _DESK, "channels": _CHANNEL, "account": _ACCOUNT, "password": _PASSWORD}

    async def wait_started(self) -> None:
        """Wait until the desk has joined the channel."""
        await self._present.wait()

    async def write(self, message: UserMessage) -> str:
        """Deliver a person's message."""
        self._number += 1
        name, nick = f"m{self._number}", f"p{message.person}"
        text = f"{_DESK}: {message.text}" if message.mention else message.text
        tags = {"msgid": name} | ({"bot": ""} if message.bot else {})
        to = _CHANNEL if message.group else _DESK
        self._last = build("PRIVMSG", [to, text], f"{nick}!{nick}@people.example", tags).format().encode()
        await self.repeat()
        return name

    async def repeat(self) -> None:
        """Deliver the last message again."""
        await self.deliver_malformed(self._last)

    async def deliver_malformed(self, payload: Any) -> None:
        """Deliver bytes as a line, other values in invalid lines."""
        await self._present.wait()
        text = json.dumps(payload, default=repr).encode()
        lines = [payload] if isinstance(payload, bytes) else [b"PRIVMSG " + text, b"@ :", b":x PRIVMSG desk :" + text]
        if self._client is None:
            raise ConnectionError("the desk is not connected")
        self._client.writer.write(b"".join(line + b"\r\n" for line in lines))
        await self._client.writer.drain()

    async def _start(self, stack: AsyncExitStack) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        stack.callback(server.close)
        stack.callback(self._close_client)

    def _close_client(self) -> None:
        if self._client:
            self._client.writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(self, writer)
        with suppress(ConnectionError):
            while data := (await reader.readline()).strip():
                client.take(tokenise(data))
        if self._client is client:
            self._present.clear()
        writer.close()

    def set_client(self, client: _Client) -> None:
        """Set the connection on which the desk receives messages."""
        self._client = client
        self._present.set()

    def record(self, name: str, target: str, lines: list[str]) -> None:
        """Record a message of the desk."""
        self.messages.append(SeenMessage(name, target, "\n".join(lines), None, ["\n".join(lines)]))
        self.notify()

    def record_typing(self, target: str) -> None:
        """Record a typing notification."""
        self.typing.append(target)
        self.notify()


class _Client:
    """One connection of a client to the server."""

    def __init__(self, platform: IrcSimulator, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._platform = platform
        self._lines: list[str] = []
        self._target = ""

    def take(self, line: Line) -> None:
        """Handle a line of the client."""
        match line.command, line.params:
            case "CAP", ["REQ", ability]:
                self._say("CAP", "*", "ACK", ability)
            case "CAP", ["END"]:
                self._say("001", _DESK, "Welcome")
            case "AUTHENTICATE", ["PLAIN"]:
                self._say("AUTHENTICATE", "+")
            case "AUTHENTICATE", [proof]:
                wanted = "\0".join((_ACCOUNT, _ACCOUNT, _PASSWORD)).encode()
                self._say("903" if base64.b64decode(proof) == wanted else "904", _DESK, "SASL")
            case "JOIN", [_]:
                self._platform.set_client(self)
            case "TAGMSG", [target]:
                self._platform.record_typing(target)
            case "PRIVMSG", [target, text]:
                self._shown(target, text)
            case "PING", [name]:
                self._pong(name)

    def _shown(self, target: str, text: str) -> None:
        if not self._platform.faults:
            self._target = target
            self._lines.append(text)
            return
        fault = self._platform.faults.pop(0)
        if fault == "broken":
            self._say("ERROR", "Closing Link: out of order")
            self.writer.close()
            return
        code, why = _REFUSALS[fault]
        self._say(code, _DESK, target, why)

    def _pong(self, name: str) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._platform.record(name, self._target, lines)
        self._say("PONG", _HERE, name)

    def _say(self, command: str, *values: str) -> None:
        self.writer.write(build(command, list(values), _HERE).format().encode() + b"\r\n")
