"""Check that an answer states the results of its tools, and does not hide that a tool failed.

Numbers and formulas are compared, words are not.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Container, Sequence
from fractions import Fraction
from functools import cache
from importlib import resources

from qwendesk.agents.checks.equation_tokens import scaled_numbers
from qwendesk.agents.checks.numbers import StatedNumber, numbers_in, times_in, without_times
from qwendesk.messages import Check, ToolUse

ADMITS_FAILURE = "says that a tool failed"
CALCULATORS = ("python", "algebra")
"""Tools that can replace each other."""
_SENTENCES = re.compile(r"[.!?。！？؟।](?:\s|$)|[。！？]|\n+")
_MAX_REASON_CHARS = 200
_MAX_REFUSAL_CHARS = 400
"""Maximum length of a refusal; a longer answer has other content."""
_MAX_RESULT_CHARS = 60
_MAX_LOOKED_UP_CHARS = 300
_MAX_NUMBERS_SHOWN = 8
"""Maximum number of compared numbers in the detail of a check."""
_LIST_NUMBER = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)
_NUMERIC = re.compile(r"-?\d+(?:\.\d+)?")
_READINGS = re.compile(r"If [^:]+: (.+?)\.(?=\s|$)")
_RESULT_SIGNS = str.maketrans({"²": "^2", "³": "^3", "−": "-", "–": "-"})
_ENDS = r"(?![\w^])(?!\.\d)(?![-+*/^]\(?(?:\d|[a-z](?![a-z])))"
_CLOCK = "clock"
NAMES_CHOICES = "names the places that may be meant"
STATES_RESULT = "contains the tool's result"
GROUNDED = "has only numbers that were looked up"


def check_result(text: str, uses: Sequence[ToolUse], language: str | None = None) -> list[Check]:
    """Check that the answer states the last short result of a calculator; it may be rounded.

    Args:
        text: the answer.
        uses: the turn's calls.
        language: the answer's language, for its number format.
    """
    results = [use.result.strip() for use in uses if use.ok and use.name in CALCULATORS]
    if not results or not (pieces := _result_parts(results[-1])):
        return []
    stated = all(_states(text, piece, language) for piece in pieces)
    return [Check(STATES_RESULT, "passed" if stated else "failed", results[-1])]


def contradicts_results(text: str, uses: Sequence[ToolUse], language: str | None = None) -> bool:
    """Return whether an answer makes a claim of numbers without any of the calculated results, the last a number.

    Args:
        text: the answer.
        uses: the turn's calls.
        language: the answer's language, for its number format.
    """
    results = [use.result.strip() for use in uses if use.ok and use.name in CALCULATORS]
    if not results or not _NUMERIC.fullmatch(results[-1].partition("≈")[2].strip() or results[-1]):
        return False
    stated = [piece for result in results for piece in _result_parts(result) if _states(text, piece, language)]
    return not stated and bool(numbers_in(_LIST_NUMBER.sub("", text), language))


def report_unchecked(uses: Sequence[ToolUse], checks: Sequence[Check]) -> list[Check]:
    """Report a calculator's result that cannot be searched for in the answer."""
    used = any(use.ok and use.name in CALCULATORS for use in uses)
    if not used or any(check.name == STATES_RESULT for check in checks):
        return []
    return [Check(STATES_RESULT, "skipped", "the result is not one short line with a number")]


def check_grounded(text: str, question: str, uses: Sequence[ToolUse], language: str | None = None) -> list[Check]:
    """Check that each number of the answer occurs in the question or in a looked-up result."""
    results = [use.result.strip() for use in uses if use.ok and use.name not in CALCULATORS]
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
        return [Check(GROUNDED, "failed", results[-1][:_MAX_LOOKED_UP_CHARS])]
    compared = [*(time for time, _ in said), *(number.shown for number in stated)]
    shown = ", ".join(dict.fromkeys(compared[:_MAX_NUMBERS_SHOWN]))
    return [Check(GROUNDED, "passed", f"{shown}; the words were not compared")]


def check_choices(text: str, uses: Sequence[ToolUse]) -> list[Check]:
    """Check that the answer names all places of an ambiguous name that the clock returned."""
    results = [use.result for use in uses if use.ok and use.name == _CLOCK]
    lines = [line.removeprefix("- ") for line in results[-1].split("\n") if line.startswith("- ")] if results else []
    if not lines:
        return []
    named = [_names_choice(text, line, lines) for line in lines]
    return [Check(NAMES_CHOICES, "passed" if all(named) else "failed", "\n".join(f"- {line}" for line in lines))]


def _names_choice(text: str, line: str, lines: Sequence[str]) -> bool:
    """Return whether a text has a choice's time or a word that only this choice has."""
    others = " ".join(other for other in lines if other != line).casefold()
    words = [word for word in re.findall(r"[^\W\d_]{4,}", line) if word.casefold() not in others]
    said = {minutes for _, minutes in times_in(text)}
    times = {minutes for _, minutes in times_in(line)}
    return bool(said & times) or any(word.casefold() in text.casefold() for word in words)


def _result_parts(result: str) -> list[str]:
    """Return the parts of a result that an answer must state: solutions, or the results of both readings."""
    if both := _READINGS.findall(result):
        return both
    if "\n" in result or len(result) > _MAX_RESULT_CHARS or not re.search(r"\d", result):
        return []
    return [piece for piece in re.split(r"; or |, (?=\w+ = )", result) if piece]


def _states(text: str, piece: str, language: str | None) -> bool:
    """Return whether a text states a result, exact or as decimals."""
    return any(
        _states_number(text, form, language) if _NUMERIC.fullmatch(form) else _states_formula(text, form)
        for form in map(str.strip, piece.split("≈"))
    )


def _states_number(text: str, result: str, language: str | None) -> bool:
    wanted, whole = Fraction(result), [number for number in numbers_in(text, language) if not number.is_part]
    if any(_rounds_to(wanted, value, number) for number in whole for value in number.values):
        return True
    return any(abs(value - wanted) <= slack for value, slack in scaled_numbers(text))


def _rounds_to(wanted: Fraction, value: Fraction, number: StatedNumber) -> bool:
    scale = 100 if number.unit == "%" else 1
    if wanted in (value, value / scale):
        return True
    slack = Fraction(51, 100) / 10**number.decimals
    rounded = number.decimals > 0 and wanted.denominator > 1
    return rounded and (abs(value - wanted) <= slack or abs(value / scale - wanted) <= slack / scale)


def _states_formula(text: str, formula: str) -> bool:
    """Return whether a text has the formula, not as part of a longer one."""
    piece = re.escape(_normalize(formula))
    return bool(piece) and re.search(rf"(?<![\w.^*/+-]){piece}{_ENDS}", _normalize(text)) is not None


def _is_known(number: StatedNumber, known: Sequence[StatedNumber]) -> bool:
    """Return whether a number was looked up; units are compared if both are known."""
    same = [one for one in known if one.values & number.values]
    return any(not one.unit or not number.unit or one.unit == number.unit for one in same)


def _normalize(text: str) -> str:
    """Return the text without spaces, signs of multiplication, separators and final zeros."""
    plain = re.sub(r"\\[a-z]+|[*×·{}$\\]", "", text.translate(_RESULT_SIGNS).replace("**", "^").replace("{,}", ""))
    plain = re.sub(r"\s*([-+/^=(),;])\s*", r"\1", plain).replace(",", "")
    plain = re.sub(r"(?<=\d)\s+(?=[A-Za-z](?![A-Za-z]))", "", plain)
    return re.sub(r"(\d)\.0+(?!\d)", r"\1", plain).lower()


def check_failures(text: str, uses: Sequence[ToolUse], known: Container[str]) -> list[Check]:
    """Report failed calls without a successful retry; the check fails if the answer says more than an apology.

    Args:
        text: the answer.
        uses: the turn's calls.
        known: the names of all tools.
    """
    failed = unresolved_failures(uses, known)
    if not failed:
        return []
    names = ", ".join(dict.fromkeys(use.name for use in failed))
    return [Check(ADMITS_FAILURE, "passed" if only_admits_failure(text) else "failed", names)]


def unresolved_failures(uses: Sequence[ToolUse], known: Container[str]) -> list[ToolUse]:
    """Return the failed calls without a later success, the last one of each tool; the desk tells those it held."""
    open_calls = [
        use
        for index, use in enumerate(uses)
        if not use.ok and use.held is None and not _is_resolved(index, uses, known)
    ]
    return list({use.name: use for use in open_calls}.values())


def only_admits_failure(text: str) -> bool:
    """Return whether an answer only says that something did not work."""
    text = text.strip()
    if not text:
        return True
    sentences = [part for part in _SENTENCES.split(text) if part.strip()]
    return len(sentences) == 1 and (is_apology(sentences[0]) or is_refusal(text))


def is_refusal(text: str) -> bool:
    """Return whether an answer only says that the model cannot help."""
    return 0 < len(text) <= _MAX_REFUSAL_CHARS and text.lstrip(" *_\n").replace("’", "'").lower().startswith(
        _refusals()
    )


def is_apology(sentence: str) -> bool:
    """Return whether a sentence only says that something did not work."""
    return sentence.replace("’", "'").strip(" .!,。！*_\n").lower() in _apologies()


def failure_reason(use: ToolUse) -> str:
    """Return the reason of a failed call in one line; empty if there is none for a person."""
    line = use.reason.strip().partition("\n")[0].strip().rstrip(".")
    return line if len(line) <= _MAX_REASON_CHARS else f"{line[:_MAX_REASON_CHARS]}…"


def _is_resolved(index: int, uses: Sequence[ToolUse], known: Container[str]) -> bool:
    """Return whether a later round has a success for this failure; each success counts for one failure."""
    failed = uses[index]
    later = [use for use in uses if use.ok and use.round > failed.round]
    if failed.name not in known:
        return bool(later)
    later = [use for use in later if _kind(use.name) == _kind(failed.name)]
    before = [use for use in uses[:index] if not use.ok and use.round == failed.round and use.name == failed.name]
    return len(later) > len(before)


def _kind(name: str) -> str:
    return CALCULATORS[0] if name in CALCULATORS else name


@cache
def _refusals() -> tuple[str, ...]:
    return tuple(_cues("refusal_cues.toml"))


@cache
def _apologies() -> frozenset[str]:
    return frozenset(_cues("apology_cues.toml"))


def _cues(file: str) -> list[str]:
    tables = tomllib.loads(resources.files("qwendesk.agents").joinpath(file).read_text("utf-8"))
    return [cue for cues in tables.values() for cue in cues]
