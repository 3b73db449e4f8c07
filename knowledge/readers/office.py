"""Office archives: check one before it is unpacked, then read it by its content, as Word or Excel."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import IO, Any
from xml.etree import ElementTree

import python_calamine

from qwendesk.errors import InputError
from qwendesk.knowledge.base import DEFAULT_OPTIONS, Document, ReadOptions, Section
from qwendesk.knowledge.readers.file_types import FileKind
from qwendesk.knowledge.readers.tables import rows_as_text
from qwendesk.knowledge.readers.text import normalize_text

_MAX_UNPACKED_BYTES = 200 * 1024 * 1024
_MAX_ARCHIVE_MEMBERS = 10_000
_KIND_BY_MEMBER: dict[str, FileKind] = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx"}
_TRUE = ("1", "true")
_ZERO = ("0", "0.0")
_BUILT_IN_PERCENTS = (9, 10)
"""Built-in number formats 0% and 0.00%."""
_LITERAL = re.compile(r'"[^"]*"|[\\_*].')
"""Literal text in a number format; a percent sign in it does not multiply the number."""
_WORKBOOK = "xl/workbook.xml"
_NUMBER_FORMAT = ".15g"
"""Precision of spreadsheets: 0.3, not 0.30000000000000004."""


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
            f"{_MAX_UNPACKED_BYTES / 1e6:,.0f} MB",
            problem="too_large",
        )
    if any(member.flag_bits & 1 for member in members):
        raise InputError("it is encrypted; save it without a password", problem="encrypted")


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


@dataclass(slots=True)
class SheetLayout:
    """Hidden rows, hidden columns and percent cells of a sheet, counted from 0."""

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: list[range] = field(default_factory=list)
    percents: set[tuple[int, int]] = field(default_factory=set)
    """Cells (row, column) whose number is shown as percent."""

    def hides(self, column: int) -> bool:
        """Return whether a column is hidden."""
        return any(column in columns for columns in self.hidden_columns)


def read_layouts(archive: zipfile.ZipFile) -> dict[str, SheetLayout]:
    """Return the layout of each sheet by name, without sheets that cannot be read."""
    percents = _percent_styles(archive)
    return {name: _layout(archive, part, percents) for name, part in _parts(archive)}


def _parts(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Yield name and file of each sheet."""
    files = {
        node.get("Id"): posixpath.normpath(posixpath.join("xl", node.get("Target", "").removeprefix("/xl/")))
        for node in _nodes(archive, "xl/_rels/workbook.xml.rels", "Relationship")
    }
    for sheet in _nodes(archive, _WORKBOOK, "sheet"):
        number = next((value for key, value in sheet.items() if key.endswith("}id")), None)
        if part := files.get(number):
            yield sheet.get("name", ""), part


def _percent_styles(archive: zipfile.ZipFile) -> set[int]:
    """Return the numbers of cell styles that show percent."""
    formats = set(_BUILT_IN_PERCENTS)
    styles: list[int] = []
    within = ""
    for node, begins in _events(archive, "xl/styles.xml"):
        tag = _tag(node)
        if tag == "cellXfs":
            within = tag if begins else ""
        elif begins and tag == "numFmt" and "%" in _LITERAL.sub("", node.get("formatCode", "")):
            formats.add(_cell_number(node.get("numFmtId")))
        elif begins and tag == "xf" and within:
            styles.append(_cell_number(node.get("numFmtId")))
    return {place for place, style in enumerate(styles) if style in formats}


def _layout(archive: zipfile.ZipFile, part: str, percents: set[int]) -> SheetLayout:
    found = SheetLayout()
    row = 0
    for node, begins in _events(archive, part):
        tag = _tag(node)
        if begins and tag == "row":
            row = _cell_number(node.get("r")) or row + 1
            if _is_hidden(node, "ht"):
                found.hidden_rows.add(row - 1)
        elif begins and tag == "col" and _is_hidden(node, "width"):
            found.hidden_columns.append(range(_cell_number(node.get("min")) - 1, _cell_number(node.get("max"))))
        elif begins and tag == "c" and _cell_number(node.get("s")) in percents:
            found.percents.add((row - 1, _column(node.get("r", ""))))
        elif not begins:
            node.clear()
    return found


def _is_hidden(node: ElementTree.Element, extent: str) -> bool:
    return node.get("hidden") in _TRUE or node.get(extent) in _ZERO


def _nodes(archive: zipfile.ZipFile, part: str, tag: str) -> list[ElementTree.Element]:
    return [node for node, begins in _events(archive, part) if begins and _tag(node) == tag]


def _events(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[ElementTree.Element, bool]]:
    """Yield each element of a part at its start and end, until the part ends or breaks."""
    try:
        file: IO[bytes] = archive.open(part)
    except KeyError:
        return
    with file:
        try:
            for event, node in ElementTree.iterparse(file, events=("start", "end")):
                yield node, event == "start"
        except ElementTree.ParseError:
            return


def _tag(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _cell_number(value: str | None) -> int:
    return int(value) if value and value.isdecimal() else 0


def _column(cell: str) -> int:
    """Return the column of a cell such as ``AB12``, counted from 0."""
    column = 0
    for letter in cell.rstrip("0123456789"):
        column = column * 26 + ord(letter) - ord("A") + 1
    return column - 1


def read_workbook(data: bytes, options: ReadOptions = DEFAULT_OPTIONS) -> Document:
    """Return the sheets as sections, in order."""
    check_archive(data)
    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
    except python_calamine.PasswordError as error:
        raise InputError("it is encrypted; save it without a password", problem="encrypted") from error
    except python_calamine.CalamineError as error:
        raise InputError(f"the workbook cannot be read ({error})") from error
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        known = read_layouts(archive)
    left = _Omitted()
    sections = tuple(_sections(book, known, left, hidden=options.hidden))
    return Document("", sections, left.notes)


class _Omitted:
    """Counts hidden parts that are left out."""

    def __init__(self) -> None:
        self.sheets = self.rows = self.columns = 0

    @property
    def notes(self) -> tuple[str, ...]:
        counts = (("sheet", self.sheets), ("row", self.rows), ("column", self.columns))
        told = [f"{count:,} {word}{'' if count == 1 else 's'}" for word, count in counts if count]
        return (f"hidden and left out: {', '.join(told)}",) if told else ()


def _sections(book: Any, known: dict[str, SheetLayout], left: _Omitted, *, hidden: bool) -> Iterator[Section]:
    for about in book.sheets_metadata:
        if about.typ not in (python_calamine.SheetTypeEnum.WorkSheet, python_calamine.SheetTypeEnum.DialogSheet):
            continue
        if about.visible != python_calamine.SheetVisibleEnum.Visible and not hidden:
            left.sheets += 1
            continue
        layout = known.get(about.name, SheetLayout())
        rows = _rows(book.get_sheet_by_name(about.name), layout)
        if not hidden:
            rows = _shown_rows(rows, layout, left)
        if text := rows_as_text(rows):
            yield Section(text, place=f"sheet {normalize_text(about.name)}", unit="row")


def _rows(sheet: Any, layout: SheetLayout) -> list[list[str]]:
    rows = [
        [_shown(cell, is_percent=(line, column) in layout.percents) for column, cell in enumerate(row)]
        for line, row in enumerate(sheet.to_python(skip_empty_area=False))
    ]
    for (top, column), (bottom, _) in sheet.merged_cell_ranges or ():
        # a merged value is repeated in each row, but not in each column
        for line in range(top + 1, min(bottom + 1, len(rows))):
            if column < min(len(rows[line]), len(rows[top])) and not rows[line][column]:
                rows[line][column] = rows[top][column]
    return rows


def _shown_rows(rows: Sequence[Sequence[str]], layout: SheetLayout, left: _Omitted) -> list[list[str]]:
    """Return the visible rows; a hidden row becomes empty, so that the others keep their numbers."""
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
        return f"{cell * 100:{_NUMBER_FORMAT}}%" if is_percent else _number(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if isinstance(cell, timedelta) else " ".join(normalize_text(str(cell)).split())


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:{_NUMBER_FORMAT}}"
