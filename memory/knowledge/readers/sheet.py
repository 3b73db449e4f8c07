"""Spreadsheets: each sheet's rows, with the names of its columns; what is hidden is left out unless it is asked for."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import python_calamine

from qwendesk.errors import InputError
from qwendesk.memory.knowledge.base import Document, Section
from qwendesk.memory.knowledge.readers.archive import require_sane
from qwendesk.memory.knowledge.readers.decode import clean
from qwendesk.memory.knowledge.readers.options import DEFAULTS, ReadOptions
from qwendesk.memory.knowledge.readers.rows import rows_as_text
from qwendesk.memory.knowledge.readers.sheet_layout import Layout, layouts

_DIGITS = ".15g"
"""A number as spreadsheets show it: 0.3, not 0.30000000000000004."""


def read(data: bytes, options: ReadOptions = DEFAULTS) -> Document:
    """Return the sheets in order."""
    require_sane(data)
    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
    except python_calamine.PasswordError as error:
        raise InputError("it is encrypted; save it without a password") from error
    except python_calamine.CalamineError as error:
        raise InputError(f"it is no workbook that can be read ({error})") from error
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        known = layouts(archive)
    left = _Left()
    sections = tuple(_sections(book, known, left, hidden=options.hidden))
    return Document("", sections, left.notes)


class _Left:
    """Counts what is left out."""

    def __init__(self) -> None:
        self.sheets = self.rows = self.columns = 0

    @property
    def notes(self) -> tuple[str, ...]:
        counts = (("sheet", self.sheets), ("row", self.rows), ("column", self.columns))
        told = [f"{count:,} {word}{'' if count == 1 else 's'}" for word, count in counts if count]
        return (f"hidden and left out: {', '.join(told)}",) if told else ()


def _sections(book: Any, known: dict[str, Layout], left: _Left, *, hidden: bool) -> Iterator[Section]:
    for about in book.sheets_metadata:
        if about.typ not in (python_calamine.SheetTypeEnum.WorkSheet, python_calamine.SheetTypeEnum.DialogSheet):
            continue
        if about.visible != python_calamine.SheetVisibleEnum.Visible and not hidden:
            left.sheets += 1
            continue
        layout = known.get(about.name, Layout())
        rows = _rows(book.get_sheet_by_name(about.name), layout)
        if not hidden:
            rows = _shown_rows(rows, layout, left)
        if text := rows_as_text(rows):
            yield Section(text, place=f"sheet {clean(about.name)}", unit="row")


def _rows(sheet: Any, layout: Layout) -> list[list[str]]:
    rows = [
        [_shown(cell, is_percent=(line, column) in layout.percents) for column, cell in enumerate(row)]
        for line, row in enumerate(sheet.to_python(skip_empty_area=False))
    ]
    for (top, column), (bottom, _) in sheet.merged_cell_ranges or ():
        # a value that reaches down over rows is that of each; across columns it stands once
        for line in range(top + 1, min(bottom + 1, len(rows))):
            if column < min(len(rows[line]), len(rows[top])) and not rows[line][column]:
                rows[line][column] = rows[top][column]
    return rows


def _shown_rows(rows: Sequence[Sequence[str]], layout: Layout, left: _Left) -> list[list[str]]:
    """Return the rows that a person sees; a hidden one is empty, so that the others keep their numbers."""
    width = max(map(len, rows), default=0)
    seen = [column for column in range(width) if not layout.hides(column)]
    left.columns += width - len(seen)
    left.rows += sum(number in layout.hidden_rows and any(row) for number, row in enumerate(rows))
    return [
        [] if number in layout.hidden_rows else [row[column] for column in seen if column < len(row)]
        for number, row in enumerate(rows)
    ]


def _shown(cell: Any, *, is_percent: bool) -> str:
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return f"{cell * 100:{_DIGITS}}%" if is_percent else _number(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if isinstance(cell, timedelta) else " ".join(clean(str(cell)).split())


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:{_DIGITS}}"
