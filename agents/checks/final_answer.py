"""Find a final answer that an answer leaves open: a box without a content."""

from __future__ import annotations

import re

from qwendesk.agents.checks.equation_tokens import equation_words
from qwendesk.agents.checks.equations import find_equations
from qwendesk.agents.checks.numbers import unit_of_word
from qwendesk.agents.checks.sum_meanings import is_same_unit
from qwendesk.messages import Check, Inbound
from qwendesk.routing.signals.cues import fold
from qwendesk.routing.signals.language import is_function_word
from qwendesk.tools.sandbox import PythonSandbox

FINAL_ANSWER = "has a final answer"
_BOX = re.compile(r"\\boxed\s?\{(?P<content>(?:[^{}]|\{[^{}]*\})*)\}")
_ABOUT_LATEX = re.compile(r"\b(?:La)?TeX\b|```|`\\\\boxed")
_NO_CONTENT = re.compile(
    r"(?:\\(?:text|mathrm|textbf)\s*\{(?P<text>[^{}]*)\}|\\(?:q?quad|circ|%|\$)|\\[,;:! ]|\^\{?(?:[23]|\\circ)\}?|"
    r"[\s$€£¥₹%?_.…/])*"
)
_TEXT = re.compile(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}")
_WORD = re.compile(r"[^\W\d_]+")
_FINAL = frozenset(("final", "finale", "endgültige"))
_MAX_WORDS = 8
"""Words between a result and its box."""


async def check_final_answer(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Check that the boxes of an answer hold something; a text about LaTeX, or without a box, is not judged."""
    boxes = list(_BOX.finditer(text))
    if not boxes or _ABOUT_LATEX.search(text):
        return []
    if any(_is_empty(box["content"], text[: box.start()]) for box in boxes):
        return [Check(FINAL_ANSWER, "failed", "its box is empty")]
    return [Check(FINAL_ANSWER, "passed", " ".join(boxes[-1]["content"].split()))]


def fill_boxes(text: str) -> str:
    """Return an answer whose empty boxes hold the result of the sum right before them, or are removed."""
    return _BOX.sub(lambda box: _filled(box, text), text)


def _filled(box: re.Match[str], text: str) -> str:
    content = box["content"]
    before = text[: box.start()]
    if not _is_empty(content, before):
        return box[0]
    sums = [equation for equation in find_equations(before) if equation.left.calculates and equation.right.number]
    last = sums[-1].right if sums else None
    if last is None or last.number is None or not _leads_to_box(before[last.end :], last.number.unit):
        return content.strip()
    return f"\\boxed{{{before[last.start : last.end]}{content.strip(' ?_.…')}}}"


def _is_empty(content: str, before: str) -> bool:
    """Return whether a box holds nothing but a unit, which is known, stands behind a number, or begins with a blank."""
    if not _NO_CONTENT.fullmatch(content):
        return False
    return all(
        inner[:1].isspace() or all(_is_unit(word) or _is_counted(word, before) for word in _WORD.findall(inner))
        for inner in _TEXT.findall(content)
    )


def _is_unit(word: str) -> bool:
    """Return whether a word is a unit; a capital letter names one of several answers."""
    return bool(unit_of_word(word)) and (len(word) > 1 or word.islower())


def _is_counted(word: str, before: str) -> bool:
    return bool(re.search(rf"\d\s?{re.escape(word)}(?![^\W\d_])", before, re.IGNORECASE))


def _leads_to_box(between: str, unit: str) -> bool:
    """Return whether only the result's unit and words such as "so the answer is" stand between it and a box."""
    words = _WORD.findall(re.sub(r"\\[A-Za-z]+", " ", between).casefold())
    if re.search(r"\d", between) or len(words) > _MAX_WORDS:
        return False
    table = equation_words()
    known = table["concluding"] | table["connecting"] | table["copulas"] | _FINAL
    parts = table["concluding_parts"] | table["connecting_parts"]
    return table["disowning"].isdisjoint(words) and all(
        word in known
        or is_function_word(fold(word))
        or is_same_unit(word, unit)
        or _is_unit(word)
        or any(part in word for part in parts)
        for word in words
    )
