"""From the desk's answer to a mail that programs know for an automatic one."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, localtime
from hashlib import sha256

from qwendesk.channels.mail.parse import Thread
from qwendesk.messages import Outbound


def compose(message: Outbound, own: str, name: str) -> EmailMessage:
    """Return the mail for a message; the same message is the same mail, down to its Message-ID."""
    thread = Thread.read(message.reply_to or "")
    address, root = (message.conversation.split(" ") + [""])[:2]
    mail = EmailMessage(policy=SMTP)
    mail["From"] = formataddr((name, own))
    mail["To"] = address
    mail["Subject"] = _answered(thread.subject)
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = f"<{sha256(message.key.encode()).hexdigest()[:32]}@{own.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-replied"
    if thread.message_id:
        mail["In-Reply-To"] = thread.message_id
        mail["References"] = " ".join(dict.fromkeys((root, thread.message_id)))
    mail.set_content(message.plain or message.text)
    mail.add_alternative(f"<!doctype html><html><body>{message.text}</body></html>", subtype="html")
    for file in message.attachments:
        family, _, kind = file.mime.partition("/")
        mail.add_attachment(file.data, maintype=family, subtype=kind or "octet-stream", filename=file.name or "file")
    return mail


def _answered(subject: str) -> str:
    return subject if subject.lower().startswith("re:") else f"Re: {subject}".strip()
