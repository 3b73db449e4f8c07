"""Plain text."""

from __future__ import annotations

from qwendesk.memory.knowledge.base import Document, Section
from qwendesk.memory.knowledge.readers.decode import decode


def read(data: bytes) -> Document:
    """Take the text as it is; lines are counted."""
    return Document("", (Section(decode(data), unit="line"),))
