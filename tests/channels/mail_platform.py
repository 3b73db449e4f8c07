"""A real mailbox, by dovecot, and a mail server that keeps what it is given."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
from contextlib import AsyncExitStack
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from qwendesk.testing.simulators.base import SeenMessage, Simulator, UserMessage
from tests.ports import free_port

DESK, PASSWORD = "desk@acme.example", "simulated-password"
_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
{users}
"""
_TROUBLES = {"slow_down": "450 busy", "broken": "451 out of order", "gone": "550 no such user"}


def dovecot() -> str:
    """Return the program, or skip the test."""
    found = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin")
    if not found:
        pytest.skip("needs dovecot: apt-get install dovecot-imapd")
    return found


class MailPlatform(Simulator):
    """Mail on this machine; ``UserMessage.chat`` is the Message-ID of the thread's first mail."""

    sends_retry_after = False

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.mails: list[EmailMessage] = []
        self._folder = folder
        self._port = free_port()
        self._number = 0
        self._last = b""
        self._smtp_port = 0

    def settings(self) -> dict[str, Any]:
        here = {"imap_host": "127.0.0.1", "imap_port": self._port, "imap_security": "none"}
        there = {"smtp_host": "127.0.0.1", "smtp_port": self._smtp_port, "smtp_security": "none"}
        return here | there | {"address": DESK, "password": PASSWORD}

    async def write(self, written: UserMessage) -> str:
        self._number += 1
        mail = EmailMessage()
        mail["From"] = f"Anna <p{written.person}@people.example>"
        mail["To"], mail["Subject"], mail["Message-ID"] = DESK, "", f"<m{self._number}@people.example>"
        if written.bot:
            mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(written.text)
        for file in written.files:
            family, _, kind = file.mime.partition("/")
            mail.add_attachment(file.data, maintype=family, subtype=kind, filename=file.name)
        await self.post(bytes(mail))
        return str(mail["Message-ID"])

    async def repeat(self) -> None:
        await self.post(self._last)

    async def deliver_malformed(self, payload: Any) -> None:
        await self.post(payload if isinstance(payload, bytes) else repr(payload).encode())

    async def post(self, mail: bytes) -> None:
        """Put a mail into the mailbox, as a delivery agent does."""
        self._last = mail
        self._number += 1
        name = f"{self._number}.M{self._number}.here"
        first = self._folder / "mail/tmp" / name
        first.write_bytes(mail)
        shutil.chown(first, *self._owner())
        first.rename(self._folder / "mail/new" / name)

    async def _start(self, stack: AsyncExitStack) -> None:
        for box in ("cur", "new", "tmp"):
            (self._folder / "mail" / box).mkdir(parents=True)
        for place in (self._folder, *(self._folder / "mail").rglob("*"), self._folder / "mail"):
            shutil.chown(place, *self._owner())
        process = await asyncio.to_thread(self._dovecot)
        stack.callback(_stop, process)
        how = {"authenticator": _authenticate, "auth_require_tls": False}
        controller = Controller(_Sink(self), hostname="127.0.0.1", port=free_port(), **how)
        controller.start()
        stack.callback(controller.stop)
        self._smtp_port = controller.port
        await self._listening()

    def _owner(self) -> tuple[int, int]:
        nobody = pwd.getpwnam("nobody")
        return (nobody.pw_uid, nobody.pw_gid) if os.geteuid() == 0 else (os.getuid(), os.getgid())

    def _dovecot(self) -> subprocess.Popen[bytes]:
        me = pwd.getpwuid(os.geteuid()).pw_name
        users = "" if os.geteuid() == 0 else f"default_internal_user = {me}\ndefault_login_user = {me}"
        uid, gid = self._owner()
        values = {
            "folder": self._folder,
            "password": PASSWORD,
            "uid": uid,
            "gid": gid,
            "port": self._port,
            "users": users,
        }
        config = self._folder / "dovecot.conf"
        config.write_text(_CONFIG.format(**values))
        return subprocess.Popen([dovecot(), "-F", "-c", str(config)], stderr=subprocess.DEVNULL)

    async def _listening(self) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return


class _Sink:
    """Takes mail and shows it to the person; runs in a thread of its own."""

    def __init__(self, platform: MailPlatform) -> None:
        self._platform = platform
        self._loop = asyncio.get_running_loop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self._platform.faults:
            return _TROUBLES[self._platform.faults.pop(0)]
        self._loop.call_soon_threadsafe(self._show, bytes(envelope.content or b""))
        return "250 OK"

    def _show(self, raw: bytes) -> None:
        import email
        from email import policy

        mail = email.message_from_bytes(raw, policy=policy.default)
        body = mail.get_body(("plain",))
        text = str(body.get_content()).strip() if body else ""
        self._platform.mails.append(mail)
        chat = parseaddr(str(mail["To"]))[1]
        self._platform.messages.append(
            SeenMessage(str(mail["Message-ID"]), chat, text, str(mail["In-Reply-To"]), [text])
        )
        self._platform.notify()


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    known = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=known)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)
