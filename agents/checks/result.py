"""Check that an answer contains what its tools found; only numbers and formulas are compared, never the words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from qwendesk.agents.checks.numbers import Stated, numbers_in, times_in, without_times
from qwendesk.messages import Check, ToolUse

_CALCULATORS = ("python", "algebra")
_LONGEST = 60
_LONGEST_FACT = 300
_MOST_SHOWN = 8
"""Numbers that are listed as compared."""
_LIST_NUMBER = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)
_NUMERIC = re.compile(r"-?\d+(?:\.\d+)?")
_READINGS = re.compile(r"If [^:]+: (.+?)\.(?=\s|$)")
_SIGNS = str.maketrans({"²": "^2", "³": "^3", "−": "-", "–": "-"})
_ENDS = r"(?![\w^])(?!\.\d)(?![-+*/^]\(?(?:\d|[a-z](?![a-z])))"
_CLOCK = "clock"
CHOICES = "names the places that may be meant"
STATES = "contains the tool's result"
GROUNDED = "has only numbers that were looked up"


def check_result(text: str, uses: Sequence[ToolUse], language: str | None = None) -> list[Check]:
    """Look for the last calculator's short result in the answer; a number may be rounded there.

    Args:
        text: the answer.
        uses: the turn's calls.
        language: the answer's language, by which its numbers are read.
    """
    results = [use.result.strip() for use in uses if use.ok and use.name in _CALCULATORS]
    if not results or not (pieces := _pieces(results[-1])):
        return []
    stated = all(_states(text, piece, language) for piece in pieces)
    return [Check(STATES, "passed" if stated else "failed", results[-1])]


def not_checked(uses: Sequence[ToolUse], checks: Sequence[Check]) -> list[Check]:
    """Say of a calculator's result that nobody could look for it in the answer."""
    used = any(use.ok and use.name in _CALCULATORS for use in uses)
    if not used or any(check.name == STATES for check in checks):
        return []
    return [Check(STATES, "skipped", "the result is not one short line with a number")]


def check_grounded(text: str, question: str, uses: Sequence[ToolUse], language: str | None = None) -> list[Check]:
    """Look for numbers in the answer, with their units, that neither the question nor a looked-up result holds."""
    results = [use.result.strip() for use in uses if use.ok and use.name not in _CALCULATORS]
    if not results:
        return []
    known = numbers_in(" \n".join([question, *results]), None)
    said = times_in(text)
    stated = numbers_in(without_times(_LIST_NUMBER.sub("", text)), language)
    told = any(use.ok and use.name == _CLOCK for use in uses)
    if not (stated or said or told):
        return [Check(GROUNDED, "skipped", "the answer holds no number to compare")]
    times = {minutes for _, minutes in times_in(" \n".join([question, *results]))}
    wrong_time = any(minutes is None or minutes not in times for _, minutes in said)
    if not (stated or said) or wrong_time or any(not _is_known(number, known) for number in stated):
        return [Check(GROUNDED, "failed", results[-1][:_LONGEST_FACT])]
    compared = [*(time for time, _ in said), *(number.shown for number in stated)]
    shown = ", ".join(dict.fromkeys(compared[:_MOST_SHOWN]))
    return [Check(GROUNDED, "passed", f"{shown}; the words were not compared")]


def check_choices(text: str, uses: Sequence[ToolUse]) -> list[Check]:
    """Look for the places that a name may mean, where the clock was asked for an ambiguous one."""
    results = [use.result for use in uses if use.ok and use.name == _CLOCK]
    lines = [line.removeprefix("- ") for line in results[-1].split("\n") if line.startswith("- ")] if results else []
    if not lines:
        return []
    named = [_names_choice(text, line, lines) for line in lines]
    return [Check(CHOICES, "passed" if all(named) else "failed", "\n".join(f"- {line}" for line in lines))]


def _names_choice(text: str, line: str, lines: Sequence[str]) -> bool:
    """Tell whether a text holds a choice's time, or what tells its place from the others."""
    others = " ".join(other for other in lines if other != line).casefold()
    words = [word for word in re.findall(r"[^\W\d_]{4,}", line) if word.casefold() not in others]
    said = {minutes for _, minutes in times_in(text)}
    times = {minutes for _, minutes in times_in(line)}
    return bool(said & times) or any(word.casefold() in text.casefold() for word in words)


def _pieces(result: str) -> list[str]:
    """Return what an answer has to hold of a result: one piece, several solutions, or the results of both readings."""
    if both := _READINGS.findall(result):
        return both
    if "\n" in result or len(result) > _LONGEST or not re.search(r"\d", result):
        return []
    return [piece for piece in re.split(r"; or |, (?=\w+ = )", result) if piece]


def _states(text: str, piece: str, language: str | None) -> bool:
    """Tell whether a text holds a result, exact or as decimals."""
    return any(
        _states_number(text, form, language) if _NUMERIC.fullmatch(form) else _states_formula(text, form)
        for form in map(str.strip, piece.split("≈"))
    )


def _states_number(text: str, result: str, language: str | None) -> bool:
    wanted, whole = Fraction(result), [number for number in numbers_in(text, language) if not number.is_part]
    return any(_rounds_to(wanted, value, number) for number in whole for value in number.values)


def _rounds_to(wanted: Fraction, value: Fraction, number: Stated) -> bool:
    scale = 100 if number.unit == "%" else 1
    if wanted in (value, value / scale):
        return True
    slack = Fraction(51, 100) / 10**number.decimals
    rounded = number.decimals > 0 and wanted.denominator > 1
    return rounded and (abs(value - wanted) <= slack or abs(value / scale - wanted) <= slack / scale)


def _states_formula(text: str, formula: str) -> bool:
    """Tell whether a formula stands in a text as a whole, not as a part of a longer one."""
    piece = re.escape(_bare(formula))
    return bool(piece) and re.search(rf"(?<![\w.^*/+-]){piece}{_ENDS}", _bare(text)) is not None


def _is_known(number: Stated, known: Sequence[Stated]) -> bool:
    """Tell whether a number was looked up: with the same unit, where one of both has one that is known."""
    same = [one for one in known if one.values & number.values]
    return any(not one.unit or not number.unit or one.unit == number.unit for one in same)


def _bare(text: str) -> str:
    """Return the text without what writing varies in: spaces, signs of multiplication, separators, final zeros."""
    plain = re.sub(r"\\[a-z]+|[*×·{}$\\]", "", text.translate(_SIGNS).replace("**", "^").replace("{,}", ""))
    plain = re.sub(r"\s*([-+/^=(),;])\s*", r"\1", plain).replace(",", "")
    plain = re.sub(r"(?<=\d)\s+(?=[A-Za-z](?![A-Za-z]))", "", plain)
    return re.sub(r"(\d)\.0+(?!\d)", r"\1", plain).lower()
