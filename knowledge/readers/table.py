"""CSV: rows with the names of their columns, whatever separates them."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from typing import Literal

from qwendesk.errors import InputError
from qwendesk.knowledge.base import Document, Section
from qwendesk.knowledge.readers.decode import decoded
from qwendesk.knowledge.readers.options import DEFAULTS, ReadOptions
from qwendesk.knowledge.readers.rows import rows_as_text

_FIELD = 1024 * 1024
_SEPARATORS = (";", "\t", "|", ",")
"""In the order in which they are taken where several fit: a comma also divides decimals and sentences."""
_TOLD = re.compile(r'\A"?sep=(.)"?[ \t]*(?:\n|\Z)', re.IGNORECASE)
"""Excel's own line that names the separator."""
_LOOKED_AT = 64 * 1024
_MAX_BREAKS = 100
"""Line breaks in a cell from which on its quotation mark is taken for a sign of the text."""


def read(data: bytes, options: ReadOptions = DEFAULTS) -> Document:
    """Return a file's rows."""
    found = decoded(data, options.encodings)
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
