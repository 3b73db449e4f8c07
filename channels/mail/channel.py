"""The e-mail channel: IMAP with IDLE for receiving, SMTP for sending."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, localtime
from functools import partial
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any

from qwendesk.channels.base import MAX_FILE_BYTES, Accept, Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.ingest import submit
from qwendesk.channels.lifecycle import retry_until_stopped, sleep_unless_stopped
from qwendesk.channels.mail.mime import MailLimits
from qwendesk.channels.mail.parse import parse
from qwendesk.channels.mail.threads import Thread, thread_root
from qwendesk.desk.commands.chat_commands import parse as parse_command
from qwendesk.desk.commands.memory import is_deletion_request
from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.desk.translations import languages, say
from qwendesk.errors import ChannelError
from qwendesk.messages import Admission, Inbound, Outbound

if TYPE_CHECKING:
    from qwendesk.channels.mail.mailbox import Mailbox

log = logging.getLogger(__name__)
_MAX_TEXT_BYTES = 2**20
"""Number of bytes read of an oversized mail; the text precedes the attached files."""
_IDLE_POLL_SECONDS = 1.0
"""Maximum delay of a stop, in seconds."""
_IDLE_SECONDS = 15.0
"""Polling interval in seconds; it bounds the delay when a server omits a notification."""
_SECURITY = ("tls", "starttls", "none")


def compose(message: Outbound, own: str, name: str) -> EmailMessage:
    """Return the mail for a message; the same message always yields the same mail and Message-ID."""
    thread = Thread.read(message.reply_to or "")
    mail = EmailMessage(policy=SMTP)
    mail["From"] = formataddr((name, own))
    mail["To"] = message.conversation.partition(" ")[0]
    mail["Subject"] = _reply_subject(thread.subject)
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = f"<{sha256(message.key.encode()).hexdigest()[:32]}@{own.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-replied"
    if thread.message_id:
        mail["In-Reply-To"] = thread.message_id
    # by its root, the reply comes back to this conversation
    if references := [one for one in dict.fromkeys((thread_root(message.conversation), thread.message_id)) if one]:
        mail["References"] = " ".join(references)
    mail.set_content(message.plain or message.text)
    mail.add_alternative(f"<!doctype html><html><body>{message.text}</body></html>", subtype="html")
    for file in message.attachments:
        family, _, kind = file.mime.partition("/")
        mail.add_attachment(file.data, maintype=family, subtype=kind or "octet-stream", filename=file.name or "file")
    return mail


def _reply_subject(subject: str) -> str:
    return subject if subject.lower().startswith("re:") else f"Re: {subject}".strip()


class MailChannel(Channel):
    """A mailbox channel; each mail is a message, each thread a conversation."""

    manifest = Manifest(
        "mail",
        "E-mail",
        ChannelCapabilities(
            markup="html",
            max_length=200_000,
            max_file_in=MAX_FILE_BYTES,
            sends_files=True,
            forgeable_senders=True,
        ),
        (
            Setting("address", "The desk's own address.", required=True),
            Setting("password", "The mailbox's password.", True, True),
            Setting("imap_host", "The server that mail is read from.", required=True),
            Setting("smtp_host", "The server that mail is sent by.", required=True),
            Setting("imap_port", "Its port.", default=993),
            Setting("smtp_port", "Its port.", default=465),
            Setting("imap_security", "How its connection is encrypted.", default="tls", choices=_SECURITY),
            Setting("smtp_security", "How its connection is encrypted.", default="tls", choices=_SECURITY),
            Setting("user", "The name to log in with; empty: the address."),
            Setting("folder", "The folder that is read.", default="INBOX"),
            Setting("name", "The sender's name.", default="Qwendesk"),
            Setting(
                "trusted_authserv",
                "The name of your mail server in Authentication-Results: senders that it does not authenticate are "
                "strangers. Empty: all senders are trusted, and nobody is an operator or owner.",
            ),
            Setting("max_bytes", "Maximum bytes of a mail; of a larger one only the text is read.", default=30 * 2**20),
            Setting("max_parts", "Maximum number of parts of a mail that are read.", default=500),
            Setting("max_depth", "Maximum nesting depth of parts.", default=30),
            Setting("max_files", "Maximum number of files of a mail.", default=50),
            Setting(
                "read_seconds", "Maximum seconds for reading a mail's structure; the rest is left out.", default=10.0
            ),
        ),
        needs=("imap_tools", "aiosmtplib"),
    )

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._own = str(settings["address"])
        self._authserv = str(settings["trusted_authserv"]).strip()
        self.authenticates_senders = bool(self._authserv)
        self._limits = MailLimits(
            parts=int(settings["max_parts"]),
            depth=int(settings["max_depth"]),
            files=int(settings["max_files"]),
            seconds=float(settings["read_seconds"]),
        )
        self._unauthenticated = RateLimiter(burst=1, per_hour=1)
        self._stopping = asyncio.Event()

    async def start(self, accept: Accept) -> None:
        """Read mail until ``stop``; reconnect after a lost connection."""
        await retry_until_stopped(self._stopping, partial(self._read, accept))

    async def stop(self) -> None:
        """Stop reading mail."""
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Send a mail and return its Message-ID."""
        import aiosmtplib

        settings = self._settings
        secure = settings["smtp_security"]
        login = {"username": self._user, "password": settings["password"]} if settings["password"] else {}
        try:
            mail = compose(message, self._own, str(settings["name"]))
            await aiosmtplib.send(
                mail,
                hostname=settings["smtp_host"],
                port=settings["smtp_port"],
                use_tls=secure == "tls",
                start_tls=secure == "starttls",
                timeout=30,
                **login,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError, MessageError) as error:
            raise _channel_error(error) from error
        return str(mail["Message-ID"])

    async def check(self) -> str:
        """Log in to the mailbox."""
        mailbox = self._mailbox()
        try:
            await asyncio.to_thread(mailbox.open)
            count = len(await asyncio.to_thread(mailbox.unseen))
        finally:
            await asyncio.to_thread(mailbox.close)
        return f"connected as {self._own}, {count} unread"

    @property
    def _user(self) -> str:
        return str(self._settings["user"] or self._own)

    def _mailbox(self) -> Mailbox:
        from qwendesk.channels.mail.mailbox import Mailbox

        of = self._settings
        where = (str(of["imap_host"]), int(of["imap_port"]), of["imap_security"])
        return Mailbox(*where, self._user, str(of["password"]), str(of["folder"]))

    async def _read(self, accept: Accept) -> None:
        mailbox = self._mailbox()
        try:
            await asyncio.to_thread(mailbox.open)
            await self._follow(mailbox, accept)
        finally:
            await asyncio.to_thread(mailbox.close)

    async def _follow(self, mailbox: Mailbox, accept: Accept) -> None:
        """Process the unread mail, then wait for new mail."""
        while not self._stopping.is_set():
            if not await self._take_all(mailbox, accept):
                await sleep_unless_stopped(self._stopping, 1.0)
                continue
            until = time.monotonic() + _IDLE_SECONDS
            news = False
            while not (news or self._stopping.is_set()) and time.monotonic() < until:
                news = await asyncio.to_thread(mailbox.wait_for_mail, _IDLE_POLL_SECONDS)
            await asyncio.to_thread(mailbox.stop_idle)

    async def _take_all(self, mailbox: Mailbox, accept: Accept) -> bool:
        """Submit unread mail, oldest first; return False if the desk is busy."""
        for uid in await asyncio.to_thread(mailbox.unseen):
            if self._stopping.is_set() or not await self._take(mailbox, uid, accept):
                return False
            await asyncio.to_thread(mailbox.mark_seen, uid)
        return True

    async def _take(self, mailbox: Mailbox, uid: str, accept: Accept) -> bool:
        most = int(self._settings["max_bytes"])
        large = await asyncio.to_thread(mailbox.size, uid) > most
        raw = await asyncio.to_thread(mailbox.fetch, uid, min(most, _MAX_TEXT_BYTES) if large else most)
        try:
            inbound = await asyncio.to_thread(parse, raw, self._own, self._authserv, self._limits)
        except ValueError as error:
            log.warning("Mail %s: %s", uid, error)
            return True
        if inbound is None:
            return True
        if large:
            inbound = replace(inbound, attachments=(), unsupported_media="large file")
        return await submit(inbound, partial(self.admit, accept), partial(self._refuse, inbound))

    async def admit(self, accept: Accept, inbound: Inbound) -> Admission:
        """Pass a message to the desk; refuse commands that need an authenticated sender where senders are not."""
        if not self.authenticates_senders and _needs_authentication(inbound.text):
            # the sender address may be forged: the limit keeps the desk from flooding its owner with replies
            told = self._unauthenticated.allow(_address(inbound).lower())
            return Admission("refused", text=say("unproven", inbound.locale) if told else "")
        return await accept(inbound)

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        to = (inbound.conversation, f"<p>{escape(text)}</p>", inbound.account, inbound.reply_to)
        await self.send(Outbound(f"refused:{inbound.event}", *to, plain=text))


def _address(inbound: Inbound) -> str:
    return inbound.conversation.partition(" ")[0]


def _needs_authentication(text: str) -> bool:
    """Return whether a text is a command that a forged sender could misuse: ``link``, or ``forget`` for deletion."""
    command = parse_command(text)
    if command is None or command.name != "forget":
        return command is not None and command.name == "link"
    return any(is_deletion_request(command.argument, language) for language in languages())


def _channel_error(error: Exception) -> ChannelError:
    import aiosmtplib

    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        text = "The mail server refuses the name or the password: check QWENDESK_CHANNELS__MAIL__PASSWORD."
        return ChannelError(text, permanent=True)
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [refused.code for refused in error.recipients]
        return ChannelError(
            f"The mail server refuses the address: {error}.", permanent=all(code >= 500 for code in codes)
        )
    code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else 0
    return ChannelError(
        f"The mail could not be sent: {error}.", permanent=code >= 500 or isinstance(error, ValueError | MessageError)
    )
