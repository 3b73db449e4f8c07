"""A real IRC server, ngircd, on this machine, and a person's client."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from irctokens.line import Line, build, tokenise

from tests.channels.certificates import Certificate
from tests.channels.local_server import LocalServer
from tests.ports import free_port

_CONFIG = """
[Global]
Name = irc.here.example
Info = Tests
Listen = 127.0.0.1
Ports = {port}
Password = {password}
MotdPhrase = Hello
PidFile = {folder}/pid
[Limits]
MaxNickLength = 16
MaxConnectionsIP = 0
[Options]
DNS = no
Ident = no
PAM = no
[SSL]
CertFile = {folder}/certificate.pem
KeyFile = {folder}/key.pem
Ports = {secret_port}
"""


@dataclass
class Ngircd(LocalServer):
    """An ngIRCd server."""

    secret_port: int
    password: str = "server-password"

    def command(self) -> list[str]:
        """Return the command line with its settings."""
        return [_program(), "-n", "-f", str(self.folder / "ngircd.conf")]


@contextmanager
def installed_ngircd(folder: Path) -> Iterator[Ngircd]:
    """Prepare a server without starting it, and stop it at the end."""
    _program()
    server = Ngircd(folder, free_port(), free_port())
    Certificate.make(folder, "127.0.0.1")
    values = {"folder": folder, "port": server.port, "secret_port": server.secret_port, "password": server.password}
    (folder / "ngircd.conf").write_text(_CONFIG.format(**values))
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Person:
    """A person with a client that records all lines."""

    writer: asyncio.StreamWriter
    heard: list[Line] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Task[None] | None = None

    @classmethod
    async def come(cls, server: Ngircd, nick: str) -> Person:
        """Log in."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        person = cls(writer)
        person.reading = asyncio.create_task(person._read(reader))
        person.tell("PASS", server.password)
        person.tell("NICK", nick)
        person.tell("USER", nick, "0", "*", nick)
        await person.until(lambda line: line.command == "001")
        return person

    def tell(self, command: str, *values: str) -> None:
        """Send a line."""
        self.writer.write(build(command, list(values)).format().encode() + b"\r\n")

    async def until(self, what: Callable[[Line], bool]) -> Line:
        """Wait for a received line."""
        async with asyncio.timeout(30):
            while not (found := [line for line in self.heard if what(line)]):
                self.came.clear()
                await self.came.wait()
        return found[0]

    def texts(self) -> list[str]:
        """Return the texts of the received messages."""
        return [line.params[1] for line in self.heard if line.command == "PRIVMSG"]

    async def go(self) -> None:
        """Close the connection."""
        self.writer.close()
        if self.reading:
            await self.reading

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.readline():
            line = tokenise(data.strip(b"\r\n"))
            if line.command == "PING":
                self.tell("PONG", *line.params)
            self.heard.append(line)
            self.came.set()


def _program() -> str:
    found = shutil.which("ngircd") or shutil.which("ngircd", path="/usr/sbin:/usr/bin")
    if not found:
        pytest.skip("needs ngircd: apt-get install ngircd")
    return found
