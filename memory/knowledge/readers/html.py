"""HTML: what a person would read of a page; scripts, styles and hidden parts are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from qwendesk.memory.knowledge.base import Document, Section
from qwendesk.memory.knowledge.readers.decode import clean, decode

_DROPPED = (
    "script,style,noscript,template,iframe,object,embed,svg,canvas,form,button,nav,head,"
    "[hidden],[aria-hidden=true],[style*='display:none'],[style*='display: none']"
)
_BLOCKS = (
    "p,div,section,article,main,header,footer,aside,ul,ol,li,dl,dt,dd,table,tr,blockquote,figure,figcaption,pre,hr,"
    "address,details,summary,caption"
)
_HEADINGS = "h1,h2,h3,h4,h5,h6"
# marks of our own, put where blocks and headings are; private-use signs, taken out of the page's own text before
_BREAK, _OPEN, _CLOSE = "\ue000", "\ue001", "\ue002"
_MARKS = re.compile("[\ue000-\ue002]")
_HEADING = re.compile(f"{_OPEN}([1-6])(.*?){_CLOSE}", re.DOTALL)
_CHARSET = re.compile(rb"""<meta[^>]+charset=["']?\s*([\w.:-]+)""", re.IGNORECASE)


def read(data: bytes) -> Document:
    """Return the page's text under its headings."""
    return read_page(_decoded(data))


def read_page(page: str) -> Document:
    """Return a page's text under its headings."""
    tree = LexborHTMLParser(_MARKS.sub("", page))
    named = tree.css_first("title")
    title = _line(named.text()) if named else ""
    body = tree.body or tree.root
    if body is None:
        return Document(title, ())
    _mark(body)
    return Document(title, tuple(_sections(body.text(deep=True), title)))


def _decoded(data: bytes) -> str:
    """Decode as the page itself says, if it does."""
    named = _CHARSET.search(data[:4096])
    if named and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        try:
            return clean(data.decode(named[1].decode("ascii")))
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(data)


def _mark(body: LexborNode) -> None:
    for node in body.css(_DROPPED):
        node.decompose()
    for node in body.css("br"):
        node.replace_with(_BREAK)
    for node in body.css("pre"):
        node.replace_with(_BREAK + node.text().replace("\n", _BREAK) + _BREAK)
    for node in body.css("td,th"):
        node.insert_after(" | ")
    for node in body.css(_BLOCKS):
        node.insert_before(_BREAK)
        node.insert_after(_BREAK)
    for node in body.css(_HEADINGS):
        node.replace_with(f"{_OPEN}{(node.tag or 'h6')[1]}{node.text()}{_CLOSE}")


def _sections(marked: str, title: str) -> Iterator[Section]:
    parts = _HEADING.split(marked)
    path: dict[int, str] = {}
    for level, heading, text in zip(["0", *parts[1::3]], ["", *parts[2::3]], parts[0::3], strict=True):
        words = _line(_MARKS.sub(" ", heading))
        if words:
            path = {above: kept for above, kept in path.items() if above < int(level)} | {int(level): words}
        body = "\n".join(filter(None, (_line(line).strip("| ") for line in _MARKS.split(text))))
        if body:
            above = tuple(kept for number, kept in sorted(path.items()) if (number, kept) != (1, title))
            yield Section(body, above)


def _line(text: str) -> str:
    return " ".join(text.split())
