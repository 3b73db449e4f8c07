"""Readers: each makes a document of one kind of file; all run in a worker process with limits."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from qwendesk.knowledge.base import Document
from qwendesk.knowledge.readers.file_types import Kind
from qwendesk.knowledge.readers.options import ReadOptions


class Reader(Protocol):
    """Makes a document of one kind of file."""

    def __call__(self, data: bytes, options: ReadOptions = ...) -> Document:
        """Return the document that a file holds."""


_MODULES: dict[Kind, str] = {
    "markdown": "markdown",
    "text": "text",
    "html": "html",
    "csv": "table",
    "xlsx": "sheet",
    "docx": "word",
    "pdf": "pdf",
    "office": "office",
}


def reader(kind: Kind) -> Reader:
    """Return what reads a kind of file; its library is imported only now."""
    return cast(Reader, import_module(f"{__name__}.{_MODULES[kind]}").read)
