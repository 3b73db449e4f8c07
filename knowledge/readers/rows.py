"""Rows of a table as text: a row is understood with the names of its columns, so each row says them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median_high

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
