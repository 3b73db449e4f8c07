"""Detect the kind of a file: by its content first, then by its type and name."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from qwendesk.errors import InputError

FileKind = Literal["markdown", "text", "html", "csv", "xlsx", "docx", "pdf", "office"]
"""``office`` is an archive whose reader detects the kind, because only worker processes open archives."""
SUFFIXES: dict[str, FileKind] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".log": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".csv": "csv",
    ".tsv": "csv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".docx": "docx",
    ".pdf": "pdf",
}
"""File name suffixes that are read; other files of a folder are skipped."""
_MIMES: dict[str, FileKind] = {
    "text/markdown": "markdown",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/csv": "csv",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
QUICK_KINDS: frozenset[FileKind] = frozenset(("markdown", "text", "csv"))
"""Kinds that are read quickly, and for which one worker is kept free."""
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"


def detect_kind(data: bytes, name: str, mime: str = "") -> FileKind:
    """Return the kind of a file.

    Raises:
        InputError: the file is empty or of an unsupported kind.
    """
    if not data.strip():
        raise InputError("the file is empty", problem="empty")
    if data[:1024].lstrip().startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return "office"
    if data.startswith(_OLD_OFFICE):
        raise InputError(
            "it is an encrypted or old Office file; save it as DOCX or XLSX without a password", problem="encrypted"
        )
    named = _MIMES.get(mime) or SUFFIXES.get(PurePosixPath(name).suffix.lower(), "text")
    if named in ("pdf", "docx", "xlsx"):
        raise InputError(f"it is named a {named.upper()} file and is none")
    if named == "text" and data[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    return named
