"""Tables of HTML as rows: one line a row, its cells divided by bars."""

from __future__ import annotations

from collections.abc import Iterator

from selectolax.lexbor import LexborNode

from qwendesk.memory.knowledge.readers.html_marks import BREAK, line

_BAR = " | "
_MAX_COLUMNS = 1_000
_MAX_ROWS_SPANNED = 1_000
_HEADINGS = "h1,h2,h3,h4,h5,h6"
Spanned = dict[int, tuple[str, int]]
"""By column: the text of a cell that reaches down, and for how many further rows."""


def read_tables(body: LexborNode) -> None:
    """Replace each table by its rows, the innermost first; a table that only lays a page out by its cells."""
    for table in reversed(body.css("table")):
        if _is_layout(table):
            for node in table.css("tr,td,th"):
                node.insert_before(BREAK)
                node.insert_after(BREAK)
            table.unwrap()
        else:
            caption = table.css_first("caption")
            above = [line(caption.text().replace(BREAK, " "))] if caption else []
            table.replace_with(BREAK + BREAK.join(filter(None, [*above, *_rows(table)])) + BREAK)


def _is_layout(table: LexborNode) -> bool:
    if (table.attributes.get("role") or "").lower() in ("presentation", "none") or table.css_first(_HEADINGS):
        return True
    return max((sum(1 for _ in _cells(row)) for row in table.css("tr")), default=0) <= 1


def _rows(table: LexborNode) -> Iterator[str]:
    spanned: Spanned = {}
    for row in table.css("tr"):
        cells, spanned = _filled(row, spanned)
        yield _BAR.join(cells).rstrip("| ") if any(cells) else ""


def _filled(row: LexborNode, spanned: Spanned) -> tuple[list[str], Spanned]:
    """Return a row's cells, those that reach down from above among them, and what reaches further down."""
    below = {column: (text, left - 1) for column, (text, left) in spanned.items() if left > 1}
    cells: list[str] = []
    column = 0
    for node in _cells(row):
        while column in spanned and column < _MAX_COLUMNS:
            cells.append(spanned[column][0])
            column += 1
        text, width = _text(node), _span(node, "colspan", _MAX_COLUMNS)
        cells.append(text)
        if (deep := _span(node, "rowspan", _MAX_ROWS_SPANNED)) > 1:
            below[column] = (text, deep - 1)
        column += width
    cells += [spanned[rest][0] for rest in sorted(spanned) if rest >= column]
    return cells, below


def _cells(row: LexborNode) -> Iterator[LexborNode]:
    return (node for node in row.iter() if node.tag in ("td", "th"))


def _text(cell: LexborNode) -> str:
    """Return a cell on one line: its paragraphs one after another, the items of lists divided."""
    lines = [line(each) for each in cell.text(deep=True).split(BREAK)]
    divider = "; " if cell.css_first("li,dd") or _BAR in cell.text(deep=True) else " "
    return divider.join(filter(None, lines))


def _span(cell: LexborNode, name: str, most: int) -> int:
    value = (cell.attributes.get(name) or "").strip()
    return min(int(value), most) if value.isdecimal() and len(value) < 9 and int(value) > 0 else 1
