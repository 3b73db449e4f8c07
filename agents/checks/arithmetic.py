"""Recompute the calculations that an answer states, and correct those that are wrong.

A wrong result is replaced by the recomputed one, and so is what repeats it in later sums, which changes their results
in turn. Nothing is replaced where a number or a calculation can be read in another way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from qwendesk.agents.checks.equation_tokens import Token, decimals_of, number_value, tokens_of
from qwendesk.agents.checks.equation_values import Judged, conventions_for, is_unproven, judge, note_rounding
from qwendesk.agents.checks.equations import Equation, find_equations
from qwendesk.agents.checks.expressions import EquationSide
from qwendesk.agents.checks.sum_meanings import SENTENCE_END, is_same_unit, numbers_of
from qwendesk.messages import Check, Inbound
from qwendesk.routing.signals.language import identify_language
from qwendesk.tools.base import NOT_RERUN
from qwendesk.tools.number_formats import Convention
from qwendesk.tools.sandbox import PythonSandbox

ARITHMETIC = "arithmetic"
_MAX_EQUATIONS = 8
"""Maximum number of statements that are listed as checks of their own."""
_MAX_DECIMALS = 6
_NEAR_SENTENCES = 2
"""Ends of sentences between a wrong result and a number that repeats it outside of sums and boxes."""
_STEP = re.compile(r"\s*(?:[.):]|\*\*[.:])(?!\d)")
_LINE_START = re.compile(r"(?:^|\n)[\s#*>-]*(?:\w+ )?\Z")
_BOX = re.compile(r"\\boxed\s?\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_TOUCHING = re.compile(r"[\w\-/:@#]")
SAYS_EQUAL = re.compile(r"[=＝≈≃≒]|\\approx|\\simeq")


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


async def check_arithmetic(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Recompute statements such as ``37 * 91 + 4 = 3371``; one check each, in the answer's order."""
    if not SAYS_EQUAL.search(text):
        return []
    if inbound and inbound.has_ended_a_run:
        return [Check(ARITHMETIC, "skipped", NOT_RERUN)]
    question = inbound.text if inbound else ""
    return await asyncio.to_thread(lambda: check_equations(text, identify_language(question)))


def check_equations(text: str, language: str | None = None) -> list[Check]:
    """Return a check for each equation of a text that has one meaning."""
    checks = []
    approximate = set[Fraction]()
    for equation in find_equations(text):
        judged = judge(equation, conventions_for(language), {}, approximate)
        note_rounding(equation, judged, approximate)
        if not equation.left.calculates or judged.verdict == "unknown" or is_unproven(equation, judged, text, language):
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
        conventions = conventions_for(self.language)
        self.in_sums = frozenset(number.start for equation in equations for number in numbers_of(equation))
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
        between = len(SENTENCE_END.findall(self.text, origin.end, token.start))
        if not origin.unit:
            return between == 0
        unit = token.unit or _word_behind(self.text, token.end)
        is_last = len(SENTENCE_END.findall(self.text.rstrip(), token.end)) <= 1
        return is_same_unit(unit, origin.unit) and (between <= _NEAR_SENTENCES or is_last)

    def _equation(self, equation: Equation, following: Equation | None, conventions: Sequence[Convention]) -> int:
        """Judge an equation; return the position up to which its numbers are done."""
        judged = judge(equation, conventions, self.values, self.approximate)
        right = equation.right.number
        note_rounding(equation, judged, self.approximate)
        if judged.verdict != "differs" or is_unproven(equation, judged, self.text, self.language):
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
            again = judge(
                Equation(equation.left, following.right, following.loose), conventions, self.values, self.approximate
            )
            if again.verdict == "holds":
                self.edits.append((start, following.right.start, ""))
                return end
            judged = again if again.verdict == "differs" else judged
        self._replace(equation, (start, end), right, judged)
        return end

    def _replace(self, equation: Equation, place: tuple[int, int], right: Token | None, judged: Judged) -> None:
        like = right or equation.left.numbers[0]
        value = judged.value
        shown = shown_number(value, like, self.text, judged.convention)
        side = equation.right if right is None or right in equation.right.tokens else EquationSide((right,))
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
