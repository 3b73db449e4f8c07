"""Word files and Office archives: check an archive before it is unpacked, then read it by its content."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import Any

from qwendesk.errors import InputError
from qwendesk.knowledge.base import DEFAULT_OPTIONS, Document, ReadOptions
from qwendesk.knowledge.readers.file_types import FileKind

_MAX_UNPACKED_BYTES = 200 * 1024 * 1024
_MAX_ARCHIVE_MEMBERS = 10_000
_KIND_BY_MEMBER: dict[str, FileKind] = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx"}


def check_archive(data: bytes) -> None:
    """Refuse a ZIP archive that is broken, encrypted or too large when unpacked.

    Raises:
        InputError: the archive is refused; the text says why.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise InputError("the file is damaged or encrypted") from error
    size = sum(member.file_size for member in members)
    if size > _MAX_UNPACKED_BYTES or len(members) > _MAX_ARCHIVE_MEMBERS:
        raise InputError(
            f"it would unpack to {size / 1e6:,.0f} MB in {len(members):,} parts; the limit is "
            f"{_MAX_UNPACKED_BYTES / 1e6:,.0f} MB"
        )
    if any(member.flag_bits & 1 for member in members):
        raise InputError("it is encrypted; save it without a password")


def read_office(data: bytes, options: ReadOptions = DEFAULT_OPTIONS) -> Document:
    """Read an Office archive as Word or Excel, by its content; the returned document has its kind.

    Raises:
        InputError: the archive holds neither.
    """
    check_archive(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = set(archive.namelist())
    kind = next((kind for member, kind in _KIND_BY_MEMBER.items() if member in names), None)
    if kind == "docx":
        return replace(read_word(data, options), kind=kind)
    if kind == "xlsx":
        from qwendesk.knowledge.readers.spreadsheet import read_workbook

        return replace(read_workbook(data, options), kind=kind)
    raise InputError("it is an archive or an unsupported kind of Office file; DOCX and XLSX are supported")


def read_word(data: bytes, options: ReadOptions = DEFAULT_OPTIONS) -> Document:
    """Read a Word file through the HTML that mammoth makes of it, without pictures."""
    import mammoth

    from qwendesk.knowledge.readers.html import parse_html

    check_archive(data)
    converted = mammoth.convert_to_html(io.BytesIO(data), convert_image=mammoth.images.img_element(_no_picture))
    return parse_html(str(converted.value))


def _no_picture(_: Any) -> dict[str, str]:
    return {"src": ""}
