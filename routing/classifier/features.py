"""Features of a text in any language: its structure and the kinds of its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import log1p

import numpy as np
from numpy.typing import NDArray

from qwendesk.routing.signals.cues import KINDS, UNSPACED_SCRIPTS, CueMatcher, fold, load_cues, words_of
from qwendesk.routing.signals.language import likely_languages

_HEAD_CHARS, _TAIL_CHARS = 1600, 500
"""Characters used of the beginning and the end of a long text."""
_FIRST_WORDS = 4
"""Number of words that count as the first of a text."""
_QUESTION = re.compile(r"[?？؟⁇¿]|(?<=[\u0370-\u03ff]);")
_SENTENCE = re.compile(r"[.!?。！？؟।;\n]+")
_SENTENCE_END = re.compile(r"[.!?;](?=\s)|[。！？।؟\n]")
_MAX_GREETING_WORDS, _MAX_GREETING_CHARS, _MIN_REQUEST_CHARS = 14, 90, 8
"""Maximum words and characters of a greeting, and minimum characters behind it."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_OPERATOR = r"[-+*/×÷^=]"
_LABEL = re.compile(
    r"\b\d{1,4}[./-]\d{1,2}[./-]\d{2,4}\b|\b[0-3]\d/[01]\d\b|\b\d{1,2}:\d\d\b|(?:#|№)\s?\d+|(?<!\d)(?<!\d\s)\+\d{5,}"
    r"|\b[A-Za-z]+-?\d[\w-]*|\b(?:1[5-9]|20)\d\d\b"
    rf"|(?<!{_OPERATOR})(?<!{_OPERATOR}\s)\b(?!\d*00\b)\d{{4,}}\b(?![.,]\d|\s?[%$€£¥]|\s?{_OPERATOR})"
)
"""Dates, times, years and identifiers, which are not used in calculations."""
_MAX_HEADING_CHARS, _MAX_HEADING_WORDS, _MAX_LINES = 40, 4, 80
"""Maximum characters and words of a heading, and lines that are looked at."""
_MATERIAL = re.compile(r"\"[^\"]{15,}\"|“[^“”]{15,}”|„[^„“”]{15,}[“”]|«[^«»]{15,}»|「[^「」]{8,}」|《[^《》]{8,}》")
_COLON = re.compile(r"[:：]\s?(?=\S)")
_MAX_REQUEST_CHARS = 160
"""Maximum characters before a colon that opens the material of a request."""
_CAPITAL = re.compile(r"(?<=[a-zà-ÿа-яα-ω,;] )[A-ZÀ-ÞА-ЯΑ-Ω][a-zà-ÿа-яα-ωά-ώ]+")
_CODE_SIGNS = frozenset({"fence", "code_line", "call", "braces", "tag", "json"})
"""Features of code, in which quotation marks and colons open no text to work on."""
_DENSITY_FEATURES = ("call", "identifier", "braces", "latex", "variable", "arithmetic", "equation")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A structural feature: its name, pattern and reason in words."""

    name: str
    pattern: re.Pattern[str]
    reason: str


def _pattern(name: str, pattern: str, reason: str, flags: int = 0) -> Pattern:
    return Pattern(name, re.compile(pattern, flags | re.MULTILINE), reason)


PATTERNS = (
    _pattern("fence", r"```", "a code block"),
    _pattern("inline_code", r"`[^`\n]{1,60}`", "a piece of code"),
    _pattern(
        "code_line",
        r"^[^\S\n]*(?:def |class \w+[:({ ]|import \w|from \w+ import|#include|public \w+ |private \w+ "
        r"|function\s+\w+\s*\(|const \w+ =|let \w+ =|var \w+ =|fn \w+\(|func \w+\(|SELECT\s.+\sFROM\s|package \w"
        r"|using \w+;|return\b|for \w+ in )|\bdef \w+\s?\(|\bprintf?\(|\bconsole\.log\(",
        "lines of code",
    ),
    _pattern(
        "trace", r"Traceback \(most recent|^[^\S\n]+at \w.*\(.*:\d+\)|\b\w+(?:Error|Exception)\b|>>> ", "an error trace"
    ),
    _pattern("call", r"\b[A-Za-z_]\w+\([^()\n]{0,40}\)", "calls of functions"),
    _pattern("identifier", r"\b[a-z]+_[a-z_]+\b|\b[a-z]{2,}[A-Z][A-Za-z]+\b|\b\w+::\w+|\b\w+->\w+", "names as in code"),
    _pattern("braces", r"[{};]\s*$|=>|==|!=|\+=|&&|\|\|", "signs of code"),
    _pattern(
        "file",
        r"(?<![\w*-])[*-]*\b[\w*-]++\.(?:py|js|ts|rs|go|java|cpp|cs|c|h|sql|sh|txt|csv|json"
        r"|html|css|xml|log|md|php|rb|zip|gz|tar)\b",
        "names of files",
    ),
    _pattern(
        "path", r"(?:^|\s)[~.]{0,2}/[\w./*-]+|\b[A-Z]:\\|\s--?[a-z][\w-]*\b|\$[A-Z_]{3,}", "paths or options of a shell"
    ),
    _pattern("tag", r"</?[a-z][\w-]*(?:\s[^<>]*)?>", "tags"),
    _pattern("json", r"\{\s*\"[^\"]+\"\s*:|\[\s*(?:-?\d+\s*,\s*)+-?\d+\s*\]", "data as in code"),
    _pattern("latex", r"\\(?:[a-zA-Z]{2,}|\[|\()|\$[^$\n]{1,80}\$", "formulas"),
    _pattern(
        "arithmetic",
        r"\d\s*[+*×÷^]\s*[\d(]|\d\s+[-/]\s+[\d(]|\d-\d+\s?[=?]|\d\s*=\s*[\d?]|[\d)]\s*[xX]\s*\d",
        "arithmetic",
    ),
    _pattern(
        "equation",
        r"\b\d*[a-z]\s*(?:[-+*/^=<>]|\*\*)\s*\(?-?\d|\d\s*[-+*/=]\s*[a-z]\b"
        r"|\b[a-z]\s?\([a-z0-9]{1,2}\)\s*=|\d[xyzn]\b|\b[a-z]\^",
        "a formula",
    ),
    _pattern(
        "limits",
        r"\d\s?(?:<=|≤|\\leq?\b)|(?:<=|≤|\\leq?\b)\s?-?\d|\b10\s?(?:\^|\*\*)\s?\{?\d|\b1e\d\b|10[⁴⁵⁶⁷⁸⁹]|\b1\W?000\W?000\W?007\b"
        r"|\b998244353\b",
        "limits of an input",
    ),
    _pattern("number_lines", r"^[ \t]*-?\d+(?:[ \t]+-?\d+)+[ \t]*$", "lines of numbers"),
    _pattern("math_sign", r"[∫∑√≤≥≠∞∂π²³⁴±×÷∈∀∃∠°]", "mathematical signs"),
    _pattern("money", r"[$€£¥₹₽₩₺₫]\s?\d|\d\s?[$€£¥₹₽₩₺₫]", "amounts of money"),
    _pattern("percent", r"\d\s?[%٪]", "percentages"),
    _pattern("fraction", r"\b\d+/\d+\b|\b\d+[.,]\d+\b", "fractions"),
    _pattern(
        "clock", r"\b\d{1,2}(?::\d\d)?\s?(?:am|pm|a\.m|p\.m|Uhr)\b|\b\d{1,2}:\d\d\b", "a time of day", re.IGNORECASE
    ),
    _pattern("year", r"\b(?:1[5-9]|20)\d\d\b", "a year"),
    _pattern("options", r"(?:^|\s)\(?[A-Ea-e1-5][).]\s?\S", "lettered options"),
    _pattern("bullets", r"^[^\S\n]*(?:[-*•]|\d+[.)])\s", "a list"),
    _pattern("blank", r"\n\s*\n", "paragraphs"),
    _pattern("variable", r"(?<![\w'’-])[b-hj-np-z](?![\w'’.-])", "single letters"),
    _pattern("quote", r"[\"“”«»„「」『』]", "quotations"),
    _pattern("colon", r"[:：]\s", "colons"),
    _pattern("placeholder", r"_{3,}|\[(?!\d)[^\]\n]{2,40}\]", "gaps to fill"),
)
"""All patterns, in the order of their features."""


FEATURE_NAMES = (
    *(pattern.name for pattern in PATTERNS),
    *(f"{name}_density" for name in _DENSITY_FEATURES),
    "length", "lines", "sentences", "words_per_sentence", "questions", "ends_in_question", "no_question",
    "labels", "numbers_count", "numbers_density", "many_numbers", "no_numbers",
    "capitals", "repeated_names", "very_short", "symbols", "material", "data_headings",
    *KINDS,
    *(f"{kind}_density" for kind in KINDS),
    *(f"{kind}_first" for kind in KINDS),
    *(f"{kind}_last" for kind in KINDS),
    *(f"{kind}_share" for kind in KINDS),
    "count_numbers", "count_no_numbers", "puzzle_numbers", "math_numbers", "math_no_numbers", "amounts_numbers",
    "code_data", "data_numbers", "data_no_numbers", "material_numbers", "limits_data",
    "long_puzzle", "options_puzzle", "options_math",
)  # fmt: skip
"""Names of the features, in order."""


def clip(text: str) -> str:
    """Return the beginning and the end of a long text; a short text whole."""
    if len(text) <= _HEAD_CHARS + _TAIL_CHARS:
        return text
    return f"{text[:_HEAD_CHARS]}\n{text[-_TAIL_CHARS:]}"


def without_greeting(text: str, cues: CueMatcher) -> str:
    """Return a text without its opening greeting, if enough follows."""
    opening, _, matter = _partition(text)
    if len(matter) < _MIN_REQUEST_CHARS or len(matter) <= len(opening) / 2:
        return text
    words = words_of(fold(opening))
    talk = 1 << KINDS.index("talk")
    greets = len(words) <= _MAX_GREETING_WORDS and any(
        at < _FIRST_WORDS and mask & talk for at, mask in cues.find(words)
    )
    return matter if greets else text


def without_closing(text: str, cues: CueMatcher) -> str:
    """Return a text without a short last paragraph of courtesy, such as a signature, if enough stands before it."""
    matter, _, closing = text.rstrip().rpartition("\n\n")
    if len(matter.strip()) < _MIN_REQUEST_CHARS or len(closing) > _MAX_GREETING_CHARS or _QUESTION.search(closing):
        return text
    talk = 1 << KINDS.index("talk")
    return matter if any(mask & talk for _, mask in cues.find(words_of(fold(closing)))) else text


def _partition(text: str) -> tuple[str, str, str]:
    """Return the first sentence, its end, and the rest."""
    end = _SENTENCE_END.search(text, 0, _MAX_GREETING_CHARS)
    return (text[: end.start()], end[0], text[end.end() :]) if end else (text, "", "")


def extract_features(text: str, cues: CueMatcher | None = None) -> NDArray[np.float32]:
    """Return a text's features, in the order of `FEATURE_NAMES`; None uses the built-in cues of likely languages."""
    cues = cues or load_cues()
    text = without_closing(without_greeting(clip(text), cues), cues)
    words = words_of(fold(text))
    size = _word_count(text, words)
    languages = likely_languages(text, words)
    found = list(cues.find(words, languages))
    structure = _structure(text, size)
    is_code = any(value for pattern, value in zip(PATTERNS, structure, strict=False) if pattern.name in _CODE_SIGNS)
    shape = _shape(text, words, size, is_code=is_code) + _data_headings(text, cues, languages)
    values = structure + shape + _cue_counts(found, words, size)
    return np.array(values + _interactions(dict(zip(FEATURE_NAMES, values, strict=False))), dtype=np.float32)


def _interactions(seen: dict[str, float]) -> list[float]:
    """Return products of features: "how many" with numbers is a calculation, without them a riddle or a fact."""
    asked = float(seen["how_many"] > 0)
    given = float(seen["numbers_count"] > 0 or seen["numbers"] > 0.6)
    return [
        asked * given,
        asked * (1 - given),
        seen["puzzle"] * given,
        seen["math"] * given,
        seen["math"] * (1 - given),
        seen["amounts"] * given,
        seen["code"] * seen["data"],
        seen["data"] * given,
        seen["data"] * (1 - given),
        seen["material"] * given,
        float(seen["limits"] > 0) * seen["data"],
        seen["length"] * seen["puzzle_density"],
        seen["options"] * seen["puzzle"],
        seen["options"] * seen["math"],
    ]


def _word_count(text: str, words: list[str]) -> float:
    """Return the number of words, estimated for scripts without spaces."""
    dense = len(UNSPACED_SCRIPTS.findall(text))
    return max(1.0, len(words) + dense / 2.5)


def _structure(text: str, size: float) -> list[float]:
    counts = {pattern.name: len(pattern.pattern.findall(text)) for pattern in PATTERNS}
    return [log1p(count) for count in counts.values()] + [
        min(counts[name] / size, 1.0) * 4 for name in _DENSITY_FEATURES
    ]


def _shape(text: str, words: list[str], size: float, *, is_code: bool) -> list[float]:
    sentences = max(1, sum(1 for part in _SENTENCE.split(text) if part.strip()))
    questions = len(_QUESTION.findall(text))
    labels = len(_LABEL.findall(text))
    numbers = len(_NUMBER.findall(_LABEL.sub(" ", text)))
    names = _CAPITAL.findall(text)
    repeated = len(names) - len(set(names))
    letters = sum(map(len, words))
    return [
        log1p(size),
        log1p(text.count("\n")),
        log1p(sentences),
        log1p(size / sentences),
        log1p(questions),
        float(bool(_QUESTION.search(text[-3:]))),
        float(questions == 0),
        log1p(labels),
        log1p(numbers),
        min(numbers / size, 1.0) * 4,
        float(numbers >= 2) + float(numbers >= 3),
        float(numbers == 0),
        min(len(names) / size, 1.0) * 4,
        log1p(repeated),
        float(size <= 4) + float(size <= 8),
        1 - min(1.0, letters / max(1, len(text) - text.count(" "))),
        0.0 if is_code else _material_share(text),
    ]


def _material_share(text: str) -> float:
    """Return the share of a text that is quoted, or stands behind the colon of a request."""
    quoted = sum(len(part) for part in _MATERIAL.findall(text))
    colon = _COLON.search(text, 0, _MAX_REQUEST_CHARS)
    return max(quoted, len(text) - colon.end() if colon else 0) / max(1, len(text))


def _data_headings(text: str, cues: CueMatcher, languages: frozenset[str] | None) -> list[float]:
    """Return the number of headings, on a scale of logarithms, that speak of data: "Input", "Output format"."""
    if "\n" not in text:
        return [0.0]
    data = 1 << KINDS.index("data")
    headings = 0
    for line in text.split("\n", _MAX_LINES)[:_MAX_LINES]:
        if 0 < len(line) <= _MAX_HEADING_CHARS:
            words = words_of(fold(line))
            headings += len(words) <= _MAX_HEADING_WORDS and any(mask & data for _, mask in cues.find(words, languages))
    return [log1p(headings)]


def _cue_counts(found: list[tuple[int, int]], words: list[str], size: float) -> list[float]:
    kinds = range(len(KINDS))
    counts, first, last = [0] * len(KINDS), [0.0] * len(KINDS), [0.0] * len(KINDS)
    edge = len(words) - max(6, len(words) // 4)
    for index, mask in found:
        for kind in kinds:
            if mask >> kind & 1:
                counts[kind] += 1
                first[kind] = max(first[kind], float(index < _FIRST_WORDS))
                last[kind] = max(last[kind], float(index >= edge))
    total = max(1, sum(counts))
    density, share = [min(count / size, 1.0) * 4 for count in counts], [count / total for count in counts]
    return [log1p(count) for count in counts] + density + first + last + share
