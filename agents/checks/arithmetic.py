"""Recompute the calculations that an answer states, and correct those that are wrong.

A wrong result is replaced by the recomputed one, and so is each later number that repeats it, which changes later
calculations in turn. Nothing is replaced where a number or a calculation can be read in another way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from itertools import product
from typing import Literal

from qwendesk.agents.checks.equations import (
    CONVENTIONS,
    FIRST_DENSE,
    Equation,
    Side,
    Token,
    decimals_of,
    equation_words,
    find_equations,
    number_value,
    tokens_of,
    value_of,
)
from qwendesk.messages import Check, Inbound
from qwendesk.routing.signals.language import identify_language
from qwendesk.tools.number_formats import Convention, convention_of
from qwendesk.tools.sandbox import PythonSandbox

ARITHMETIC = "arithmetic"
_MAX_EQUATIONS = 8
"""Maximum number of statements that are listed as checks of their own."""
_MAX_DECIMALS = 6
_MAX_SENTENCE_CHARS = 300
_NEAR_WORDS = 3
_NEAR_SENTENCES = 2
"""Ends of sentences between a wrong result and a number that repeats it outside of sums and boxes."""
_LOOSE = Fraction(1, 100)
"""Share by which sides may differ that are said to be about equal."""
_STEP = re.compile(r"\s*(?:[.):]|\*\*[.:])(?!\d)")
_LINE_START = re.compile(r"(?:^|\n)[\s#*>-]*(?:\w+ )?\Z")

_SENTENCE_END = re.compile(r"[.!?](?=\s|$|\*)|[。！？؟]|\n")
_BOX = re.compile(r"\\boxed\s?\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_TOUCHING = re.compile(r"[\w\-/:@#]")
_SAYS_EQUAL = re.compile(r"[=＝≈≃≒]|\\approx|\\simeq")

Verdict = Literal["holds", "differs", "unknown"]


@dataclass(frozen=True, slots=True)
class Correction:
    """A stated result that was replaced."""

    shown: str
    """The calculation as written."""
    value: str
    """Its right result."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A text after its calculations were corrected."""

    text: str
    corrections: tuple[Correction, ...] = ()
    is_settled: bool = True
    """Whether each repetition of a wrong result could be told from other numbers."""


@dataclass(frozen=True, slots=True)
class _Judged:
    verdict: Verdict
    value: Fraction = Fraction(0)
    """The value of the left side in the unit of the right one, where they differ."""
    convention: Convention = "point"
    is_exact: bool = True


async def check_arithmetic(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Recompute statements such as ``37 * 91 + 4 = 3371``; one check each, in the answer's order."""
    if not _SAYS_EQUAL.search(text):
        return []
    question = inbound.text if inbound else ""
    return await asyncio.to_thread(lambda: check_equations(text, identify_language(question)))


def check_equations(text: str, language: str | None = None) -> list[Check]:
    """Return a check for each equation of a text that has one meaning."""
    checks = []
    approximate = set[Fraction]()
    for equation in find_equations(text):
        judged = _judge(equation, _conventions(language), {}, approximate)
        _note_rounding(equation, judged, approximate)
        if (
            not equation.left.calculates
            or judged.verdict == "unknown"
            or _is_unproven(equation, judged, text, language)
        ):
            continue
        shown = _shown_equation(equation, text)
        holds = judged.verdict == "holds"
        detail = shown if holds else f"{shown}, but it is {float(judged.value):g}"
        checks.append(Check(ARITHMETIC, "passed" if holds else "failed", detail))
    left_out = len(checks) - _MAX_EQUATIONS
    if left_out <= 0:
        return checks
    kept = checks[:_MAX_EQUATIONS] + [one for one in checks[_MAX_EQUATIONS:] if one.outcome == "failed"][:1]
    return [*kept, Check(ARITHMETIC, "skipped", f"{left_out} further sums")]


def correct_arithmetic(
    text: str, question: str = "", language: str | None = None, known: Mapping[Fraction, Fraction] | None = None
) -> Corrected:
    """Return a text with the right results of its calculations.

    Args:
        text: the answer.
        question: the message, whose numbers do not change.
        language: the answer's language, for its number format.
        known: right results by wrong ones that stand before the text.
    """
    return _Walk(text, question, language, stale=dict(known or {})).corrected()


@dataclass(slots=True)
class _Walk:
    """Goes through a text once, from its beginning to its end."""

    text: str
    question: str
    language: str | None
    edits: list[tuple[int, int, str]] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    stale: dict[Fraction, Fraction] = field(default_factory=dict)
    """Right results by the wrong ones that were written."""
    settled: set[Fraction] = field(default_factory=set)
    """Values that stand in the question or earlier in the text, so that their repetition proves nothing."""
    values: dict[int, Fraction] = field(default_factory=dict)
    """Values of replaced numbers by their position."""
    approximate: set[Fraction] = field(default_factory=set)
    origins: dict[Fraction, Token] = field(default_factory=dict)
    """The numbers where wrong results were written, by their values."""
    in_sums: frozenset[int] = frozenset()
    """Positions of the numbers in equations."""
    boxes: tuple[re.Match[str], ...] = ()
    is_settled: bool = True

    def corrected(self) -> Corrected:
        """Return the text after all corrections."""
        equations = find_equations(self.text)
        if not self.stale and not any(equation.left.calculates for equation in equations):
            return Corrected(self.text)
        conventions = _conventions(self.language)
        self.in_sums = frozenset(number.start for equation in equations for number in _numbers(equation))
        self.boxes = tuple(_BOX.finditer(self.text))
        self.settled = {
            value
            for token in tokens_of(self.question)
            if token.kind == "number"
            for convention in conventions
            if (value := number_value(token, convention)) is not None
        }
        numbers = [token for token in tokens_of(self.text) if token.kind == "number"]
        at = 0
        skipped_until = -1
        for index, equation in enumerate(equations):
            while at < len(numbers) and numbers[at].start < equation.right.start:
                self._number(numbers[at], conventions[0])
                at += 1
            if equation.right.start < skipped_until or not equation.left.calculates:
                continue
            following = equations[index + 1] if index + 1 < len(equations) else None
            end = self._equation(equation, following, conventions)
            skipped_until = max(skipped_until, end)
            while at < len(numbers) and numbers[at].start < end:
                at += 1
        for token in numbers[at:]:
            self._number(token, conventions[0])
        return Corrected(_edited(self.text, self.edits), tuple(self.corrections), self.is_settled)

    def _number(self, token: Token, convention: Convention) -> None:
        """Replace a number that repeats a wrong result."""
        value = number_value(token, convention)
        if value is None:
            return
        if (right := self.stale.get(value)) is None or not self._repeats(token, value):
            self.settled.add(value)
            return
        self.values[token.start] = right
        self.edits.append((token.start, token.end, shown_number(right, token, self.text, convention)))

    def _repeats(self, token: Token, value: Fraction) -> bool:
        """Return whether a number is the result that was written before: in a sum, in a box, or with its unit."""
        if token.start in self.in_sums or any(box.start() < token.start < box.end() for box in self.boxes):
            return True
        origin = self.origins.get(value)
        before, behind = self.text[max(0, token.start - 1) : token.start], self.text[token.end : token.end + 1]
        is_touched = any(_TOUCHING.fullmatch(sign) for sign in (before, behind) if sign) or _is_mark(token, self.text)
        if origin is None or is_touched or re.match(r"[.,]\d|,? +\d{4}\b", self.text[token.end :]):
            return False
        line = self.text[: token.start].rpartition("\n")[2], self.text[token.end :].partition("\n")[0]
        if not "".join(line).strip(" *$."):
            return True
        between = len(_SENTENCE_END.findall(self.text, origin.end, token.start))
        if not origin.unit:
            return between == 0
        unit = token.unit or _word_behind(self.text, token.end)
        is_last = len(_SENTENCE_END.findall(self.text.rstrip(), token.end)) <= 1
        return _is_same_unit(unit, origin.unit) and (between <= _NEAR_SENTENCES or is_last)

    def _equation(self, equation: Equation, following: Equation | None, conventions: Sequence[Convention]) -> int:
        """Judge an equation; return the position up to which its numbers are done."""
        judged = _judge(equation, conventions, self.values, self.approximate)
        right = equation.right.number
        _note_rounding(equation, judged, self.approximate)
        if judged.verdict != "differs" or _is_unproven(equation, judged, self.text, self.language):
            if judged.verdict == "holds" and right is not None:
                stated = number_value(right, judged.convention)
                if stated is not None:
                    self.stale.pop(stated, None)
                    self.settled.add(stated)
                return equation.right.end
            return equation.right.start
        start, end = equation.right.start, equation.right.end
        if right is None and following is not None and following.left.start == start and following.right.number:
            # the step between does not follow from the first one: only the result of the first one stays
            end, right = following.right.end, following.right.number
            again = _judge(
                Equation(equation.left, following.right, following.loose), conventions, self.values, self.approximate
            )
            if again.verdict == "holds":
                self.edits.append((start, following.right.start, ""))
                return end
            judged = again if again.verdict == "differs" else judged
        self._replace(equation, (start, end), right, judged)
        return end

    def _replace(self, equation: Equation, place: tuple[int, int], right: Token | None, judged: _Judged) -> None:
        like = right or equation.left.numbers[0]
        value = judged.value
        shown = shown_number(value, like, self.text, judged.convention)
        side = equation.right if right is None or right in equation.right.tokens else Side((right,))
        self.corrections.append(Correction(_shown_equation(equation, self.text), shown))
        is_same_sign = right is not None and not side.is_negative and value >= 0
        if right is not None and is_same_sign:
            if place[0] < side.start:
                self.edits.append((place[0], side.start, ""))
            self.edits.append((right.start, right.end, shown))
        else:
            self.edits.append((*place, shown))
        if right is None or (stated := number_value(right, judged.convention)) is None:
            return
        self.values[right.start] = abs(value)
        if stated in self.settled:
            self.is_settled = False
        else:
            self.stale[stated] = abs(value)
            self.origins[stated] = right


def _judge(
    equation: Equation, conventions: Sequence[Convention], values: dict[int, Fraction], approximate: set[Fraction]
) -> _Judged:
    """Compare both sides of an equation in each reading of its numbers."""
    found: list[_Judged] = []
    for convention in conventions:
        for percent, scaled in product((True, False), (True, False)):
            left = value_of(equation.left, convention, values, percent=percent, scaled=scaled)
            right = value_of(equation.right, convention, values, percent=percent, scaled=scaled)
            if left is None or right is None:
                continue
            if _is_equal(equation, left, right, convention, approximate, scaled=scaled):
                return _Judged("holds", left, convention, left == right)
            found.append(_Judged("differs", left / _unit(equation.right, percent=percent, scaled=scaled), convention))
    if not found:
        return _Judged("unknown")
    if (begin := _first_value(equation, values, found[0].convention)) is not None and begin == found[0].value:
        return _Judged("holds", begin, found[0].convention)
    if (number := equation.right.number) and (stated := number_value(number, found[0].convention)):
        return min(found[:4], key=lambda one: _distance(one.value, stated))
    return found[0]


def _first_value(equation: Equation, values: dict[int, Fraction], convention: Convention) -> Fraction | None:
    """Return the first number of a right side that goes on calculating, as in ``5 + 3 = 8 + 2 = 10``."""
    first = equation.right.tokens[0]
    if equation.right.number or first.kind != "number":
        return None
    return values.get(first.start, number_value(first, convention))


def _is_equal(
    equation: Equation,
    left: Fraction,
    right: Fraction,
    convention: Convention,
    approximate: set[Fraction],
    *,
    scaled: bool,
) -> bool:
    difference = abs(left - right)
    if difference == 0:
        return True
    number = equation.right.number
    unit = Fraction(number.scale if number and scaled else 1)
    decimals = decimals_of(number, convention) if number else 0
    if equation.right.tokens[-1].kind == "%":
        unit /= 100
    # a result may be rounded or cut; one without decimals only if it stands for a fraction
    if number and (decimals or left.denominator > 1 or unit != 1) and difference < unit / 10**decimals:
        return True
    if equation.loose and difference <= abs(left) * _LOOSE:
        return True
    slack = sum(
        (_sensitivity(side, convention, approximate, scaled=scaled) for side in (equation.left, equation.right)),
        Fraction(0),
    )
    return bool(slack) and difference <= slack + (unit / 10**decimals if number else 0)


def _sensitivity(side: Side, convention: Convention, approximate: set[Fraction], *, scaled: bool) -> Fraction:
    """Return by how much a side changes if its rounded numbers change by half of their last digit."""
    base = value_of(side, convention, scaled=scaled)
    if base is None or side.number:
        return Fraction(0)
    change = Fraction(0)
    for token in side.numbers:
        value, decimals = number_value(token, convention), decimals_of(token, convention)
        if value is not None and (decimals >= 3 or value in approximate):
            moved = value_of(side, convention, {token.start: value + Fraction(51, 100) / 10**decimals}, scaled=scaled)
            change += abs(moved - base) if moved is not None else 0
    return change


def _note_rounding(equation: Equation, judged: _Judged, approximate: set[Fraction]) -> None:
    number = equation.right.number
    if number and judged.verdict == "holds" and not judged.is_exact:
        value = number_value(number, judged.convention)
        if value is not None:
            approximate.add(value)


def _unit(side: Side, *, percent: bool, scaled: bool) -> Fraction:
    """Return what a side's only number is counted in."""
    unit = Fraction(1)
    if side.number and scaled:
        unit *= side.number.scale
    return unit / 100 if percent and side.number and side.tokens[-1].kind == "%" else unit


def _distance(value: Fraction, stated: Fraction) -> float:
    if not value or not stated:
        return float("inf") if value != stated else 0.0
    ratio = abs(float(value / stated))
    return max(ratio, 1 / ratio) if ratio else float("inf")


def _is_unproven(equation: Equation, judged: _Judged, text: str, language: str | None) -> bool:
    """Return whether a difference may come from another meaning of the text."""
    return judged.verdict == "differs" and (
        equation.doubtful
        or _has_other_units(equation)
        or _is_range(equation, judged.convention, text)
        or _has_two_readings(equation, language)
        or _is_disowned(equation, text)
    )


def _has_other_units(equation: Equation) -> bool:
    """Return whether units differ within a sum or between the sides, so that one has to be converted."""
    left = [token.unit for token in equation.left.numbers if token.unit]
    right = [token.unit for token in equation.right.numbers if token.unit]
    counts = equation_words()["counts"]
    if (counts & {*left}) != (counts & {*right}) or any(" " in token.text for token in _numbers(equation)):
        return True
    adds = any(token.text in ("+", "-") for token in equation.left.tokens[1:])
    if adds and any(not _is_same_unit(unit, left[0]) for unit in left):
        return True
    if left and any(not any(_is_same_unit(unit, other) for other in left) for unit in right):
        return True
    return not right and any(unit.isalpha() for unit in left)


def _is_same_unit(one: str, other: str) -> bool:
    """Return whether two words are the same, or forms of it: ``egg`` and ``eggs``."""
    shorter, longer = sorted((one, other), key=len)
    if one == other:
        return True
    return (
        len(shorter) >= 3 and len(longer) - len(shorter) <= 2 and longer.startswith(shorter[: max(3, len(shorter) - 1)])
    )


def _numbers(equation: Equation) -> tuple[Token, ...]:
    return (*equation.left.numbers, *equation.right.numbers)


def _is_range(equation: Equation, convention: Convention, text: str) -> bool:
    """Return whether a left side such as ``9-17``, ``24/7`` or ``2020 - 2024`` may be something else than a sum."""
    tokens = equation.left.tokens
    if len(tokens) != 3 or tokens[1].text not in ("-", "/") or len(equation.left.numbers) != 2:
        return False
    first, second = (number_value(token, convention) or Fraction(0) for token in equation.left.numbers)
    is_glued = tokens[0].end == tokens[1].start or tokens[1].end == tokens[2].start
    if text[tokens[1].start : tokens[1].end] not in "-–−/":
        return False
    if tokens[1].text == "-":
        return is_glued or first < second
    is_share = equation.right.tokens[-1].kind == "%" or second <= 1 or first % second != 0
    return is_glued and is_share


def _has_two_readings(equation: Equation, language: str | None) -> bool:
    """Return whether a number such as ``1.500`` has two values, unless the language groups digits in that way."""
    own = convention_of(language) if language else None
    for token in _numbers(equation):
        values = {one: number_value(token, one) for one in CONVENTIONS}
        if None in values.values() or values["point"] == values["comma"]:
            continue
        if own is None or decimals_of(token, own):
            return True
    return False


def _is_disowned(equation: Equation, text: str) -> bool:
    """Return whether the sentence of an equation asks, denies or reports it, or gives its digits another base."""
    earliest = max(0, equation.left.start - _MAX_SENTENCE_CHARS)
    starts = [found.end() for found in _SENTENCE_END.finditer(text, earliest, equation.left.start)]
    ends = _SENTENCE_END.search(text, equation.right.end)
    end = ends.start() + 1 if ends else len(text)
    sentence = text[starts[-1] if starts else earliest : min(end, equation.right.end + _MAX_SENTENCE_CHARS)]
    words, before = equation_words(), text[starts[-1] if starts else earliest : equation.left.start]
    said, whole = _words_of(before), _words_of(sentence)
    return (
        sentence.rstrip(" *_)\n").endswith(("?", "？", "؟"))
        or not words["disowning"].isdisjoint(said)
        or any(part in before for part in words["disowning_parts"])
        or not words["near"].isdisjoint(said[-_NEAR_WORDS:])
        or not words["bases"].isdisjoint(whole)
        or any(part in sentence for part in words["bases"] if part >= FIRST_DENSE)
    )


def _words_of(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.casefold().replace("’", "'"))


def _conventions(language: str | None) -> tuple[Convention, Convention]:
    """Return the conventions for a text's numbers, first the one of its language."""
    return ("comma", "point") if language and convention_of(language) == "comma" else ("point", "comma")


def _word_behind(text: str, end: int) -> str:
    found = re.match(r"[ \u00a0]([^\W\d_]+)", text[end : end + 40])
    return found[1].casefold() if found else ""


def _is_mark(token: Token, text: str) -> bool:
    """Return whether a number counts a step or an item of a list."""
    return bool(_STEP.match(text, token.end) and _LINE_START.search(text, max(0, token.start - 40), token.start))


def _shown_equation(equation: Equation, text: str) -> str:
    return " ".join(text[equation.left.start : equation.right.end].split())


def _edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def shown_number(value: Fraction, like: Token, text: str, convention: Convention = "point") -> str:
    """Return a number in the form of another one: its decimals, its separators, its digits."""
    written = text[like.start : like.end]
    decimals = _needed_decimals(value, decimals_of(like, convention))
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        plain = str(abs(exact).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))
    whole, _, after = plain.partition(".")
    group = re.search(r"(?<=\d)(\{,\}|\\,|[.,' \u00a0\u202f])(?=\d{3}(?!\d))", written)
    is_group = group is not None and (group[1] not in (".", ",") or group[1] != ("." if convention == "point" else ","))
    if is_group and group is not None:
        whole = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", group[1].replace("\\", "\\\\"), whole)
    point = "." if convention == "point" else ","
    shown = f"{'-' if value < 0 else ''}{whole}{point + after if after else ''}"
    first = next((sign for sign in written if sign.isdecimal()), "0")
    zero = ord(first) - int(first)
    return shown if zero == ord("0") else "".join(chr(zero + int(sign)) if sign.isdigit() else sign for sign in shown)


def _needed_decimals(value: Fraction, written: int) -> int:
    """Return the decimals for a number: those that were written, or more if it has few more."""
    if value.denominator == 1:
        return min(written, 2)
    for decimals in range(1, 3):
        if (value * 10**decimals).denominator == 1:
            return max(decimals, min(written, _MAX_DECIMALS))
    return max(2, min(written, _MAX_DECIMALS))
