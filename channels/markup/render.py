"""Render Markdown in a markup of a platform."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from rich.cells import cell_len

from qwendesk.channels.base import Markup
from qwendesk.channels.markup.dialect import item_number, make_parser

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.tree import SyntaxTreeNode

_MARKED = ("strong", "em", "s", "code_inline")
_GAP = "\u200b"
_WEB_SCHEMES = "https?://|mailto:|tel:"
_SCHEMES = f"{_WEB_SCHEMES}|tg://"
_ALIGN = "text-align:"
"""Prefix of the style attribute in which markdown-it's table rule stores a column's alignment."""


def _same(text: str) -> str:
    return text


def _quoted(text: str) -> str:
    return f"<blockquote>{re.sub('</?blockquote>', '', text)}</blockquote>"


def _tag(name: str) -> Callable[[str], str]:
    return lambda text: f"<{name}>{text}</{name}>"


def _sign(mark: str) -> Callable[[str], str]:
    """Return a function that marks each line, since a mark does not extend over line breaks."""
    return lambda text: "\n".join(f"{mark}{line}{mark}" if line.strip() else line for line in text.split("\n"))


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


@dataclass(frozen=True, slots=True)
class Style:
    """Functions that write each kind of node in one markup; ``escape`` applies to text first."""

    escape: Callable[[str], str]
    bold: Callable[[str], str]
    italic: Callable[[str], str]
    strike: Callable[[str], str]
    code: Callable[[str], str]
    """Writes inline code, given unescaped."""
    block: Callable[[str, str], str]
    """Writes a block of code, given unescaped, and its language."""
    quote: Callable[[str], str]
    link: Callable[[str, str], str]
    """Writes a link, given its rendered label and its address."""
    verbatim: re.Pattern[str] | None = None
    """Matches a rendered block of code, which is not indented in lists, since spaces would become part of it."""
    needs_gap: bool = False
    """Whether marks need an adjacent space; a zero-width space then separates a mark from a letter."""


def _named(label: str, url: str) -> str:
    return label if label == url or url == f"mailto:{label}" else f"{label} ({url})"


def _pre(code: str, language: str) -> str:
    inner = f'<code class="language-{html.escape(language)}">{_escaped(code)}</code>' if language else _escaped(code)
    return f"<pre>{inner}</pre>"


def _unfenced(code: str) -> str:
    """Break up triple backticks within code, so that they do not end it."""
    return code.replace("```", "`\u200b`\u200b`")


def _arrowed(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


STYLES: dict[str, Style] = {
    "plain": Style(
        escape=_same,
        bold=_same,
        italic=_same,
        strike=_sign("~"),
        code=_same,
        block=lambda code, _: code,
        quote=_arrowed,
        link=_named,
    ),
    "telegram": Style(
        escape=_escaped,
        bold=_tag("b"),
        italic=_tag("i"),
        strike=_tag("s"),
        code=lambda code: f"<code>{_escaped(code)}</code>",
        block=_pre,
        quote=_quoted,
        link=lambda label, url: f'<a href="{html.escape(url)}">{label}</a>',
        verbatim=re.compile("(<pre>.*?</pre>)", re.DOTALL),
    ),
    "mrkdwn": Style(
        escape=_escaped,
        bold=_sign("*"),
        italic=_sign("_"),
        strike=_sign("~"),
        code=lambda code: f"`{_escaped(code)}`",
        block=lambda code, _: f"```\n{_unfenced(_escaped(code))}\n```",
        quote=_arrowed,
        link=lambda label, url: f"<{_escaped(url)}|{label}>",
        verbatim=re.compile("(```\n.*?\n```)", re.DOTALL),
        needs_gap=True,
    ),
}
"""The styles of all markups but HTML and Markdown."""


class InlineWriter:
    """Writes inline nodes in a style."""

    def __init__(self, style: Style) -> None:
        self._style = style

    def write(self, node: SyntaxTreeNode) -> str:
        """Return the text of a node and its descendants."""
        style = self._style
        match node.type:
            case "text":
                return style.escape(node.content)
            case "softbreak" | "hardbreak":
                return "\n"
            case "code_inline":
                return style.code(node.content)
            case "strong":
                return style.bold(self._inner(node))
            case "em":
                return style.italic(self._inner(node))
            case "s":
                return style.strike(self._inner(node))
            case "link":
                url = str(node.attrs.get("href") or "")
                label = self._inner(node)
                return style.link(label or style.escape(url), url) if url else label
        return self._inner(node) if node.children else style.escape(node.content)

    def write_all(self, nodes: Sequence[SyntaxTreeNode]) -> str:
        """Return the text of adjacent nodes."""
        written, marked = "", False
        for node in nodes:
            piece, before, marked = self.write(node), marked, node.type in _MARKED
            beside = written[-1:].isalnum() if marked else before and piece[:1].isalnum()
            written += _GAP + piece if self._style.needs_gap and piece and beside else piece
        return written

    def _inner(self, node: SyntaxTreeNode) -> str:
        return self.write_all(node.children)


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
        self._inline = InlineWriter(style)
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
        return self._inline.write_all(node.children)

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
    return InlineWriter(STYLES["plain"]).write_all(node.children).replace("\n", " ")
