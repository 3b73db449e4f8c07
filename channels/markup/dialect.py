"""The Markdown dialect of answers: CommonMark with tables and strikethrough, without HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qwendesk.channels.markup.inline_rules import is_open, with_emphasis, with_literals
from qwendesk.channels.markup.latex import plain_formula

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.tree import SyntaxTreeNode

_LANGUAGE = re.compile(r"(?:[\w+#.-]+|\{[^}]*\})?(?:\s+(?:\{.*\}|[\w-]+=(?:\"[^\"]*\"|\S+)))*\s*")
_TIMES = re.compile(r"(?<=[A-Za-z0-9)\]])(?:\*\*(?=\d)|\*(?=[A-Za-z0-9(\[]))")
"""Multiplication or power, as in ``2*x*(y+1)`` and ``x**2``."""
_WORDS = re.compile(r"[^\d\W]{2,}(?: [^\d\W]{2,})*")
_LATEX = re.compile(
    r"\\\((.+?)\\\)|\\\[(.+?)\\\]|\$\$?(?=[^$\n]{0,300}\\[A-Za-z])([^$\n]{1,300})\$\$?|(\\boxed\s?\{(?:[^{}]|\{[^{}]*\})*\})",
    re.DOTALL,
)


def with_blocks(parser: MarkdownIt) -> MarkdownIt:
    """Return the parser, extended so that no text of a block is hidden."""
    parser.disable("reference")
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.core.ruler.after("block", "languages", _languages)
    parser.core.ruler.after("block", "numbers", _numbers)
    return parser


def item_number(item: Token | SyntaxTreeNode) -> int:
    """Return the displayed number of a list item."""
    return int(item.meta["number"])


def cells_of(row: str, columns: int) -> list[str]:
    """Return the cells of a row; surplus bars within code do not separate cells, and the last cell takes the rest."""
    from markdown_it.rules_block.table import escapedSplit

    cells = escapedSplit(row.strip())
    cells = cells[1:] if cells and not cells[0] else cells
    cells = cells[:-1] if cells and not cells[-1] else cells
    if len(cells) <= columns:
        return cells
    joined: list[str] = []
    for cell in cells:
        if joined and joined[-1].count("`") % 2:
            joined[-1] += f"|{cell}"
        else:
            joined.append(cell)
    return [*joined[: columns - 1], "|".join(joined[columns - 1 :])]


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    from markdown_it.rules_block.table import getLine, table

    first = len(state.tokens)
    if not table(state, start, end, silent):
        return False
    for row in () if silent else _rows(state.tokens[first:]):
        if line := row[0].map:
            written = [token for token in row if token.type == "inline"]
            for token, cell in zip(written, cells_of(getLine(state, line[0]), len(written)), strict=False):
                token.content = cell.strip()
    return True


def _rows(tokens: Sequence[Token]) -> list[list[Token]]:
    starts = [place for place, token in enumerate(tokens) if token.type == "tr_open"]
    return [list(tokens[start:end]) for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)]


def _languages(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "fence" or not token.info.strip():
            continue
        if not token.content.strip() or not _LANGUAGE.fullmatch(token.info.strip()):
            token.content, token.info = f"{token.info.strip()}\n{token.content}", ""


def _numbers(state: StateCore) -> None:
    """Store the number of each item, and set the ``value`` attribute where numbers are not consecutive."""
    lists: list[int] = []
    for token in state.tokens:
        if token.type in ("ordered_list_open", "bullet_list_open"):
            lists.append(int(token.attrGet("start") or (0 if token.attrGet("start") == 0 else 1)) - 1)
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            lists.pop()
        elif token.type == "list_item_open":
            written = int(token.info) if token.info.isdecimal() else 0
            token.meta["number"] = number = max(written, lists[-1] + 1)
            if number != lists[-1] + 1:
                token.attrSet("value", str(number))
            lists[-1] = number


def with_formulas(parser: MarkdownIt) -> MarkdownIt:
    """Return the parser, extended by formulas."""
    parser.inline.ruler.before("emphasis", "times", _times)
    parser.inline.ruler.before("escape", "latex", _latex)
    return parser


def _times(state: StateInline, silent: bool) -> bool:
    found = _TIMES.match(state.src, state.pos)
    if found is None or _ends_emphasis(state, found):
        return False
    if not silent:
        state.pending += found[0]
    state.pos = found.end()
    return True


def _ends_emphasis(state: StateInline, found: re.Match[str]) -> bool:
    """Return whether stars in multiplication position close an open emphasis: ``**Room**12``."""
    if not is_open(state, "*", len(found[0])):
        return False
    words = state.src[state.src.rfind(found[0], 0, state.pos) + len(found[0]) : state.pos]
    return found[0] not in state.src[found.end() :] or bool(_WORDS.fullmatch(words))


def _latex(state: StateInline, silent: bool) -> bool:
    """Parse a LaTeX formula as code, without its delimiters, which Markdown would read as escapes.

    A box without delimiters, and a formula between dollar signs, are no formula to Markdown: they get plain signs.
    """
    found = _LATEX.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        state.push("code_inline", "code", 0).content = (
            plain_formula(found[3] or found[4]) if (found[3] or found[4]) else " ".join((found[1] or found[2]).split())
        )
    state.pos = found.end()
    return True


def with_links(parser: MarkdownIt) -> MarkdownIt:
    """Return the parser, extended so that images become links and titles follow links in parentheses.

    An image that loads automatically could send content of the conversation to a third-party server.
    """
    parser.core.ruler.after("inline", "links", _links)
    return parser


def _links(state: StateCore) -> None:
    for token in state.tokens:
        if token.children:
            token.children = list(_shown(token.children))


def _shown(tokens: Sequence[Token]) -> Iterator[Token]:
    titles: list[str] = []
    for token in tokens:
        if token.type == "link_open":
            titles.append(str(token.attrs.pop("title", "")))
            yield token
        elif token.type == "link_close":
            yield token
            yield from _text(titles.pop(), " ({})")
        elif token.type == "image":
            yield from _picture(token, within=bool(titles))
        else:
            yield token


def _picture(image: Token, *, within: bool) -> Iterator[Token]:
    """Yield a link to an image; within another link, its address as text."""
    from markdown_it.token import Token

    url = str(image.attrGet("src") or "")
    if not within:
        yield Token("link_open", "a", 1, {"href": url})
    yield from _text(image.content or url, "{}")
    yield from [*_text(url if image.content else "", " ({})")] if within else [Token("link_close", "a", -1)]
    yield from _text(str(image.attrGet("title") or ""), " ({})")


def _text(text: str, form: str) -> Iterator[Token]:
    from markdown_it.token import Token

    if text:
        yield Token("text", "", 0, content=form.format(text))


def make_parser(schemes: str, *, breaks: bool = False) -> MarkdownIt:
    """Return a Markdown parser.

    Args:
        schemes: pattern of the start of an address; other links stay as written.
        breaks: whether HTML shows line breaks.
    """
    from markdown_it import MarkdownIt

    link = re.compile(schemes, re.IGNORECASE)
    parser = MarkdownIt("commonmark", {"html": False, "breaks": breaks}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: bool(link.match(url))  # type: ignore[method-assign]
    return with_literals(with_formulas(with_emphasis(with_links(with_blocks(parser)))))
