"""Compare the number that an answer concludes with, in a box for instance, with the last result that it calculated.

Another number is left alone if it stands elsewhere in the answer or the question, or may follow from the result: in
another unit, rounded, or by one more step in words.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from qwendesk.agents.checks.arithmetic import SAYS_EQUAL, shown_number
from qwendesk.agents.checks.derived_numbers import TIME_FACTORS
from qwendesk.agents.checks.equation_tokens import (
    CONVENTIONS,
    Token,
    decimals_of,
    equation_words,
    number_value,
    plain_text,
    scale_of,
    tokens_of,
)
from qwendesk.agents.checks.equation_values import conventions_for, judge, note_rounding
from qwendesk.agents.checks.equations import Equation, find_equations
from qwendesk.agents.checks.numbers import numbers_in, unit_of_word
from qwendesk.agents.checks.sum_meanings import SENTENCE_END, is_same_unit
from qwendesk.messages import Check, Inbound
from qwendesk.routing.signals.language import identify_language
from qwendesk.tools.number_formats import Convention
from qwendesk.tools.sandbox import PythonSandbox

CONCLUSION = "concludes with its last result"
_BOX = re.compile(r"\\boxed\s?\{(?P<content>(?:[^{}]|\{[^{}]*\})*)\}")
_BOLD = re.compile(r"\*\*(?P<content>[^*\n]{1,60})\*\*")
_HASHES = re.compile(r"^####\s*(?P<content>[^\n]{1,60})$", re.MULTILINE)
_MARKED = re.compile(
    r"\s*(?:\\approx|≈|~|[a-zA-Z]\s*=)?\s*(?:\\(?:text|math)[a-z]*\s*\{)?\s*(?:\\?\$|[€£¥₹₩₽฿])?\s?[-−]?\s?\(?"
    r"(?P<number>\d{1,3}(?:(?:[.,' ]|\{,\}|\\,)\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)?)"
    r"(?P<unit>(?:[^\d+*×·=<>^!\\-]|\^\{?(?:[23]|\\circ)\}?|\\(?:text|math)[a-z]*|\\[,;:! %$])*)"
)
"""The content of a box: a number, perhaps with its name before and its unit behind it."""
_SIGN = re.compile(r"(?:^|[\s{($€£¥*])([-−]\s?)\Z")
_TWO_VALUES = re.compile(r"/\s*\d|:\s*\d")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_UNIT_RATIOS = frozenset(map(Fraction, (100, 1000, 1_000_000, *TIME_FACTORS)))
"""Ratios of units such as cents, metres, grams and minutes to larger ones."""
_MAX_CHARS = 8_000


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The number that an answer concludes with, where it contradicts the last result."""

    tokens: tuple[Token, ...]
    """The number as it stands behind the last calculation, once or several times."""
    shown: str
    value: Fraction
    """The last result."""
    calculation: str
    is_proven: bool
    """Whether all calculations before it hold."""
    convention: Convention


async def check_conclusion(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Compare the concluding number with the last calculated result; an answer without either is not judged."""
    if not SAYS_EQUAL.search(text):
        return []
    question = inbound.text if inbound else ""
    found = await asyncio.to_thread(lambda: find_conclusion(text, question, identify_language(question)))
    if found is None:
        return []
    if isinstance(found, str):
        return [Check(CONCLUSION, "passed", found)]
    return [Check(CONCLUSION, "failed", f"it concludes with {found.shown}, but {found.calculation}")]


def correct_conclusion(text: str, question: str, language: str | None) -> tuple[str, bool]:
    """Return an answer that concludes with its last result, and whether it does.

    If one of its calculations is wrong, too, its number is withheld: a question mark stands in its place.

    Args:
        text: the answer.
        question: the message.
        language: the answer's language, for its number format.
    """
    found = find_conclusion(text, question, language)
    if found is None or isinstance(found, str):
        return text, True
    for token in reversed(found.tokens):
        shown = shown_number(found.value, token, text, found.convention) if found.is_proven else "?"
        sign = _SIGN.search(text[: token.start])
        # a number that is replaced takes its sign with it
        text = text[: sign.start(1) if sign else token.start] + shown + text[token.end :]
    return text, found.is_proven


def find_conclusion(text: str, question: str, language: str | None) -> Conclusion | str | None:
    """Return the conclusion that contradicts the last result, or the number of one that does not.

    None: there is no concluding number behind a calculation, or it cannot be compared.
    """
    if len(text) > _MAX_CHARS:
        return None
    equations = find_equations(text)
    calculations = [one for one in equations if one.left.calculates and one.right.number]
    if not calculations:
        return None
    last = calculations[-1]
    tokens = tokens_of(text)
    unit = last.right.number.unit if last.right.number else ""
    stated = _stated(text, max(one.right.end for one in equations), tokens, unit)
    if stated is None:
        return None
    number, place = stated
    conventions = conventions_for(language)
    judged = judge(last, conventions, {}, set())
    result = number_value(last.right.number, judged.convention) if last.right.number else None
    said = number_value(number, judged.convention)
    if said is None or result is None or judged.verdict == "unknown":
        return None
    scale = last.right.number.scale if last.right.number else 1
    shown = text[number.start : number.end]
    exact = judged.value if judged.verdict == "differs" else result
    if _agrees(number, judged.convention, exact * scale) or _agrees(number, judged.convention, result * scale):
        return shown
    if number.unit.isalpha() and unit.isalpha() and not is_same_unit(number.unit, unit):
        # another thing is counted
        return None
    if _may_follow(said * number.scale, _others(text, question, tokens, equations, place)):
        return None
    if _has_step(text[last.right.end : number.start], {result, exact}):
        return None
    right = exact * scale / number.scale
    if number.scale > 1 and abs(right) < Fraction(1, 10):
        # it would have to be written without its word
        return None
    return Conclusion(
        _places(tokens, number, last.right.end, judged.convention),
        shown,
        right,
        " ".join(text[last.left.start : last.right.end].split()),
        _all_hold(equations, conventions),
        judged.convention,
    )


def concluding_value(text: str, language: str | None) -> Fraction | None:
    """Return the number that an answer concludes with; None if there is none."""
    number = (stated := _stated(text, 0, tokens_of(text), None)) and stated[0]
    if not number:
        return None
    value = next((one for way in conventions_for(language) if (one := number_value(number, way)) is not None), None)
    return None if value is None else value * number.scale


def _stated(text: str, end: int, tokens: Sequence[Token], unit: str | None) -> tuple[Token, tuple[int, int]] | None:
    """Return the concluding number behind a place, and its sentence; None if there is none, or several.

    It stands in a box, behind hash signs, in bold letters, or in the last sentence with a word such as "answer"; with
    one such as "therefore" only if it has the unit of the last result, since another thing may follow from that.
    """
    marked = [*_BOX.finditer(text), *_HASHES.finditer(text)]
    if marked:
        final = max(marked, key=lambda one: one.start())
        number = _only_marked(text, *final.span("content"))
        return (number, _sentence(text, *final.span())) if number and final.start() >= end else None
    sentences = [span for span in _sentences(text) if _numbers(tokens, *span)]
    if not sentences or (end and sentences[-1][0] < _sentence(text, end - 1, end)[1]):
        return None
    place = sentences[-1]
    sentence = text[slice(*place)]
    bold = [(place[0] + found.start("content"), place[0] + found.end("content")) for found in _BOLD.finditer(sentence)]
    bold = [span for span in bold if _numbers(tokens, *span)]
    if len(bold) == 1:
        number = _only(tokens, *bold[0])
    else:
        number = _only(tokens, *place) if not bold else None
        if number and not _has_words(sentence, "concluding"):
            is_counted = unit is None or bool(unit and number.unit and is_same_unit(number.unit, unit))
            number = number if is_counted and _has_words(sentence, "connecting") else None
    return (number, place) if number and not sentence.rstrip().endswith(("?", "？", "؟")) else None


def _numbers(tokens: Iterable[Token], start: int, end: int) -> list[Token]:
    inside = [one for one in tokens if start <= one.start and one.end <= end]
    return [
        one for one in inside if one.kind == "number" or (one.kind == "unknown" and any(map(str.isdigit, one.text)))
    ]


def _only(tokens: Sequence[Token], start: int, end: int) -> Token | None:
    """Return the single number between two places; None if there are others, or signs that may change its meaning."""
    inside = [one for one in tokens if start <= one.start and one.end <= end]
    numbers = _numbers(inside, start, end)
    changing = [
        one for one in inside if one.kind in ("fraction", "root", "=") or (one.kind == "sign" and one.text != "-")
    ]
    if len(numbers) != 1 or numbers[0].kind != "number" or changing:
        return None
    number = numbers[0]
    behind = next((one for one in inside if one.start >= number.end), None)
    scale = scale_of(behind.text) if behind and behind.kind == "word" else 1
    is_percent = behind is not None and behind.kind == "%"
    word = behind.text.casefold() if behind and behind.kind == "word" and scale == 1 else ""
    unit = "%" if is_percent else number.unit or word
    return Token("number", number.text, number.start, number.end, scale, unit)


def _only_marked(text: str, start: int, end: int) -> Token | None:
    """Return the single number of a box or a line of its own; None if it holds something else."""
    found = _MARKED.fullmatch(plain_text(text[start:end]))
    if found is None or _TWO_VALUES.search(found[0]):
        return None
    words = re.findall(r"[^\W\d_]+", re.sub(r"\\[A-Za-z]+", " ", found["unit"]))
    if found["unit"][:1].isascii() and found["unit"][:1].isalpha() and not unit_of_word(words[0]):
        # a variable
        return None
    scale = scale_of(words[0]) if words else 1
    unit = "%" if "%" in found["unit"] else words[0].casefold() if words and scale == 1 else ""
    place = start + found.start("number"), start + found.end("number")
    return Token("number", found["number"], *place, scale, unit)


def _agrees(number: Token, convention: Convention, value: Fraction) -> bool:
    """Return whether a number states a value: rounded, without its sign, as a percentage or in another unit."""
    stated, value = number_value(number, convention), abs(value)
    if stated is None:
        return False
    decimals = decimals_of(number, convention)
    for factor in (Fraction(number.scale), Fraction(number.scale, 100), Fraction(number.scale * 100)):
        if factor != number.scale and number.unit != "%" and not value.denominator > 1:
            continue
        said, digit = stated * factor, factor / 10**decimals
        if said == value or said in (floor(value), ceil(value)):
            return True
        if (decimals or value.denominator > 1 or factor > 1) and abs(said - value) < digit:
            return True
    said = stated * number.scale
    if not said or not value:
        return False
    return not {said / value, value / said}.isdisjoint(_UNIT_RATIOS)


@dataclass(frozen=True, slots=True)
class _Others:
    """The numbers of an answer and its question that it may conclude with, too."""

    stated: frozenset[Fraction]
    """Those of the question, of code, and of sentences without a calculation."""
    question: frozenset[Fraction]
    results: frozenset[Fraction]
    """Results of earlier calculations that later ones use."""
    calculated: frozenset[Fraction]
    """All numbers of the calculations."""
    verifies: bool
    """Whether the answer speaks of a check, so that the last calculation may not be the one that answers."""


def _others(
    text: str, question: str, tokens: Sequence[Token], equations: Sequence[Equation], place: tuple[int, int]
) -> _Others:
    sides = [side for one in equations for side in (one.left, one.right)]
    spans = [(side.start, side.end) for side in sides]
    before = [one for one in tokens if one.kind in ("number", "unknown") and not place[0] <= one.start < place[1]]
    prose = [one for one in before if not any(start <= one.start < end for start, end in spans)]
    asked = {value for number in numbers_in(question, None) for value in number.values}
    code = {
        Fraction(number) for block in _CODE.findall(text) for number in re.findall(r"\d+(?:\.\d+)?", plain_text(block))
    }
    results, used = set[Fraction](), set[Fraction]()
    for equation in reversed(equations):
        if equation.right.number and equation.left.calculates:
            results |= set(_readings(equation.right.number)) & used
        used |= {value for one in equation.left.numbers for value in _readings(one)}
    return _Others(
        frozenset(asked | code | {value for one in prose for value in _readings(one)}),
        frozenset(asked),
        frozenset(results),
        frozenset(value for side in sides for one in side.numbers for value in _readings(one)),
        _has_words(text, "verifying"),
    )


def _may_follow(said: Fraction, others: _Others) -> bool:
    """Return whether a number other than the last result may be right."""
    if said in others.results and said not in others.question:
        return others.verifies
    return said in others.stated or said in others.calculated


def _has_step(between: str, results: set[Fraction]) -> bool:
    """Return whether the text behind the last calculation may hold one more step that is not written as one."""
    numbers = [set(_readings(one)) for one in tokens_of(between) if one.kind in ("number", "unknown")]
    return any(one and one.isdisjoint(results) for one in numbers) or _has_words(between, "doubtful")


def _readings(token: Token) -> Iterator[Fraction]:
    if token.kind == "unknown":
        yield from map(Fraction, re.findall(r"\d+", token.text))
        return
    for convention in CONVENTIONS:
        if (value := number_value(token, convention)) is not None:
            yield from (value, value * token.scale)


def _places(tokens: Sequence[Token], number: Token, start: int, convention: Convention) -> tuple[Token, ...]:
    """Return the number wherever it stands behind the last calculation."""
    found = {one.start: one for one in tokens if one.start >= start and _is_same(one, number, convention)}
    return tuple(one for _, one in sorted({**found, number.start: number}.items()))


def _is_same(token: Token, other: Token, convention: Convention) -> bool:
    return token.kind == "number" and number_value(token, convention) == number_value(other, convention)


def _all_hold(equations: Sequence[Equation], conventions: Sequence[Convention]) -> bool:
    approximate = set[Fraction]()
    for equation in equations:
        judged = judge(equation, conventions, {}, approximate)
        note_rounding(equation, judged, approximate)
        if equation.left.calculates and judged.verdict != "holds":
            return False
    return True


def _sentences(text: str) -> list[tuple[int, int]]:
    ends = [found.end() for found in SENTENCE_END.finditer(text)]
    return list(zip([0, *ends], [*ends, len(text)], strict=True))


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the sentence that holds a place."""
    return next(span for span in reversed(_sentences(text)) if span[0] <= start)


def _has_words(text: str, name: str) -> bool:
    words = equation_words()
    folded = text.casefold()
    said = set(re.findall(r"[^\W\d_]+", folded))
    return not words[name].isdisjoint(said) or any(part in folded for part in words[f"{name}_parts"])
