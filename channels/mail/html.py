"""Convert an HTML mail to its visible text.

selectolax parses and tinycss2 reads styles. inscriptis is unsuitable because it outputs text that style sheets hide
and lays nested tables out in columns, html2text because of its licence; so this module lays out the lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from qwendesk.channels.mail.css import StyleSheets, TooManyComparisons
from qwendesk.channels.mail.html_layout import (
    HARD_BREAK,
    LINE,
    PARAGRAPH,
    SPACE,
    apply_marks,
    preserve_whitespace,
    remove_marks,
    truncate_html,
)
from qwendesk.channels.mail.selectors import Element
from qwendesk.channels.mail.visibility import ComputedStyle, compute_style

_MAX_CHARS = 2**18
"""Maximum number of characters that are read of a page."""
_MAX_DEPTH = 500
"""Maximum depth of nested elements, as in browsers."""
_MAX_ELEMENTS = 20_000
_MAX_LINK_CHARS = 1000
_MAX_ALT_CHARS = 300
_MAX_INDENTS = 5
"""Maximum depth of nested lists and quotes that the text shows."""
_SILENT = {
    "script", "style", "head", "title", "template", "meta", "link", "base", "object", "embed", "audio", "video",
    "iframe", "frame", "frameset", "canvas", "svg", "noembed", "noframes", "datalist", "xml", "map", "param", "input",
    "applet", "progress", "meter", "annotation", "annotation-xml",
}  # fmt: skip
"""Elements whose text mail programs do not display."""
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "dl", "pre", "hr", "figure", "listing"}
_LINES = {
    "div", "li", "tr", "dt", "dd", "address", "article", "aside", "body", "caption", "center", "details", "dialog",
    "dir", "fieldset", "figcaption", "footer", "form", "header", "hgroup", "html", "legend", "main", "menu", "nav",
    "option", "search", "section", "summary", "tbody", "tfoot", "thead", "blockquote", "xmp",
}  # fmt: skip
_SIGNATURE = {"gmail_signature", "moz-signature", "gmail_signature_prefix"}
_STRUCK = {"s", "del", "strike"}
_BLOCK_DISPLAYS = ("block", "flex", "grid", "table", "list-item")


@dataclass(slots=True)
class _Frame:
    """An open element."""

    node: LexborNode | None
    """The next child to read."""
    element: Element
    look: ComputedStyle
    doubt: ComputedStyle
    """The style if all uncertain rules applied."""
    pieces: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    """Texts of a row's cells."""
    count: int = 0
    """Number of the last item of an ordered list."""
    gap: str = ""
    """The mark before and after the element."""

    @property
    def is_seen(self) -> bool:
        """Whether the text of the element is certainly visible."""
        return self.look.is_seen and self.doubt.is_seen


def render_html(html: str) -> str:
    """Return the visible text of a page, quotes prefixed with ``> ``; empty if the style sheets are too complex."""
    root = LexborHTMLParser(truncate_html(remove_marks(html[:_MAX_CHARS]))).root
    if root is None:
        return ""
    try:
        return _Reader(root).read()
    except TooManyComparisons:
        return ""


class _Reader:
    """Converts a page in one pass over its elements.

    Args:
        root: the page's ``<html>``.
    """

    def __init__(self, root: LexborNode) -> None:
        self._sheet = StyleSheets(
            style.text(deep=True) for style in root.css("style") if _is_for_screens(style.attributes.get("media"))
        )
        self._left = _MAX_ELEMENTS
        self._links: set[str] = set()
        self._path: list[Element] = []
        self._frames = [_Frame(root, Element.of("#page", {}), ComputedStyle(), ComputedStyle())]
        self._root = root

    def read(self) -> str:
        """Return the text of the page."""
        self._visit(self._root)
        while len(self._frames) > 1:
            frame = self._frames[-1]
            child = frame.node
            if child is None:
                self._leave()
                continue
            frame.node = child.next
            self._visit(child)
        text = apply_marks("".join(self._frames[0].pieces))
        return "\n".join("-- " if line == "--" else line for line in text.split("\n"))

    def _visit(self, node: LexborNode) -> None:
        frame = self._frames[-1]
        if node.is_text_node:
            if frame.is_seen:
                frame.pieces.append(_written(node.text_content or "", frame.look))
        elif node.is_element_node and len(self._path) < _MAX_DEPTH and self._left:
            self._left -= 1
            self._enter(node, (node.tag or "").lower())

    def _enter(self, node: LexborNode, tag: str) -> None:
        frame = self._frames[-1]
        if tag in _SILENT:
            return
        element = Element.of(tag, node.attributes)
        if element.classes & _SIGNATURE:
            frame.pieces.append(LINE)
            return
        self._path.append(element)
        declared, perhaps = self._sheet.declared(self._path, element.attributes.get("style") or "")
        look = compute_style(frame.look, element, declared)
        is_known = perhaps is declared and frame.doubt is frame.look
        doubt = look if is_known else compute_style(frame.doubt, element, perhaps)
        display = "".join(token.serialize() for token in declared.get("display", ())).strip().lower()
        if look.is_gone or doubt.is_gone:
            self._path.pop()
        elif tag in ("br", "img"):
            self._path.pop()
            frame.pieces.append(HARD_BREAK if tag == "br" else _picture(element, look.is_seen and doubt.is_seen))
        else:
            gap = LINE if tag in ("ul", "ol") and frame.element.tag == "li" else _gap(tag, display)
            self._frames.append(_Frame(node.child, element, look, doubt, gap=gap))

    def _leave(self) -> None:
        frame = self._frames.pop()
        self._path.pop()
        parent = self._frames[-1]
        tag = frame.element.tag
        if tag in ("td", "th"):
            parent.cells.append(apply_marks("".join(frame.pieces)))
            return
        parent.pieces += (frame.gap, *self._closed(tag, frame, parent), frame.gap)

    def _closed(self, tag: str, frame: _Frame, parent: _Frame) -> Iterable[str]:
        """Return the text that an element adds to its parent."""
        text = "".join(frame.pieces)
        if tag == "tr":
            return (text, preserve_whitespace(_row(frame.cells)))
        if tag == "a":
            return (text, self._link(frame.element.attributes.get("href") or "", apply_marks(text)))
        if tag == "li":
            return (preserve_whitespace(_item(parent, frame.element, apply_marks(text), self._within("li"))),)
        if tag == "blockquote" and not _is_indented(frame.element) and self._within(tag):
            quoted = apply_marks(text)
            lines = "\n".join(f"> {line}".rstrip() for line in quoted.split("\n"))
            return (PARAGRAPH, preserve_whitespace(lines), PARAGRAPH) if quoted else ()
        return _marked(tag, text)

    def _within(self, tag: str) -> bool:
        """Return whether the nesting of an element is shallow enough to be indented."""
        return sum(above.tag == tag for above in self._path) < _MAX_INDENTS

    def _link(self, address: str, shown: str) -> str:
        """Return a link's address unless the text contains it."""
        address = "".join(address.split())
        scheme, _, rest = address.partition(":")
        bare = rest.removeprefix("//").rstrip("/").removeprefix("www.")
        if scheme.lower() not in ("http", "https", "mailto", "tel") or not bare or not shown:
            return ""
        bare = bare.partition("?")[0] if scheme.lower() == "mailto" else bare
        if len(address) > _MAX_LINK_CHARS or bare in self._links or bare.casefold() in shown.casefold():
            return ""
        self._links.add(bare)
        return f" ({bare if scheme.lower() in ('mailto', 'tel') else address})"


def _is_for_screens(media: str | None) -> bool:
    return not media or any(word in media.lower() for word in ("all", "screen", "not", "width", ","))


def _written(text: str, look: ComputedStyle) -> str:
    return preserve_whitespace(text) if look.keeps_lines else text


def _gap(tag: str, display: str) -> str:
    if display.startswith("inline") or display == "contents":
        return "" if display == "inline" else " "
    if tag in _PARAGRAPHS:
        return PARAGRAPH
    return LINE if tag in _LINES or display.startswith(_BLOCK_DISPLAYS) else ""


def _picture(element: Element, is_seen: bool) -> str:
    """Return the text for an image: its alternative text, or the emoji that it depicts."""
    alt = " ".join((element.attributes.get("alt") or "").split())
    if not alt or not is_seen or any(_number(element, side, 2) < 2 for side in ("width", "height")):
        return ""
    alt = alt[:_MAX_ALT_CHARS]
    return f" {alt} " if any(sign.isalnum() for sign in alt) else alt


def _row(cells: list[str]) -> str:
    """Return a table row as one line, or one cell below the other if a cell has several lines."""
    filled = [cell for cell in cells if cell]
    if any("\n" in cell for cell in filled):
        return "\n".join(filled)
    return " | ".join(cells).strip(" ").removesuffix(" |").rstrip() if len(filled) > 1 else "".join(filled)


def _item(parent: _Frame, element: Element, text: str, is_indented: bool) -> str:
    sign = "- "
    if parent.element.tag == "ol":
        parent.count = _number(element, "value") or (parent.count or (_number(parent.element, "start") or 1) - 1) + 1
        sign = f"{parent.count}. "
    lines = text.split("\n") if text else []
    under = " " * len(sign) if is_indented else ""
    return "\n".join((under if number else sign) + line if line else "" for number, line in enumerate(lines))


def _number(element: Element, name: str, otherwise: int = 0) -> int:
    value = (element.attributes.get(name) or "").strip()
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else otherwise


def _is_indented(element: Element) -> bool:
    """Return whether a ``blockquote`` is only an indented paragraph, as some mail programs write it."""
    style = (element.attributes.get("style") or "").replace(" ", "").lower()
    is_cited = "cite" in element.attributes or element.attributes.get("type") == "cite"
    return ("border:none" in style or "border:0" in style) and not is_cited and "gmail_quote" not in element.classes


def _marked(tag: str, text: str) -> Iterable[str]:
    if tag in _STRUCK and text.strip():
        return ("~~", text, "~~")
    if tag == "sup" and text.strip():
        return ("^", text)
    if tag == "q":
        return ("“", text, "”")
    return (SPACE, text) if tag == "button" else (text,)
