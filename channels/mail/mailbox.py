"""A mailbox over IMAP; every method blocks and must be called from the mailbox's thread."""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from imap_tools import BaseMailBox, MailBox, MailboxLoginError, MailBoxStartTls, MailBoxUnencrypted, MailMessageFlags
from imap_tools.errors import ImapToolsError

from qwendesk.errors import ChannelError, reason

Security = Literal["tls", "starttls", "none"]
_SECONDS = 30.0


class Mailbox:
    """One folder of a mailbox; processed mails are marked as seen."""

    def __init__(self, host: str, port: int, security: Security, user: str, password: str, folder: str) -> None:
        self._where = (host, port, security)
        self._login = (user, password, folder)
        self._box: BaseMailBox | None = None
        self._idle = False

    def open(self) -> None:
        """Log in.

        Raises:
            ChannelError: the server is unreachable or rejects the password.
        """
        with _translate_errors():
            self._box = _connect(*self._where)
            self._box.login(*self._login)

    def unseen(self) -> list[str]:
        """Return the UIDs of unseen mails."""
        with _translate_errors():
            box = self._opened()
            box.client.response("EXISTS")  # discard earlier announcements: the search that follows covers them
            return box.uids("UNSEEN")

    def size(self, uid: str) -> int:
        """Return a mail's size in bytes."""
        with _translate_errors():
            _, found = self._opened().client.uid("FETCH", uid, "(RFC822.SIZE)")
            line = found[0] if found and isinstance(found[0], bytes) else b""
            return int(line.rpartition(b"RFC822.SIZE ")[2].split(b")")[0].split()[0] or 0) if b"SIZE" in line else 0

    def fetch(self, uid: str, most: int) -> bytes:
        """Return a mail, or its first ``most`` bytes; empty if the mail no longer exists."""
        with _translate_errors():
            part = f"BODY.PEEK[]<0.{most}>"
            _, found = self._opened().client.uid("FETCH", uid, f"({part})")
            return next((one[1] for one in found if isinstance(one, tuple)), b"")

    def mark_seen(self, uid: str) -> None:
        """Mark a mail as seen."""
        with _translate_errors():
            self._opened().flag(uid, MailMessageFlags.SEEN, True)

    def wait_for_mail(self, seconds: float) -> bool:
        """Wait for a notification; return whether there may be new mail."""
        with _translate_errors():
            box = self._opened()
            if not self._idle:
                box.idle.start()  # type: ignore[no-untyped-call]
                self._idle = True
                if box.client.response("EXISTS")[1] != [None]:
                    return True  # the notification arrived during another command
            return bool(box.idle.poll(timeout=seconds))

    def stop_idle(self) -> None:
        """Interrupt the wait, so that the mailbox accepts other commands."""
        if self._idle:
            with _translate_errors():
                self._idle = False
                self._opened().idle.stop()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Log out, or disconnect if that fails."""
        box, self._box, self._idle = self._box, None, False
        if box:
            with suppress(OSError, imaplib.IMAP4.error):
                box.client.shutdown()

    def _opened(self) -> BaseMailBox:
        if self._box is None:
            raise ChannelError("The mailbox is closed.")
        return self._box


def _connect(host: str, port: int, security: Security) -> BaseMailBox:
    if security == "none":
        return MailBoxUnencrypted(host, port, timeout=_SECONDS)
    trusted = ssl.create_default_context()
    if security == "starttls":
        return MailBoxStartTls(host, port, timeout=_SECONDS, ssl_context=trusted)
    return MailBox(host, port, timeout=_SECONDS, ssl_context=trusted)


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except MailboxLoginError as error:
        text = "The mail server refuses the name or the password: check QWENDESK_CHANNELS__MAIL__PASSWORD."
        raise ChannelError(text, permanent=True) from error
    except (OSError, imaplib.IMAP4.error, ImapToolsError) as error:
        raise ChannelError(f"The mail server cannot be reached: {reason(error)}.") from error
