"""Spreadsheets: each sheet's rows, with the names of its columns."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

import python_calamine

from qwendesk.errors import InputError
from qwendesk.memory.knowledge.base import Document, Section
from qwendesk.memory.knowledge.readers.archive import require_sane
from qwendesk.memory.knowledge.readers.decode import clean
from qwendesk.memory.knowledge.readers.table import rows_as_text


def read(data: bytes) -> Document:
    """Return the sheets in order."""
    require_sane(data)
    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
    except python_calamine.PasswordError as error:
        raise InputError("it is encrypted; save it without a password") from error
    except python_calamine.CalamineError as error:
        raise InputError(f"it is no workbook that can be read ({error})") from error
    return Document("", tuple(_sections(book)))


def _sections(book: Any) -> Iterator[Section]:
    for name in book.sheet_names:
        sheet = book.get_sheet_by_name(name)
        rows = [[_shown(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)]
        if text := rows_as_text(rows):
            yield Section(text, place=f"sheet {clean(name)}", unit="row")


def _shown(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime | date | time):
        return cell.isoformat(" ") if isinstance(cell, datetime) else cell.isoformat()
    return " ".join(clean(str(cell)).split())
