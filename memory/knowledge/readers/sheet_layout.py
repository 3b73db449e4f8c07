"""What a workbook's own XML says of rows, columns and cells and the reader of values does not: hidden, percent."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO
from xml.etree import ElementTree

_TRUE = ("1", "true")
_NONE = ("0", "0.0")
_BUILT_IN_PERCENTS = (9, 10)
"""Number formats without an entry of their own: 0% and 0.00%."""
_LITERAL = re.compile(r'"[^"]*"|[\\_*].')
"""What a number format writes as it is: a percent sign in it is shown, and the number is not multiplied."""
_WORKBOOK = "xl/workbook.xml"


@dataclass(slots=True)
class Layout:
    """A sheet's particulars; rows and columns are counted from 0."""

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: list[range] = field(default_factory=list)
    percents: set[tuple[int, int]] = field(default_factory=set)
    """Cells, as row and column, whose number is shown as percent."""

    def hides(self, column: int) -> bool:
        """Tell whether a column is hidden."""
        return any(column in columns for columns in self.hidden_columns)


def layouts(archive: zipfile.ZipFile) -> dict[str, Layout]:
    """Return the particulars of each sheet of a workbook by the sheet's name; of one that cannot be read none."""
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
    """Return the numbers of the cell styles that show percent."""
    formats = set(_BUILT_IN_PERCENTS)
    styles: list[int] = []
    within = ""
    for node, begins in _events(archive, "xl/styles.xml"):
        tag = _tag(node)
        if tag == "cellXfs":
            within = tag if begins else ""
        elif begins and tag == "numFmt" and "%" in _LITERAL.sub("", node.get("formatCode", "")):
            formats.add(_number(node.get("numFmtId")))
        elif begins and tag == "xf" and within:
            styles.append(_number(node.get("numFmtId")))
    return {place for place, style in enumerate(styles) if style in formats}


def _layout(archive: zipfile.ZipFile, part: str, percents: set[int]) -> Layout:
    found = Layout()
    row = 0
    for node, begins in _events(archive, part):
        tag = _tag(node)
        if begins and tag == "row":
            row = _number(node.get("r")) or row + 1
            if _is_hidden(node, "ht"):
                found.hidden_rows.add(row - 1)
        elif begins and tag == "col" and _is_hidden(node, "width"):
            found.hidden_columns.append(range(_number(node.get("min")) - 1, _number(node.get("max"))))
        elif begins and tag == "c" and _number(node.get("s")) in percents:
            found.percents.add((row - 1, _column(node.get("r", ""))))
        elif not begins:
            node.clear()
    return found


def _is_hidden(node: ElementTree.Element, extent: str) -> bool:
    return node.get("hidden") in _TRUE or node.get(extent) in _NONE


def _nodes(archive: zipfile.ZipFile, part: str, tag: str) -> list[ElementTree.Element]:
    return [node for node, begins in _events(archive, part) if begins and _tag(node) == tag]


def _events(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[ElementTree.Element, bool]]:
    """Yield each element of a part as it begins and as it ends; nothing of a part that is missing or broken."""
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


def _number(value: str | None) -> int:
    return int(value) if value and value.isdecimal() else 0


def _column(cell: str) -> int:
    """Return the column of a cell such as ``AB12``, counted from 0."""
    column = 0
    for letter in cell.rstrip("0123456789"):
        column = column * 26 + ord(letter) - ord("A") + 1
    return column - 1
