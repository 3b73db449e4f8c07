"""Check that an answer is in the language that its message asks for."""

from __future__ import annotations

import re

from qwendesk.messages import Check
from qwendesk.quotations import ADDRESS, CODE, QUOTED, QUOTED_LINE
from qwendesk.routing.signals.asked_language import mentions_language
from qwendesk.routing.signals.language import are_similar, english_name, identify_language, letters_in

ANSWER_LANGUAGE = "is in the asked language"
_NOT_PROSE = re.compile(
    r"\$\$.*?\$\$|\\\[.{0,2000}?\\\]|\\\(.{0,500}?\\\)|\$[^$\n]{0,500}\$|^[ \t]*\|[^\n]*$|\*\*[^*\n]{0,500}\*\*|"
    rf"{CODE}|{ADDRESS}|{QUOTED_LINE}|{QUOTED}",
    re.DOTALL | re.MULTILINE,
)
"""Code, formulas, addresses, tables, quotations and titles, which may be in any language."""
_MATERIAL = re.compile(r"[\n`\"“”„«»「」『』]|https?:|:\s+\S+\s+\S")
"""Signs that a message has a text with it, which an answer may be about."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_MIN_NUMBERS = 2
_MIN_LETTERS = 40
"""Minimum letters of prose that are compared; a letter of a script beyond U+2E80 counts four times."""


def word_problem_language(text: str) -> str | None:
    """Return the language of a word problem, whose answer has no reason to be in another one; None for other messages.

    It has numbers and words, no quotation or other text to work on, and names no language.
    """
    if _MATERIAL.search(text.strip()) or len(_NUMBER.findall(text)) < _MIN_NUMBERS or letters_in(text) < _MIN_LETTERS:
        return None
    code = identify_language(text)
    return None if code is None or mentions_language(text, code) else code


def check_answer_language(text: str, asked: str, *, was_asked: bool = True) -> list[Check]:
    """Compare the language of an answer's prose with the one that was asked for.

    Short answers, and those whose language is undecided, are not compared. Languages that are hard to tell apart
    count as the same. Of messages that ask for no language only word problems are checked: the answer to others may be
    a poem, a translation or a quotation in another one.

    Args:
        text: the answer.
        asked: ISO 639-1 code.
        was_asked: whether the message asks for the language; otherwise it is the message's own.
    """
    prose = _NOT_PROSE.sub(" ", text)
    if letters_in(prose) < _MIN_LETTERS:
        return []
    found = identify_language(prose)
    if found is None:
        return []
    is_same = found == asked or are_similar(found, asked)
    wanted = "asked" if was_asked else "message"
    detail = f"{wanted}: {english_name(asked)}, answer: {english_name(found)}"
    return [Check(ANSWER_LANGUAGE, "passed" if is_same else "failed", detail)]
