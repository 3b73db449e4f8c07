"""HTML: what a person would read of a page; scripts, styles and hidden parts are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from selectolax.lexbor import LexborHTMLParser, LexborNode

from qwendesk.knowledge.base import Document, Section
from qwendesk.knowledge.readers.decode import decoded
from qwendesk.knowledge.readers.html_elements import (
    BREAK,
    CLOSE,
    MARKS,
    OPEN,
    line,
    plain,
    read_forms,
    read_inline,
    read_tables,
)
from qwendesk.knowledge.readers.options import DEFAULTS, ReadOptions

_DROPPED = (
    "script,style,noscript,template,iframe,object,embed,svg,canvas,nav,head,dialog:not([open]),"
    "[hidden],[aria-hidden=true],input[type=hidden i],input[type=password i]"
)
_BLOCKS = (
    "p,div,section,article,main,header,footer,aside,ul,ol,li,dl,dt,dd,blockquote,figure,figcaption,pre,hr,"
    "address,details,summary,form,fieldset,legend,table,caption"
)
_HEADINGS = "h1,h2,h3,h4,h5,h6"
_HIDDEN = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0*(?:\.0*)?%?\s*(?:;|!|$)"
    r"|font-size\s*:\s*0*(?:\.0*)?(?:px|pt|em|rem|%)?\s*(?:;|!|$))",
    re.IGNORECASE,
)
"""Styles of an element that nobody sees."""
_HEADING = re.compile(f"{OPEN}([1-6])(.*?){CLOSE}", re.DOTALL)
_META = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_XML = re.compile(rb"""\A\s*<\?xml[^>]+encoding\s*=\s*["']([\w.:-]+)""", re.IGNORECASE)
_HEAD = 4096
"""Bytes at the beginning of a page that may declare its encoding."""


def read(data: bytes, options: ReadOptions = DEFAULTS) -> Document:
    """Return the page's text under its headings."""
    found = (pattern.search(data[:_HEAD]) for pattern in (_XML, _META))
    labels = [options.encoding, *(match[1].decode("ascii") for match in found if match)]
    page = decoded(data, filter(None, labels))
    document = read_page(page.text)
    return replace(document, notes=page.notes)


def read_page(page: str) -> Document:
    """Return a page's text under its headings."""
    tree = LexborHTMLParser(MARKS.sub("", page))
    named = tree.css_first("title")
    title = line(named.text()) if named else ""
    body = tree.body or tree.root
    if body is None:
        return Document(title, ())
    _mark(body)
    return Document(title, tuple(_sections(body.text(deep=True), title)))


def _mark(body: LexborNode) -> None:
    """Put marks where blocks and headings begin and end, and write out what only the layout shows."""
    for node in [*body.css(_DROPPED), *(node for node in body.css("[style]") if _is_unseen(node))]:
        node.decompose()
    read_inline(body)
    read_forms(body)
    for node in body.css(_BLOCKS):
        node.insert_before(BREAK)
        node.insert_after(BREAK)
    read_tables(body)
    for node in body.css(_HEADINGS):
        node.replace_with(f"{OPEN}{(node.tag or 'h6')[1]}{node.text()}{CLOSE}")


def _is_unseen(node: LexborNode) -> bool:
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
