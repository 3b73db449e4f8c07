"""The Markdown that answers are written in: CommonMark with tables and struck words; HTML in a text stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qwendesk.channels.markup.blocks import with_blocks
from qwendesk.channels.markup.emphasis import is_open, with_emphasis
from qwendesk.channels.markup.literals import with_literals

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token


_TIMES = re.compile(r"(?<=[A-Za-z0-9)\]])(?:\*\*(?=\d)|\*(?=[A-Za-z0-9(\[]))")

"""As in ``2*x*(y+1)`` and ``x**2``."""

_WORDS = re.compile(r"[^\d\W]{2,}(?: [^\d\W]{2,})*")

_LATEX = re.compile(r"\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)


def with_formulas(reader: MarkdownIt) -> MarkdownIt:
    """Return the reader, which from now on knows formulas."""
    reader.inline.ruler.before("emphasis", "times", _times)
    reader.inline.ruler.before("escape", "latex", _latex)
    return reader


def _times(state: StateInline, silent: bool) -> bool:
    found = _TIMES.match(state.src, state.pos)
    if found is None or _ends_emphasis(state, found):
        return False
    if not silent:
        state.pending += found[0]
    state.pos = found.end()
    return True


def _ends_emphasis(state: StateInline, found: re.Match[str]) -> bool:
    """Tell whether stars that could multiply end words that have begun with as many: ``**Room**12``."""
    if not is_open(state, "*", len(found[0])):
        return False
    words = state.src[state.src.rfind(found[0], 0, state.pos) + len(found[0]) : state.pos]
    return found[0] not in state.src[found.end() :] or bool(_WORDS.fullmatch(words))


def _latex(state: StateInline, silent: bool) -> bool:
    """Read a formula as code: without its delimiters, which Markdown would take half of."""
    found = _LATEX.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        state.push("code_inline", "code", 0).content = " ".join((found[1] or found[2]).split())
    state.pos = found.end()
    return True


def with_links(reader: MarkdownIt) -> MarkdownIt:
    """Return the reader, which from now on has links for pictures, and titles of both in brackets behind them.

    A picture that loads by itself would tell a stranger's server what was asked.
    """
    reader.core.ruler.after("inline", "links", _links)
    return reader


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
    """Return a link to a picture; within another link, its address as text."""
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


def dialect(schemes: str, *, breaks: bool = False) -> MarkdownIt:
    """Return a reader of Markdown.

    Args:
        schemes: a pattern of how an address begins; a link to any other stays as it is written.
        breaks: whether HTML shows the ends of lines.
    """
    from markdown_it import MarkdownIt

    link = re.compile(schemes, re.IGNORECASE)
    reader = MarkdownIt("commonmark", {"html": False, "breaks": breaks}).enable(["table", "strikethrough"])
    reader.validateLink = lambda url: bool(link.match(url))  # type: ignore[method-assign]
    return with_literals(with_formulas(with_emphasis(with_links(with_blocks(reader)))))
