"""Tables: a row is understood with the names of its columns, so each row says them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from qwendesk.errors import InputError
from qwendesk.memory.knowledge.base import Document, Section
from qwendesk.memory.knowledge.readers.decode import decode

_FIELD = 1024 * 1024


def read(data: bytes) -> Document:
    """Return a CSV file's rows, whatever separates its columns."""
    text = decode(data)
    csv.field_size_limit(_FIELD)
    try:
        rows = [[" ".join(cell.split()) for cell in row] for row in csv.reader(io.StringIO(text), _dialect(text))]
    except csv.Error as error:
        raise InputError(f"it is no table that can be read ({error})") from error
    return Document("", (Section(rows_as_text(rows), unit="row"),))


def rows_as_text(rows: Sequence[Sequence[str]]) -> str:
    """Return one line a row, the n-th line for the n-th row; the first row names the columns."""
    names = rows[0] if rows else ()
    if not any(any(row) for row in rows):
        return ""
    told = [" | ".join(filter(None, names))]
    told += ["; ".join(_cell(names, number, cell) for number, cell in enumerate(row) if cell) for row in rows[1:]]
    return "\n".join(told).rstrip("\n")


def _cell(names: Sequence[str], number: int, cell: str) -> str:
    name = names[number] if number < len(names) else ""
    return f"{name}: {cell}" if name else cell


def _dialect(text: str) -> type[csv.Dialect]:
    try:
        return csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        return csv.excel
