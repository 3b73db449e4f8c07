"""Render Markdown in a platform's markup."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from rich.cells import cell_len

from qwendesk.channels.base import Markup
from qwendesk.channels.markup.dialect import item_number, make_parser
from qwendesk.channels.markup.inline import STYLES, Inline, Style

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.tree import SyntaxTreeNode

_WEB_SCHEMES = "https?://|mailto:|tel:"
_SCHEMES = f"{_WEB_SCHEMES}|tg://"
_ALIGN = "text-align:"
"""Prefix of the style attribute in which markdown-it's table rule stores a column's alignment."""


def render(text: str, markup: Markup) -> str:
    """Return Markdown in a markup; text replaces constructs that the markup lacks."""
    if markup == "markdown":
        return text
    if markup == "html":
        return str(_web_page().render(text)).strip()
    return _Blocks(STYLES[markup]).write(_tree(text)).strip("\n")


def written(text: str, markup: Markup) -> str:
    """Return plain text in a markup, with its markup characters escaped."""
    match markup:
        case "html":
            return f"<p>{html.escape(text, quote=False)}</p>".replace("\n", "<br>\n")
        case "markdown":
            return text
    return STYLES[markup].escape(text)


@cache
def markdown_parser() -> MarkdownIt:
    """Return the Markdown parser."""
    return make_parser(_SCHEMES)


@cache
def _web_page() -> MarkdownIt:
    page = make_parser(_WEB_SCHEMES, breaks=True)
    page.core.ruler.push("alignment", _aligned)
    return page


def _aligned(state: StateCore) -> None:
    """Replace alignment styles by a class and an attribute: a content security policy may forbid inline styles."""
    for token in state.tokens:
        if token.type in ("th_open", "td_open") and "style" in token.attrs:
            side = str(token.attrs.pop("style")).removeprefix(_ALIGN)
            token.attrs |= {"class": f"align-{side}", "align": side}


def _tree(text: str) -> SyntaxTreeNode:
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(markdown_parser().parse(text))


class _Blocks:
    """Writes block nodes in one style."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._inline = Inline(style)
        self._writers: dict[str, Callable[[SyntaxTreeNode], str]] = {
            "heading": lambda node: style.bold(self._text(node)),
            "paragraph": self._text,
            "fence": lambda node: style.block(node.content.rstrip("\n"), node.info.split(" ")[0]),
            "code_block": lambda node: style.block(node.content.rstrip("\n"), ""),
            "blockquote": lambda node: style.quote(self.write(node)),
            "bullet_list": lambda node: self._list(node, lambda item: "• "),
            "ordered_list": lambda node: self._list(node, lambda item: f"{item_number(item)}{node.markup} "),
            "table": lambda node: style.block(_table(node), ""),
            "hr": lambda node: "———",
        }

    def write(self, node: SyntaxTreeNode) -> str:
        """Return the blocks below a node, separated by blank lines."""
        between = "\n" if node.type == "list_item" else "\n\n"
        return between.join(self._writers[child.type](child) for child in node.children if child.type in self._writers)

    def _text(self, node: SyntaxTreeNode) -> str:
        return self._inline.line(node.children)

    def _list(self, node: SyntaxTreeNode, mark_of: Callable[[SyntaxTreeNode], str]) -> str:
        lines = []
        for item in node.children:
            mark = mark_of(item)
            lines.append(mark + self._indented(self.write(item), len(mark)))
        return "\n".join(lines)

    def _indented(self, text: str, width: int) -> str:
        verbatim = self._style.verbatim
        pieces = verbatim.split(text) if verbatim else [text]
        prose = [re.sub(r"\n(?!\Z)", "\n" + " " * width, piece) for piece in pieces[::2]]
        pieces[::2] = [*prose[:-1], pieces[-1].replace("\n", "\n" + " " * width)]
        return "".join(pieces)


def _table(node: SyntaxTreeNode) -> str:
    """Return a table as columns of plain text."""
    rows = [row.children for part in node.children for row in part.children]
    written = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*written, strict=False)]
    sides = [str(cell.attrs.get("style", "")).removeprefix(_ALIGN) for cell in rows[0]]
    lines = ["  ".join(map(_padded, row, widths, sides)).rstrip() for row in written]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _padded(text: str, width: int, side: str) -> str:
    missing = width - cell_len(text)
    left = {"right": missing, "center": missing // 2}.get(side, 0)
    return " " * left + text + " " * (missing - left)


def _plain(node: SyntaxTreeNode) -> str:
    return Inline(STYLES["plain"]).line(node.children).replace("\n", " ")
