"""Check that an answer is in the language that its message asks for."""

from __future__ import annotations

import re

from qwendesk.messages import Check
from qwendesk.routing.signals.language import are_similar, english_name, identify_language

ANSWER_LANGUAGE = "is in the asked language"
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$.*?\$\$|\\\[.{0,2000}?\\\]|\\\(.{0,500}?\\\)|\$[^$\n]{0,500}\$|https?://\S+|"
    r"^>[^\n]*$|^[ \t]*\|[^\n]*$|\"[^\"\n]{0,500}\"|“[^”\n]{0,500}”|„[^“”\n]{0,500}[“”]|«[^»\n]{0,500}»|"
    r"「[^」\n]{0,500}」|『[^』\n]{0,500}』|\*\*[^*\n]{0,500}\*\*",
    re.DOTALL | re.MULTILINE,
)
"""Code, formulas, addresses, tables, quotations and titles, which may be in any language."""
_MIN_LETTERS = 40
"""Minimum letters of prose that are compared; a letter of a script beyond U+2E80 counts four times."""
_FIRST_DENSE = "\u2e80"


def check_answer_language(text: str, asked: str) -> list[Check]:
    """Compare the language of an answer's prose with the one that was asked for.

    Short answers, and those whose language is undecided, are not compared. Languages that are hard to tell apart
    count as the same. A message that asks for no language is not checked: its answer may be a poem, a translation or
    a quotation in another one.

    Args:
        text: the answer.
        asked: ISO 639-1 code.
    """
    prose = _NOT_PROSE.sub(" ", text)
    if _letters(prose) < _MIN_LETTERS:
        return []
    found = identify_language(prose)
    if found is None:
        return []
    is_same = found == asked or are_similar(found, asked)
    detail = f"asked: {english_name(asked)}, answer: {english_name(found)}"
    return [Check(ANSWER_LANGUAGE, "passed" if is_same else "failed", detail)]


def _letters(text: str) -> int:
    return sum(4 if letter >= _FIRST_DENSE else 1 for letter in text if letter.isalpha())
