"""CSV: rows with the names of their columns, whatever separates them."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from statistics import median_high
from typing import Literal

from qwendesk.errors import InputError
from qwendesk.knowledge.base import DEFAULT_OPTIONS, Document, ReadOptions, Section
from qwendesk.knowledge.readers.text import decode_with_notes

_HEAD = 50
"""Rows among which the names of the columns are looked for."""


_SHARE = 0.6
"""Share of the columns that the row of names has to fill."""


_FULL = 0.9
_VALUE = re.compile(
    r"[-+(]?\s*(?:[€$£¥]|[A-Z]{3})?\s*\d[\d\s.,'’:/\-–]*(?:%|[€$£¥]|[A-Za-z]{1,3}\b|°C?)?\)?"
    r"|\S+@\S+\.\w+|https?://\S+|true|false",
    re.IGNORECASE,
)
"""A number, an amount, a date, an address: what a row holds, and no name of a column."""


_YEAR = re.compile(r"(?:19|20)\d\d")
Row = Sequence[str]


def rows_as_text(rows: Sequence[Row]) -> str:
    """Return one line a row, the n-th line for the n-th row, each with the names of its columns.

    The names stand in the first row that fills most columns and holds no values; what stands above is a title. A table
    without such a row is told as it is.
    """
    if not any(any(row) for row in rows):
        return ""
    place = _names_at(rows)
    above, names = (rows[: place + 1], rows[place]) if place is not None else ([], [])
    told = [" | ".join(filter(None, row)) for row in above]
    for row in rows[len(above) :]:
        cells = ((_named(names, column, cell)) for column, cell in enumerate(row) if cell)
        told.append(("; " if names else " | ").join(cells))
    return "\n".join(told).rstrip("\n")


def _named(names: Row, column: int, cell: str) -> str:
    name = names[column] if column < len(names) else ""
    return f"{name}: {cell}" if name else cell


def _names_at(rows: Sequence[Row]) -> int | None:
    """Return the number of the row that names the columns, or None."""
    counts = [sum(map(bool, row)) for row in rows[:_HEAD]]
    typical = median_high([count for count in counts if count > 1] or [count for count in counts if count])
    wide = [number for number, count in enumerate(counts) if count >= max(1, _SHARE * typical)]
    holds = next((number for number in wide if _holds_values(rows, number)), None)
    if holds is None:
        # a table of words alone: its names are where it is first as wide as it mostly is
        return next((number for number in wide if counts[number] >= _FULL * typical), wide[0])
    return max((number for number in wide if number < holds), key=lambda number: counts[number], default=None)


def _holds_values(rows: Sequence[Row], number: int) -> bool:
    """Tell whether a row holds values, such as stand below it; years may be the names of columns."""
    below = [row for row in rows[number + 1 : number + _HEAD] if any(row)]
    return any(
        _VALUE.fullmatch(cell)
        and (not below or any(len(row) > column and _VALUE.fullmatch(row[column]) for row in below))
        for column, cell in enumerate(rows[number])
        if not _YEAR.fullmatch(cell)
    )


_FIELD = 1024 * 1024
_SEPARATORS = (";", "\t", "|", ",")
"""In the order in which they are taken where several fit: a comma also divides decimals and sentences."""
_TOLD = re.compile(r'\A"?sep=(.)"?[ \t]*(?:\n|\Z)', re.IGNORECASE)
"""Excel's own line that names the separator."""
_LOOKED_AT = 64 * 1024
_MAX_BREAKS = 100
"""Line breaks in a cell from which on its quotation mark is taken for a sign of the text."""


def read_csv(data: bytes, options: ReadOptions = DEFAULT_OPTIONS) -> Document:
    """Return a file's rows."""
    found = decode_with_notes(data, options.encodings)
    csv.field_size_limit(_FIELD)
    try:
        rows = _rows(found.text)
    except csv.Error as error:
        raise InputError(f"it is no table that can be read ({error})") from error
    return Document("", (Section(rows_as_text(rows), unit="row"),), found.notes)


def _rows(text: str) -> list[list[str]]:
    told = _TOLD.match(text)
    separator = told[1] if told else _separator(text[:_LOOKED_AT])
    rest = text[told.end() :] if told else text
    rows = _parsed(rest, separator)
    if any(cell.count("\n") > _MAX_BREAKS for row in rows for cell in row):
        rows = _parsed(rest, separator, quoting=csv.QUOTE_NONE)
    # the line that names the separator counts, so that rows have the numbers that a person sees
    return [[]] * bool(told) + [[" ".join(cell.split()) for cell in row] for row in rows]


def _parsed(text: str, separator: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> list[list[str]]:
    # a blank behind a separator does not hide the quotation mark that follows
    return list(csv.reader(io.StringIO(text), delimiter=separator, quoting=quoting, skipinitialspace=True))


def _separator(beginning: str) -> str:
    """Return the separator that gives most rows the same number of columns."""
    return max(_SEPARATORS, key=lambda separator: _fit(beginning, separator))


def _fit(beginning: str, separator: str) -> float:
    try:
        widths = [len(row) for row in _parsed(beginning, separator) if row]
    except csv.Error:
        return 0.0
    if len(beginning) == _LOOKED_AT:
        # the last row may be cut
        widths = widths[:-1] or widths
    width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
    if width < 2:
        # a title above the table, or rows of one column; what has more columns may still be the table
        wider = Counter(each for each in widths if each > 1).most_common(1)
        return wider[0][1] / len(widths) / 2 if wider else 0.0
    return count / len(widths)
