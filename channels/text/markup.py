"""Write Markdown in a platform's own markup, from one reading of it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from qwendesk.channels.base import Markup
from qwendesk.channels.text.formulas import with_formulas
from qwendesk.channels.text.inline import STYLES, Inline, Style

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from markdown_it.tree import SyntaxTreeNode

_WEB_LINK = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)


def render(text: str, markup: Markup) -> str:
    """Return Markdown in a markup; what the markup lacks is written in words and signs, never lost."""
    if markup == "markdown":
        return text
    if markup == "html":
        return str(_web_page().render(text)).strip()
    return _Blocks(STYLES[markup]).write(_tree(text)).strip("\n")


@cache
def reader() -> MarkdownIt:
    """Return the reader of Markdown: CommonMark with tables and strikethrough; HTML in a text stays text."""
    from markdown_it import MarkdownIt

    return with_formulas(MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]))


@cache
def _web_page() -> MarkdownIt:
    from markdown_it import MarkdownIt

    page = with_formulas(MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]))
    page.validateLink = lambda url: bool(_WEB_LINK.match(url))  # type: ignore[method-assign]
    page.add_render_rule("image", _linked)
    return page


def _linked(_: object, tokens: Sequence[Token], index: int, *__: object) -> str:
    """Write a picture as a link: one that loads by itself would tell a stranger's server what was asked."""
    image = tokens[index]
    url, label = html.escape(str(image.attrGet("src") or "")), html.escape(image.content)
    return f'<a href="{url}">{label or url}</a>'


def _tree(text: str) -> SyntaxTreeNode:
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(reader().parse(text))


class _Blocks:
    """Writes paragraphs, lists, code and tables in one style."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._inline = Inline(style)
        self._writers: dict[str, Callable[[SyntaxTreeNode], str]] = {
            "heading": lambda node: style.bold(self._text(node)),
            "paragraph": self._text,
            "fence": lambda node: style.block(node.content.rstrip("\n"), node.info.split(" ")[0]),
            "code_block": lambda node: style.block(node.content.rstrip("\n"), ""),
            "blockquote": lambda node: style.quote(self.write(node)),
            "bullet_list": lambda node: self._list(node, None),
            "ordered_list": lambda node: self._list(node, int(node.attrs.get("start", 1))),
            "table": lambda node: style.block(_table(node), ""),
            "hr": lambda node: "———",
        }

    def write(self, node: SyntaxTreeNode) -> str:
        """Write all blocks below a node, a blank line between them."""
        between = "\n" if node.type == "list_item" else "\n\n"
        return between.join(self._writers[child.type](child) for child in node.children if child.type in self._writers)

    def _text(self, node: SyntaxTreeNode) -> str:
        return "".join(self._inline.write(child) for child in node.children)

    def _list(self, node: SyntaxTreeNode, first: int | None) -> str:
        lines = []
        for number, item in enumerate(node.children, first or 0):
            mark = "• " if first is None else f"{number}. "
            lines.append(mark + self.write(item).replace("\n", "\n" + " " * len(mark)))
        return "\n".join(lines)


def _table(node: SyntaxTreeNode) -> str:
    """Return a table as columns of plain text."""
    rows = [[_plain(cell) for cell in row.children] for part in node.children for row in part.children]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=False)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _plain(node: SyntaxTreeNode) -> str:
    return "".join(Inline(STYLES["plain"]).write(child) for child in node.children)
