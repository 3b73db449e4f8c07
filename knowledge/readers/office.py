"""Office files: what the archive holds decides which reader takes it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

from qwendesk.errors import InputError
from qwendesk.knowledge.base import Document
from qwendesk.knowledge.readers.archive import require_sane
from qwendesk.knowledge.readers.file_types import Kind
from qwendesk.knowledge.readers.options import DEFAULTS, ReadOptions

_INSIDE: dict[str, Kind] = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx"}


def read(data: bytes, options: ReadOptions = DEFAULTS) -> Document:
    """Return the document with its kind."""
    require_sane(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = set(archive.namelist())
    kind = next((kind for member, kind in _INSIDE.items() if member in names), None)
    if kind == "docx":
        from qwendesk.knowledge.readers import word

        return replace(word.read(data, options), kind=kind)
    if kind == "xlsx":
        from qwendesk.knowledge.readers import sheet

        return replace(sheet.read(data, options), kind=kind)
    raise InputError("it is an archive, or an Office file of a kind that cannot be read; DOCX and XLSX can")
