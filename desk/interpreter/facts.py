"""Read the facts of a text that stand in words: numbers, weekdays, months, and whether it negates something."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import regex

from qwendesk.routing.signals.cues import fold

FactKind = Literal["number", "weekday", "month"]
Fact = tuple[FactKind, int]
"""A fact and its value: a number, or that of a weekday from Monday on, or of a month, from 1 on."""
_APOSTROPHES = regex.compile(r"['\u2019\u02bc\u02b9`]")
_BETWEEN_WORDS = regex.compile(r"[\s-]+|\s*(?:und|and|y|e|et|en|i|و)\s*")
"""What stands between the words of one number, as in "twenty-five"."""
_PARTS_OF_A_UNIT = regex.compile(
    r"\b(?:half|halb\w*|viertel\w*|dreiviertel|quarter|kwart|demie?|media|mezz[oa]|meia|wpół|pół\w*|пол\w*|пів\w*"
    r"|четверт\w*|чверт\w*|buçuk|çeyrek|نصف|ربع|साढ़े|सवा|पौने|आधा|आधे)\b|半|刻|반",
    regex.IGNORECASE,
)
"""Words with which another number is meant in another language: "halb drei" is "half past two"."""
_DENSE = "一二两兩三四五六七八九十"
_DENSE_VALUES = {**{sign: at for at, sign in enumerate("一二三四五六七八九十", 1)}, "两": 2, "兩": 2}
_DENSE_NUMBER = regex.compile(
    rf"(?<![第百千万{_DENSE}])([{_DENSE}])(?=[个個天週周件本次张張元冊回つ双双]|小时|分钟|時間|[かヶケ]月)(?![个個]月)"
)
_KOREAN = {2: "두", 3: "세", 4: "네", 5: "다섯", 6: "여섯", 7: "일곱", 8: "여덟", 9: "아홉"}
_KOREAN_MAYBE = {2: "두둘이쌍양", 3: "세셋삼", 4: "네넷사", 5: "오", 6: "육", 7: "칠", 8: "팔", 9: "구", 10: "십열"}
_KOREAN_UNIT = r"(?= ?(?:개|권|명|번|시간|장|달|주|시|가지|분)(?!째))"
_CODES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "uk", "tr", "ar", "hi", "zh", "ja", "ko")


@dataclass(frozen=True, slots=True)
class TextFacts:
    """The facts of a text."""

    certain: frozenset[Fact]
    """What the text says for sure."""
    possible: frozenset[Fact]
    """What it may say, words with several meanings and numbers in digits included."""
    negates: bool
    """Whether it negates something for sure."""
    may_negate: bool
    """Whether it may negate something."""
    has_part: bool
    """Whether it has a word such as "half", with which languages count in different ways."""


@dataclass(frozen=True, slots=True)
class _Rules:
    certain: tuple[tuple[Fact, regex.Pattern[str]], ...]
    maybe: tuple[tuple[Fact, regex.Pattern[str]], ...]
    idioms: regex.Pattern[str]
    negation: regex.Pattern[str]
    maybe_negation: regex.Pattern[str]


def facts_of(text: str, language: str | None) -> TextFacts | None:
    """Return the facts of a text in a language; None for a language without a table."""
    if language not in _CODES:
        return None
    rules = _rules(language)
    plain = _folded(text)
    places = [(*found.span(), fact) for fact, pattern in rules.certain for found in pattern.finditer(plain)]
    numbers = [(start, end, value) for start, end, (kind, value) in places if kind == "number"]
    possible = {fact for *_, fact in places}
    # "may" is a verb far more often
    certain = {fact for fact in possible if fact[0] != "number" and not (language == "en" and fact == ("month", 5))}
    possible.update(fact for fact, pattern in rules.maybe if pattern.search(plain))
    for run in _runs(sorted(numbers), plain):
        if len(run) == 1:
            certain.add(("number", run[0]))
        possible |= {("number", value) for value in (sum(run), run[0] * run[-1])}
    possible |= _either(int(digits) for digits in regex.findall(r"\p{Nd}{1,4}", text))
    signs, maybe = _in_signs(text, language)
    certain |= signs
    possible |= signs | maybe
    bare = rules.idioms.sub(" ", plain)
    negates = bool(rules.negation.search(bare))
    may_negate = bool(rules.negation.search(plain) or rules.maybe_negation.search(plain))
    has_part = bool(_PARTS_OF_A_UNIT.search(text))
    return TextFacts(frozenset(certain), frozenset(possible), negates, may_negate, has_part)


def _in_signs(text: str, language: str) -> tuple[set[Fact], set[Fact]]:
    """Return the numbers that a text has for sure and maybe in scripts whose number words are parts of words."""
    maybe = set[Fact]()
    if language in ("zh", "ja"):
        maybe |= _either(value for sign, value in _DENSE_VALUES.items() if sign in text)
        maybe |= _either([2] if regex.search("[双雙重俩都両]|ふた", text) else [])
        maybe |= _either([100] if "百" in text else [])
        maybe |= _either(range(11, 100) if "十" in text else [])
        return {("number", _DENSE_VALUES[found[1]]) for found in _DENSE_NUMBER.finditer(text)} - {("number", 1)}, maybe
    if language == "ko":
        maybe |= _either(value for value, signs in _KOREAN_MAYBE.items() if any(sign in text for sign in signs))
        maybe |= _either(range(11, 101) if regex.search("[십열백스서마쉰예일여아]", text) else [])
    if language == "ar":
        # the dual says two without a word
        maybe |= _either([2, 11, 12] if "عشر" in text else [2])
    return set(), maybe


def _either(values: Iterable[int]) -> set[Fact]:
    """Return numbers that may be those of months as well."""
    found = set[Fact]()
    for value in values:
        found |= {("number", value), ("month", value)}
    return found


def differences(source: TextFacts, translation: TextFacts) -> Iterator[str]:
    """Yield in words which facts a translation has lost or added."""
    has_part = source.has_part or translation.has_part
    for certain, possible, fault in (
        (source.certain, translation.possible, "of the original is missing"),
        (translation.certain, source.possible, "does not stand in the original"),
    ):
        for fact in sorted(certain - possible):
            if not (has_part and fact[0] == "number"):
                yield f"{_shown(fact)} {fault}"
    if source.negates and not translation.may_negate:
        yield "the original has a word such as 'not', the translation has none"
    if translation.negates and not source.may_negate:
        yield "it has a word such as 'not', the original has none"


def _shown(fact: Fact) -> str:
    from babel import Locale

    kind, value = fact
    if kind == "number":
        return f"the number {value}"
    english = Locale("en")
    table, at = (english.days, value - 1) if kind == "weekday" else (english.months, value)
    return f"the {kind} {table['format']['wide'][at]}"


def _runs(numbers: Iterable[tuple[int, int, int]], text: str) -> Iterator[list[int]]:
    """Yield the values of number words that make one number."""
    run, last = list[int](), 0
    for start, end, value in numbers:
        if run and not _BETWEEN_WORDS.fullmatch(text[last:start]):
            yield run
            run = []
        run.append(value)
        last = end
    if run:
        yield run


def _folded(text: str) -> str:
    return str(_APOSTROPHES.sub("'", fold(_APOSTROPHES.sub("'", text))))


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(resources.files(__package__).joinpath("facts.toml").read_text("utf-8"))


@cache
def _rules(language: str) -> _Rules:
    table = _tables()[language]
    is_dense = language in ("zh", "ja", "ko")
    certain, maybe = list[tuple[Fact, regex.Pattern[str]]](), list[tuple[Fact, regex.Pattern[str]]]()
    for place, key in ((certain, "numbers"), (maybe, "maybe")):
        for value, words in table.get(key, {}).items():
            place.append((("number", int(value)), _pattern("|".join(map(regex.escape, words.split())), language)))
    if language == "ko":
        certain += [
            (("number", value), regex.compile(fold(word) + (_KOREAN_UNIT if value < 5 else "")))
            for value, word in _KOREAN.items()
        ]
    names = _names(language)
    for kind, key in (("weekday", "days"), ("month", "months")):
        fact_kind: FactKind = "weekday" if kind == "weekday" else "month"
        own: Mapping[str, str] = table.get(key) or {str(value): text for value, text in names[kind, True].items()}
        certain += [((fact_kind, int(value)), _pattern(text, language)) for value, text in own.items()]
        maybe += [((fact_kind, value), _pattern(text, language)) for value, text in names[kind, False].items()]
        maybe += [
            ((fact_kind, int(value)), _pattern(text, language)) for value, text in table.get(f"maybe_{key}", {}).items()
        ]
    bare = {
        key: regex.compile(_folded(table[key])) if is_dense else _pattern(table[key], language)
        for key in ("idioms", "not", "perhaps_not")
    }
    return _Rules(tuple(certain), tuple(maybe), bare["idioms"], bare["not"], bare["perhaps_not"])


def _names(language: str) -> dict[tuple[str, bool], dict[int, str]]:
    """Return patterns of the names of weekdays and months, whole ones (True) and short ones."""
    from babel import Locale

    locale = Locale.parse(language)
    ending = {
        "de": r"(?:s|e|es|abends?|morgens?|mittags?|nachmittags?|vormittags?|nachts?)?",
        "en": "s?",
        "fr": "s?",
        "es": "s?",
        "nl": r"(?:s|en|avond|ochtend|middag|nacht)?",
        "tr": r"(?:'?\w{0,5})",
    }.get(language, "")
    made = dict[tuple[str, bool], dict[int, str]]()
    for kind, table in (("weekday", locale.days), ("month", locale.months)):
        for is_whole, width in ((True, "wide"), (False, "abbreviated")):
            found = dict[int, str]()
            for value in range(7) if kind == "weekday" else range(1, 13):
                texts = {str(table[form][width][value]).rstrip(".") for form in ("format", "stand-alone")}
                if language == "de" and kind == "weekday" and value == 5 and is_whole:
                    texts.add("Sonnabend")
                if language == "tr" and is_whole and value == 6 and kind == "weekday":
                    texts = {"pazar(?!tesi)"}
                elif language == "tr" and is_whole and value == 4 and kind == "weekday":
                    texts = {"cuma(?!rtesi)"}
                found[value + 1 if kind == "weekday" else value] = "|".join(
                    f"{text}{ending if is_whole and (kind == 'weekday' or language == 'tr') else ''}" for text in texts
                )
            made[kind, is_whole] = found
    return made


def _pattern(text: str, language: str) -> regex.Pattern[str]:
    """Return a pattern of whole words; Arabic joins articles and prepositions with them."""
    plain = _folded_pattern(text)
    if language in ("zh", "ja", "ko"):
        return regex.compile(plain)
    prefix = r"(?:[وفبلك]{0,2}(?:ال|ل)?)" if language == "ar" else ""
    return regex.compile(rf"(?<![\p{{L}}\p{{M}}]){prefix}(?:{plain})(?![\p{{L}}\p{{M}}])")


def _folded_pattern(text: str) -> str:
    """Return a pattern for folded texts, whose escapes keep their meaning."""
    return "".join(part if part.startswith("\\") else _folded(part) for part in regex.split(r"(\\.)", text))
