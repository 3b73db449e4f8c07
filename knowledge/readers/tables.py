"""Read CSV files, and render rows of tables as text with their column names."""

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

_HEADER_SEARCH_ROWS = 50
"""Rows that may contain the column names."""
_MIN_HEADER_SHARE = 0.6
"""Least share of the columns that the header row fills."""
_FULL_ROW_SHARE = 0.9
_VALUE = re.compile(
    r"[-+(]?\s*(?:[€$£¥]|[A-Z]{3})?\s*\d[\d\s.,'’:/\-–]*(?:%|[€$£¥]|[A-Za-z]{1,3}\b|°C?)?\)?"
    r"|\S+@\S+\.\w+|https?://\S+|true|false",
    re.IGNORECASE,
)
"""A number, an amount, a date or an address: a value, not a column name."""
_YEAR = re.compile(r"(?:19|20)\d\d")
Row = Sequence[str]
_MAX_FIELD_CHARS = 1024 * 1024
_SEPARATORS = (";", "\t", "|", ",")
"""In order of preference; a comma also occurs in decimals and sentences."""
_SEPARATOR_LINE = re.compile(r'\A"?sep=(.)"?[ \t]*(?:\n|\Z)', re.IGNORECASE)
"""Excel's line that names the separator."""
_SAMPLE_CHARS = 64 * 1024
_MAX_BREAKS = 100
"""Line breaks in a cell beyond which its quotation mark is treated as text."""


def rows_as_text(rows: Sequence[Row]) -> str:
    """Return one line for each row, in which each value follows its column name.

    The header is the first row that fills most columns and holds no values; rows above it are titles. A table without
    a header is returned without column names.
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
    """Return the number of the header row; None: there is none."""
    counts = [sum(map(bool, row)) for row in rows[:_HEADER_SEARCH_ROWS]]
    typical = median_high([count for count in counts if count > 1] or [count for count in counts if count])
    wide = [number for number, count in enumerate(counts) if count >= max(1, _MIN_HEADER_SHARE * typical)]
    holds = next((number for number in wide if _holds_values(rows, number)), None)
    if holds is None:
        # a table of words only: its header is the first row of the usual width
        return next((number for number in wide if counts[number] >= _FULL_ROW_SHARE * typical), wide[0])
    return max((number for number in wide if number < holds), key=lambda number: counts[number], default=None)


def _holds_values(rows: Sequence[Row], number: int) -> bool:
    """Return whether a row holds values like the rows below it; years may be column names."""
    below = [row for row in rows[number + 1 : number + _HEADER_SEARCH_ROWS] if any(row)]
    return any(
        _VALUE.fullmatch(cell)
        and (not below or any(len(row) > column and _VALUE.fullmatch(row[column]) for row in below))
        for column, cell in enumerate(rows[number])
        if not _YEAR.fullmatch(cell)
    )


def read_csv(data: bytes, options: ReadOptions = DEFAULT_OPTIONS) -> Document:
    """Return the rows of a CSV file."""
    found = decode_with_notes(data, options.encodings)
    csv.field_size_limit(_MAX_FIELD_CHARS)
    try:
        rows = _rows(found.text)
    except csv.Error as error:
        raise InputError(f"the table cannot be read ({error})") from error
    return Document("", (Section(rows_as_text(rows), unit="row"),), found.notes)


def _rows(text: str) -> list[list[str]]:
    told = _SEPARATOR_LINE.match(text)
    separator = told[1] if told else _separator(text[:_SAMPLE_CHARS])
    rest = text[told.end() :] if told else text
    rows = _parsed(rest, separator)
    if any(cell.count("\n") > _MAX_BREAKS for row in rows for cell in row):
        rows = _parsed(rest, separator, quoting=csv.QUOTE_NONE)
    # the separator line counts as a row, so that row numbers match the file
    return [[]] * bool(told) + [[" ".join(cell.split()) for cell in row] for row in rows]


def _parsed(text: str, separator: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> list[list[str]]:
    # a quotation mark may follow a space after the separator
    return list(csv.reader(io.StringIO(text), delimiter=separator, quoting=quoting, skipinitialspace=True))


def _separator(beginning: str) -> str:
    """Return the separator that gives most rows the same number of columns."""
    return max(_SEPARATORS, key=lambda separator: _fit(beginning, separator))


def _fit(beginning: str, separator: str) -> float:
    try:
        widths = [len(row) for row in _parsed(beginning, separator) if row]
    except csv.Error:
        return 0.0
    if len(beginning) == _SAMPLE_CHARS:
        # the last row may be truncated
        widths = widths[:-1] or widths
    width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
    if width < 2:
        # titles or rows of one column; rows with more columns may still be the table
        wider = Counter(each for each in widths if each > 1).most_common(1)
        return wider[0][1] / len(widths) / 2 if wider else 0.0
    return count / len(widths)
