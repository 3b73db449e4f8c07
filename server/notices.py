"""Warnings that anybody on the network can cause: each kind once a minute, with how often it was left out."""

from __future__ import annotations

import logging
from collections import Counter
from time import monotonic

_EVERY = 60.0
_OF_PEERS = ("Invalid UTF-8 sequence received from client.",)
"""What uvicorn reports as an error, with a traceback, though it is none of the program's."""


class Notices:
    """Writes to a log, seldom.

    Args:
        log: where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def warn(self, text: str, *args: object) -> None:
        """Write a line, unless one of this kind was written within the last minute."""
        if self._is_due(text):
            left_out = self._left_out.pop(text, 0)
            self._log.warning(text + (f" ({left_out} more like this)" if left_out else ""), *args)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell of another's warning whether it is due; errors always are, but those that a peer alone has caused."""
        if str(record.msg) in _OF_PEERS:
            record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return record.levelno > logging.WARNING or self._is_due(str(record.msg))

    def _is_due(self, text: str) -> bool:
        if monotonic() < self._said.get(text, 0.0):
            self._left_out[text] += 1
            return False
        self._said[text] = monotonic() + _EVERY
        return True
