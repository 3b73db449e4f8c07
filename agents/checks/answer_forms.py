"""Find what an answer lacks of two units, or of several languages, that its message asks for together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from qwendesk.agents.checks.numbers import numbers_in, unit_of_word
from qwendesk.routing.signals.language import are_similar, english_name, identify_language, letters_in

_MIN_LETTERS = 30
"""Letters of a paragraph whose language is compared; a letter of a script beyond U+2E80 counts four times."""
SENTENCES = re.compile(r"[.!?](?=\s|$)|[。！？।؟]|\n+")
CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_JOINED_UNITS = re.compile(
    r"(?<!\w)(?=(?P<one>[^\W\d_]{2,})"
    r"(?:\s*[/&]\s*|,?\s+(?:and|und|et|y|e|en|i|oraz|и|та|ve|och|og|dan|và|as well as|sowie)"
    r"\s+)"
    r"(?:(?:also|auch|aussi|también|também|anche|ook|także|также|in|en|auf|à|a|w|в|för|i)\s+)?(?P<two>[^\W\d_]{2,}))",
    re.IGNORECASE,
)
_JOINED_DENSE_UNITS = re.compile(
    r"(?=(?P<one>[\u3040-\u30ff\u3400-\u9fff]{1,6})[和与與と及、]\s?何?(?P<two>[\u3040-\u30ff\u3400-\u9fff]{1,6}))|"
    r"(?P<one_k>[\uac00-\ud7af]{1,6}?)(?:와|과)\s?(?P<two_k>[\uac00-\ud7af]{1,6})"
)
_MAX_UNIT_CHARS = 7


def missing_units(text: str, question: str) -> Iterator[str]:
    """Yield the units of "in kilometres and miles" that are missing in an answer with numbers."""
    asked = next(_joined_units(question), None)
    said = {number.unit for number in numbers_in(text, None)}
    if asked is None or not said:
        return
    words = re.findall(r"[^\W\d_]+|°[CF]|[€$£¥₹]", text)
    said |= {unit_of_word(word) for word in words}
    yield from (shown for shown, unit in asked if unit not in said and not _stands_dense(unit, text))


def _joined_units(question: str) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yield two units of one kind as a message joins them, each as written and in one spelling for all languages."""
    for found in (*_JOINED_UNITS.finditer(question), *_JOINED_DENSE_UNITS.finditer(question)):
        one, two = (
            next((text for text in group if text), "") for group in (found.groups()[0::2], found.groups()[1::2])
        )
        dense = one >= "\u2e80"
        lefts = [one[at:] for at in range(len(one))] if dense else [one]
        rights = [two[:end] for end in range(len(two), 0, -1)] if dense else [two]
        left = next(((text, unit) for text in lefts if (unit := unit_of_word(text))), None)
        right = next(((text, unit) for text in rights if (unit := unit_of_word(text))), None)
        if left is None or right is None or left[1] == right[1] or _kind(left[1]) != _kind(right[1]):
            continue
        start = question.find(left[0], found.start())
        is_counted = any(re.search(r"\d\s?\Z", question[:at]) for at in (start, question.find(right[0], start + 1)))
        if not is_counted:
            yield left, right


def _kind(unit: str) -> str:
    return unit.partition("-")[0] if "-" in unit else "money"


def _stands_dense(unit: str, text: str) -> bool:
    """Return whether a unit stands in a text of a script without spaces."""
    runs = re.findall(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+", text)
    return any(
        unit_of_word(run[start:end]) == unit
        for run in runs
        for start in range(len(run))
        for end in range(start + 1, min(start + _MAX_UNIT_CHARS, len(run)) + 1)
    )


def missing_languages(text: str, wanted: Sequence[str]) -> Iterator[str]:
    """Yield the languages of which an answer has no paragraph; a short answer is not judged."""
    prose = [one for one in re.split(r"\n+", CODE.sub("\n", text)) if letters_in(one) >= _MIN_LETTERS]
    if not prose:
        return
    found = {code for one in prose if (code := identify_language(one))}
    sentences = {
        code for one in SENTENCES.split(text) if letters_in(one) >= _MIN_LETTERS and (code := identify_language(one))
    }
    for code in wanted:
        if not any(other == code or are_similar(other, code) for other in found | sentences):
            yield english_name(code) or code
