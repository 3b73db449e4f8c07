"""Plain text."""

from __future__ import annotations

from qwendesk.knowledge.base import Document, Section
from qwendesk.knowledge.readers.decode import decoded
from qwendesk.knowledge.readers.options import DEFAULTS, ReadOptions


def read(data: bytes, options: ReadOptions = DEFAULTS) -> Document:
    """Take the text as it is; lines are counted."""
    found = decoded(data, options.encodings)
    return Document("", (Section(found.text, unit="line"),), found.notes)
