"""Formulas in Markdown: a star that multiplies is no emphasis, and LaTeX stays as the model wrote it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwendesk.channels.text.emphasis import is_open

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline

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
