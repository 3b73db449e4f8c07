"""Check that an answer is in the wanted language."""

from __future__ import annotations

import re
from typing import Literal

from qwendesk.messages import Check
from qwendesk.routing.signals.language import are_similar, english_name, identify_language

ANSWER_LANGUAGE = "is in the wanted language"
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$.*?\$\$|\\\[.*?\\\]|\\\(.*?\\\)|\$[^$\n]*\$|https?://\S+|^>.*$|^\s*\|.*$|"
    r"\"[^\"\n]*\"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|「[^」\n]*」|『[^』\n]*』|\*\*[^*\n]*\*\*",
    re.DOTALL | re.MULTILINE,
)
"""Code, formulas, addresses, tables, quotations and titles, which may be in any language."""
_MIN_LETTERS = 40
"""Minimum letters of prose that are compared; a letter of a script beyond U+2E80 counts four times."""
_FIRST_DENSE = "\u2e80"


def check_answer_language(text: str, wanted: str | None, origin: Literal["asked", "conversation"]) -> list[Check]:
    """Compare the language of an answer's prose with the wanted one.

    Short answers, and those whose language is undecided, are not compared. Languages that are hard to tell apart
    count as the same.

    Args:
        text: the answer.
        wanted: ISO 639-1 code; None: not known.
        origin: whether the person asked for the language, or the conversation has it.
    """
    prose = _NOT_PROSE.sub(" ", text)
    if wanted is None or sum(_weight(letter) for letter in prose) < _MIN_LETTERS:
        return []
    found = identify_language(prose)
    if found is None:
        return []
    is_same = found == wanted or are_similar(found, wanted)
    detail = f"{origin}: {english_name(wanted)}, answer: {english_name(found)}"
    return [Check(ANSWER_LANGUAGE, "passed" if is_same else "failed", detail)]


def _weight(letter: str) -> int:
    """Return how much a character counts."""
    return 0 if not letter.isalpha() else 4 if letter >= _FIRST_DENSE else 1
