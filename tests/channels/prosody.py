"""A real XMPP server, prosody, on this machine, and a person's client."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from slixmpp import JID, ClientXMPP, Message

from tests.channels.certificates import Certificate
from tests.channels.local_server import LocalServer
from tests.ports import free_port

DOMAIN, PASSWORD = "here.example", "prosody-password"
_CONFIG = """
data_path = "{folder}/data"
pidfile = "{folder}/pid"
log = {{ info = "{folder}/log" }}
run_as_root = {root}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{}}
s2s_ports = {{}}
http_ports = {{ {http} }}
https_ports = {{}}
http_host = "127.0.0.1"
http_interfaces = {{ "127.0.0.1" }}
c2s_require_encryption = false
authentication = "internal_plain"
ssl = {{ certificate = "{folder}/certificate.pem", key = "{folder}/key.pem" }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "offline", "presence", "message", "iq" }}
modules_disabled = {{ "s2s" }}
VirtualHost "{domain}"
Component "rooms.{domain}" "muc"
    muc_room_locking = false
Component "files.{domain}" "http_file_share"
    http_host = "127.0.0.1"
    http_external_url = "http://127.0.0.1:{http}/"
"""


@dataclass
class Prosody(LocalServer):
    """A Prosody server."""

    http: int

    def register(self, name: str) -> str:
        """Create an account and return its JID."""
        command = self._command("prosodyctl", "register", name, DOMAIN, PASSWORD)
        subprocess.run(command, check=True, capture_output=True)
        return f"{name}@{DOMAIN}"

    def command(self) -> list[str]:
        """Return the command line with its settings."""
        return self._command("prosody", "-F")

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [_program(program), "--config", str(self.folder / "prosody.cfg.lua"), *arguments]


@contextmanager
def installed_prosody(folder: Path) -> Iterator[Prosody]:
    """Prepare a server without starting it, and stop it at the end."""
    _program("prosody")
    server = Prosody(folder, free_port(), free_port())
    Certificate.make(folder, DOMAIN)
    values = {"folder": folder, "port": server.port, "http": server.http, "domain": DOMAIN}
    config = _CONFIG.format(**values, root=str(os.geteuid() == 0).lower())
    (folder / "prosody.cfg.lua").write_text(config)
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Person:
    """A person with a client."""

    client: ClientXMPP
    heard: list[Message] = field(default_factory=list)
    typing: list[str] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def come(cls, server: Prosody, name: str) -> Person:
        """Create an account and log in."""
        jid = await asyncio.to_thread(server.register, name)
        allowed = {"feature_mechanisms": {"unencrypted_plain": True, "unencrypted_scram": True}}
        person = cls(ClientXMPP(f"{jid}/phone", PASSWORD, plugin_config=allowed))
        client = person.client
        for number in ("0030", "0045", "0066", "0085", "0308", "0363", "0461"):
            client.register_plugin(f"xep_{number}")
        client.enable_direct_tls = client.enable_starttls = False
        client.enable_plaintext = True
        client.add_event_handler("message", person._hear)
        seen = person.typing
        client.add_event_handler("chatstate_composing", lambda message: person._note(seen, message["from"].bare))
        client.connect("127.0.0.1", server.port)
        await client.wait_until("session_start", 20)
        client.send_presence()
        return person

    async def enter(self, room: str, nick: str = "") -> None:
        """Join a room."""
        muc = self.client.plugin["xep_0045"]
        await muc.join_muc_wait(JID(room), nick or self.client.boundjid.user, maxstanzas=0, timeout=20)

    async def leave(self, room: str) -> None:
        """Leave a room."""
        self.client.plugin["xep_0045"].leave_muc(JID(room), self.client.boundjid.user)
        await self.settle()

    async def settle(self) -> None:
        """Wait until the server has processed all sent stanzas."""
        await self.client.plugin["xep_0030"].get_info(DOMAIN)

    def say(self, to: str, text: str, kind: str = "chat", **more: str) -> str:
        """Send a message."""
        message = self.client.make_message(to, text, mtype=kind)
        for name, value in more.items():
            plugin, _, part = name.partition("_")
            message[plugin][part] = value
        message.send()
        return str(message["id"])

    async def until(self, what: Any) -> None:
        """Wait until a condition on the received messages holds."""
        async with asyncio.timeout(30):
            while not what(self):
                self.came.clear()
                await self.came.wait()

    async def go(self) -> None:
        """Log out."""
        await self.client.disconnect()

    def _hear(self, message: Message) -> None:
        if message["body"]:
            self._note(self.heard, message)

    def _note(self, where: list[Any], what: Any) -> None:
        where.append(what)
        self.came.set()


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/bin:/usr/sbin")
    if not found:
        pytest.skip("needs prosody: apt-get install prosody")
    return found
