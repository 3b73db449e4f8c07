"""An IRC server that runs here: the desk's nick, one channel, and people who write."""

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
    """Speaks the real protocol over TCP; every group is the one channel, and a PING ends a message."""

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
        """Return what the channel's settings have to be."""
        where = {"host": "127.0.0.1", "port": self._port, "tls": False, "line_seconds": 0.0}
        return where | {"nick": _DESK, "channels": _CHANNEL, "account": _ACCOUNT, "password": _PASSWORD}

    async def wait_started(self) -> None:
        """Wait until the desk is there."""
        await self._present.wait()

    async def write(self, written: UserMessage) -> str:
        """Let a person write."""
        self._number += 1
        name, nick = f"m{self._number}", f"p{written.person}"
        text = f"{_DESK}: {written.text}" if written.mention else written.text
        tags = {"msgid": name} | ({"bot": ""} if written.bot else {})
        to = _CHANNEL if written.group else _DESK
        self._last = build("PRIVMSG", [to, text], f"{nick}!{nick}@people.example", tags).format().encode()
        await self.repeat()
        return name

    async def repeat(self) -> None:
        """Deliver the last message once more."""
        await self.deliver_malformed(self._last)

    async def deliver_malformed(self, payload: Any) -> None:
        """Deliver a line as it is; anything else in lines that are none."""
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
        stack.callback(self._hang_up)

    def _hang_up(self) -> None:
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

    def is_there(self, client: _Client) -> None:
        """Take a connection for the desk's."""
        self._client = client
        self._present.set()

    def see(self, name: str, target: str, lines: list[str]) -> None:
        """Show a message to the person."""
        self.messages.append(SeenMessage(name, target, "\n".join(lines), None, ["\n".join(lines)]))
        self.notify()

    def see_typing(self, target: str) -> None:
        """Show that the desk writes."""
        self.typing.append(target)
        self.notify()


class _Client:
    """The server's end of one connection."""

    def __init__(self, platform: IrcSimulator, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._platform = platform
        self._lines: list[str] = []
        self._target = ""

    def take(self, line: Line) -> None:
        """Answer a line."""
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
                self._platform.is_there(self)
            case "TAGMSG", [target]:
                self._platform.see_typing(target)
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
            self._platform.see(name, self._target, lines)
        self._say("PONG", _HERE, name)

    def _say(self, command: str, *values: str) -> None:
        self.writer.write(build(command, list(values), _HERE).format().encode() + b"\r\n")
