"""Markdown: its headings are the way to a passage."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt

from qwendesk.knowledge.base import Document, Section
from qwendesk.knowledge.readers.decode import decoded
from qwendesk.knowledge.readers.options import DEFAULTS, ReadOptions

_FRONT = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_TITLE = re.compile(r"""^title:\s*["']?(.+?)["']?\s*$""", re.MULTILINE)
Heading = tuple[int, int, int, str]
"""First line, line behind it, level, text."""


def read(data: bytes, options: ReadOptions = DEFAULTS) -> Document:
    """Divide the text at its headings; ``#`` in a code block is none."""
    found = decoded(data, options.encodings)
    text = found.text
    front = _FRONT.match(text)
    named = _TITLE.search(front[1]) if front else None
    if front:
        # as many empty lines, so that lines are counted as in the file
        text = "\n" * front[0].count("\n") + text[front.end() :]
    headings = _headings(text)
    title = named[1] if named else next((heading[3] for heading in headings if heading[2] == 1), "")
    return Document(title, tuple(_sections(text.split("\n"), headings, title)), found.notes)


def _headings(text: str) -> list[Heading]:
    tokens = MarkdownIt("commonmark").parse(text)
    found: list[Heading] = []
    for token, inline in zip(tokens, tokens[1:], strict=False):
        if token.type == "heading_open" and token.map and token.level == 0:
            words = "".join(child.content or " " for child in inline.children or ())
            found.append((token.map[0], token.map[1], int(token.tag[1:]), " ".join(words.split())))
    return found


def _sections(lines: list[str], headings: list[Heading], title: str) -> Iterator[Section]:
    path: dict[int, str] = {}
    begins, ends = [0, *(heading[1] for heading in headings)], [*(heading[0] for heading in headings), len(lines)]
    for heading, begin, end in zip([None, *headings], begins, ends, strict=True):
        if heading:
            path = {level: words for level, words in path.items() if level < heading[2]} | {heading[2]: heading[3]}
        body = "\n".join(lines[begin:end])
        above = tuple(words for level, words in sorted(path.items()) if (level, words) != (1, title))
        if body.strip():
            yield Section(body, above, unit="line", first=begin + 1)
