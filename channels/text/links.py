"""Links and pictures: a picture is a link, so that none loads by itself, and a title is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token


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
