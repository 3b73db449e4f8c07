"""Logging of a running desk: one line per record, without secrets, with untrusted names escaped."""

from __future__ import annotations

import logging

from qwendesk.printable import many_lines, one_line
from qwendesk.redaction import redact

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class SafeFormatter(logging.Formatter):
    """Formats records on one line; names of people, chats and files in them cannot add lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line of a record, its message on one line."""
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record and its traceback."""
        return redact(many_lines(super().format(record)))


def configure_logging(level: int = logging.WARNING) -> None:
    """Log to stderr with ``SafeFormatter``, unless logging is configured already."""
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter(_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
