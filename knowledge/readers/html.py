"""Read HTML as the visible text of the page, without scripts, styles and hidden elements.

Private-use characters mark line breaks and headings in the tree before its text is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from selectolax.lexbor import LexborHTMLParser, LexborNode

from qwendesk.knowledge.base import DEFAULT_OPTIONS, Document, ReadOptions, Section
from qwendesk.knowledge.readers.text import decode_with_notes

BREAK = "\ue000"
"""Marks a line break."""
OPEN, CLOSE = "\ue001", "\ue002"
"""Mark the beginning of a heading, followed by its level, and its end."""
SPACE = "\ue003"
"""Marks a space of preformatted text."""
MARKS = re.compile("[\ue000-\ue003]")
_BUTTONS = ("submit", "reset", "button", "image")
_CHOICES = ("checkbox", "radio")
_RAISED = str.maketrans("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_LOWERED = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_TAB = 4
_BAR = " | "
_MAX_COLUMNS = 1_000
_MAX_ROWS_SPANNED = 1_000
_LAYOUT_HEADINGS = "h1,h2,h3,h4,h5,h6"
Spanned = dict[int, tuple[str, int]]
"""Text and number of remaining rows of each cell that spans rows, by column."""
_DROPPED = (
    "script,style,noscript,template,iframe,object,embed,svg,canvas,nav,head,dialog:not([open]),"
    "[hidden],[aria-hidden=true],input[type=hidden i],input[type=password i]"
)
_BLOCKS = (
    "p,div,section,article,main,header,footer,aside,ul,ol,li,dl,dt,dd,blockquote,figure,figcaption,pre,hr,"
    "address,details,summary,form,fieldset,legend,table,caption"
)
_HEADING_TAGS = "h1,h2,h3,h4,h5,h6"
_HIDDEN = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0*(?:\.0*)?%?\s*(?:;|!|$)"
    r"|font-size\s*:\s*0*(?:\.0*)?(?:px|pt|em|rem|%)?\s*(?:;|!|$))",
    re.IGNORECASE,
)
"""Styles that hide an element."""
_HEADING = re.compile(f"{OPEN}([1-6])(.*?){CLOSE}", re.DOTALL)
_META = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_XML = re.compile(rb"""\A\s*<\?xml[^>]+encoding\s*=\s*["']([\w.:-]+)""", re.IGNORECASE)
_DECLARATION_BYTES = 4096
"""Bytes at the beginning of a page that may declare its encoding."""


def line(text: str) -> str:
    """Join a text to one line."""
    return " ".join(text.split())


def plain(text: str) -> str:
    """Return a marked line as plain text."""
    return MARKS.sub(lambda found: " " if found[0] == SPACE else "", line(text)).rstrip()


def read_forms(body: LexborNode) -> None:
    """Replace form fields by their values and options."""
    for node in body.css("input"):
        node.replace_with(_field(node))
    for node in body.css("select,datalist"):
        options = (_option(option) for option in node.css("option"))
        node.replace_with(f" {'; '.join(filter(None, options))} ")
    for node in body.css("button"):
        node.insert_before(BREAK)
        node.insert_after(BREAK)


def _field(node: LexborNode) -> str:
    attributes = node.attributes
    kind = (attributes.get("type") or "text").lower()
    if kind in _CHOICES:
        return " [x] " if "checked" in attributes else " [ ] "
    value = attributes.get("value") or attributes.get("placeholder") or attributes.get("aria-label") or ""
    if kind in _BUTTONS:
        return f"{BREAK}{line(value or attributes.get('alt') or '')}{BREAK}"
    return f" {line(value)} "


def _option(node: LexborNode) -> str:
    text = line(node.text()) or node.attributes.get("label") or node.attributes.get("value") or ""
    return f"{text} [x]" if "selected" in node.attributes and text else text


def read_inline(body: LexborNode) -> None:
    """Replace elements that plain text cannot show, such as superscripts and numbered items, by characters."""
    for node in body.css("sup"):
        node.replace_with(_raised(node))
    for node in body.css("sub"):
        node.replace_with(_lowered(line(node.text())))
    for node in body.css("rt"):
        if node.parent is None or node.parent.css_first("rp") is None:
            node.replace_with(f"({line(node.text())})")
    for node in body.css("br"):
        node.replace_with(BREAK)
    for node in body.css("wbr"):
        node.decompose()
    for node in body.css("pre,textarea"):
        node.replace_with(BREAK + _preformatted(node.text()) + BREAK)
    _number_items(body)
    for node in body.css("dt"):
        if not (node.text().strip() or ":").endswith((":", "?", "!", "：")):
            node.insert_child(":")


def _raised(node: LexborNode) -> str:
    text = line(node.text())
    if node.css_first("a") or not text:
        # a link is a reference to a note, not an exponent
        return text and f" [{text.strip('[]')}]"
    if all(ord(sign) in _RAISED for sign in text):
        return text.translate(_RAISED)
    # 1st, 2e and TM are written without a mark
    is_ending = len(text) > 1 and text.isalpha()
    return text if is_ending or not text.isalnum() else f"^{text}"


def _lowered(text: str) -> str:
    if all(ord(sign) in _LOWERED for sign in text):
        return text.translate(_LOWERED)
    return f"_{text}" if text.isalnum() else text


def _preformatted(text: str) -> str:
    lines = text.strip("\r\n").splitlines()
    return BREAK.join(each.expandtabs(_TAB).replace(" ", SPACE) for each in lines)


def _number_items(body: LexborNode) -> None:
    for listing in body.css("ol"):
        number = _number(listing, "start", 1)
        for item in listing.iter():
            if item.tag == "li":
                number = _number(item, "value", number)
                first = item.child
                if first is not None:
                    first.insert_before(f"{number}. ")
                number += 1


def _number(node: LexborNode, name: str, other: int) -> int:
    value = (node.attributes.get(name) or "").strip()
    return int(value) if value.isdecimal() and len(value) < 9 else other


def read_tables(body: LexborNode) -> None:
    """Replace each table by its rows, innermost first, and a layout table by its cells."""
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
    if (table.attributes.get("role") or "").lower() in ("presentation", "none") or table.css_first(_LAYOUT_HEADINGS):
        return True
    return max((sum(1 for _ in _cells(row)) for row in table.css("tr")), default=0) <= 1


def _rows(table: LexborNode) -> Iterator[str]:
    spanned: Spanned = {}
    for row in table.css("tr"):
        cells, spanned = _filled(row, spanned)
        yield _BAR.join(cells).rstrip("| ") if any(cells) else ""


def _filled(row: LexborNode, spanned: Spanned) -> tuple[list[str], Spanned]:
    """Return the cells of a row, including those that span it from above, and the cells that span further rows."""
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
    """Return the text of a cell on one line, with list items separated."""
    lines = [line(each) for each in cell.text(deep=True).split(BREAK)]
    divider = "; " if cell.css_first("li,dd") or _BAR in cell.text(deep=True) else " "
    return divider.join(filter(None, lines))


def _span(cell: LexborNode, name: str, most: int) -> int:
    value = (cell.attributes.get(name) or "").strip()
    return min(int(value), most) if value.isdecimal() and len(value) < 9 and int(value) > 0 else 1


def read_html(data: bytes, options: ReadOptions = DEFAULT_OPTIONS) -> Document:
    """Decode a page and return its text by headings."""
    found = (pattern.search(data[:_DECLARATION_BYTES]) for pattern in (_XML, _META))
    labels = [options.encoding, *(match[1].decode("ascii") for match in found if match)]
    page = decode_with_notes(data, filter(None, labels))
    document = parse_html(page.text)
    return replace(document, notes=page.notes)


def parse_html(page: str) -> Document:
    """Return the text of a page by headings."""
    tree = LexborHTMLParser(MARKS.sub("", page))
    named = tree.css_first("title")
    title = line(named.text()) if named else ""
    body = tree.body or tree.root
    if body is None:
        return Document(title, ())
    _mark(body)
    return Document(title, tuple(_sections(body.text(deep=True), title)))


def _mark(body: LexborNode) -> None:
    """Remove hidden elements and mark blocks, headings, forms and tables."""
    for node in [*body.css(_DROPPED), *(node for node in body.css("[style]") if _is_hidden(node))]:
        node.decompose()
    read_inline(body)
    read_forms(body)
    for node in body.css(_BLOCKS):
        node.insert_before(BREAK)
        node.insert_after(BREAK)
    read_tables(body)
    for node in body.css(_HEADING_TAGS):
        node.replace_with(f"{OPEN}{(node.tag or 'h6')[1]}{node.text()}{CLOSE}")


def _is_hidden(node: LexborNode) -> bool:
    return bool(_HIDDEN.search(node.attributes.get("style") or ""))


def _sections(marked: str, title: str) -> Iterator[Section]:
    parts = _HEADING.split(marked)
    path: dict[int, str] = {}
    for level, heading, text in zip(["0", *parts[1::3]], ["", *parts[2::3]], parts[0::3], strict=True):
        words = line(MARKS.sub(" ", heading))
        if words:
            path = {above: kept for above, kept in path.items() if above < int(level)} | {int(level): words}
        body = "\n".join(filter(str.strip, (plain(each) for each in text.split(BREAK))))
        if body:
            above = tuple(kept for number, kept in sorted(path.items()) if (number, kept) != (1, title))
            yield Section(body, above)
