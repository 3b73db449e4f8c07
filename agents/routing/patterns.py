"""Signs of structure that mean the same in every language: code, formulas, lists, quotations."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pattern:
    """One sign: its name as a feature, how it is found, and what it is called in words."""

    name: str
    pattern: re.Pattern[str]
    why: str


def _p(name: str, pattern: str, why: str, flags: int = 0) -> Pattern:
    return Pattern(name, re.compile(pattern, flags | re.MULTILINE), why)


PATTERNS = (
    _p("fence", r"```", "a code block"),
    _p("inline_code", r"`[^`\n]{1,60}`", "a piece of code"),
    _p(
        "code_line",
        r"^[^\S\n]*(?:def |class \w+[:({ ]|import \w|from \w+ import|#include|public \w+ |private \w+ "
        r"|function\s+\w+\s*\(|const \w+ =|let \w+ =|var \w+ =|fn \w+\(|func \w+\(|SELECT\s.+\sFROM\s|package \w"
        r"|using \w+;|return\b|for \w+ in )|\bdef \w+\s?\(|\bprintf?\(|\bconsole\.log\(",
        "lines of code",
    ),
    _p(
        "trace", r"Traceback \(most recent|^[^\S\n]+at \w.*\(.*:\d+\)|\b\w+(?:Error|Exception)\b|>>> ", "an error trace"
    ),
    _p("call", r"\b[A-Za-z_]\w+\([^()\n]{0,40}\)", "calls of functions"),
    _p("identifier", r"\b[a-z]+_[a-z_]+\b|\b[a-z]{2,}[A-Z][A-Za-z]+\b|\b\w+::\w+|\b\w+->\w+", "names as code has them"),
    _p("braces", r"[{};]\s*$|=>|==|!=|\+=|&&|\|\|", "signs of code"),
    _p(
        "file",
        r"(?<![\w*-])[*-]*\b[\w*-]++\.(?:py|js|ts|rs|go|java|cpp|cs|c|h|sql|sh|txt|csv|json"
        r"|html|css|xml|log|md|php|rb|zip|gz|tar)\b",
        "names of files",
    ),
    _p(
        "path", r"(?:^|\s)[~.]{0,2}/[\w./*-]+|\b[A-Z]:\\|\s--?[a-z][\w-]*\b|\$[A-Z_]{3,}", "paths or options of a shell"
    ),
    _p("tag", r"</?[a-z][\w-]*(?:\s[^<>]*)?>", "tags"),
    _p("json", r"\{\s*\"[^\"]+\"\s*:|\[\s*(?:-?\d+\s*,\s*)+-?\d+\s*\]", "data as code has it"),
    _p("latex", r"\\(?:[a-zA-Z]{2,}|\[|\()|\$[^$\n]{1,80}\$", "formulas"),
    _p(
        "arithmetic",
        r"\d\s*[+*×÷^]\s*[\d(]|\d\s+[-/]\s+[\d(]|\d-\d+\s?[=?]|\d\s*=\s*[\d?]|[\d)]\s*[xX]\s*\d",
        "arithmetic",
    ),
    _p(
        "equation",
        r"\b\d*[a-z]\s*(?:[-+*/^=<>]|\*\*)\s*\(?-?\d|\d\s*[-+*/=]\s*[a-z]\b"
        r"|\b[a-z]\s?\([a-z0-9]{1,2}\)\s*=|\d[xyzn]\b|\b[a-z]\^",
        "a formula",
    ),
    _p("math_sign", r"[∫∑√≤≥≠∞∂π²³⁴±×÷∈∀∃∠°]", "mathematical signs"),
    _p("money", r"[$€£¥₹₽₩₺₫]\s?\d|\d\s?[$€£¥₹₽₩₺₫]", "amounts of money"),
    _p("percent", r"\d\s?[%٪]", "percentages"),
    _p("fraction", r"\b\d+/\d+\b|\b\d+[.,]\d+\b", "fractions"),
    _p("clock", r"\b\d{1,2}(?::\d\d)?\s?(?:am|pm|a\.m|p\.m|Uhr)\b|\b\d{1,2}:\d\d\b", "a time of day", re.IGNORECASE),
    _p("year", r"\b(?:1[5-9]|20)\d\d\b", "a year"),
    _p("options", r"(?:^|\s)\(?[A-Ea-e1-5][).]\s?\S", "lettered options"),
    _p("bullets", r"^[^\S\n]*(?:[-*•]|\d+[.)])\s", "a list"),
    _p("blank", r"\n\s*\n", "paragraphs"),
    _p("variable", r"(?<![\w'’-])[b-hj-np-z](?![\w'’.-])", "single letters"),
    _p("quote", r"[\"“”«»„「」『』]", "quotations"),
    _p("colon", r"[:：]\s", "colons"),
    _p("placeholder", r"_{3,}|\[(?!\d)[^\]\n]{2,40}\]", "gaps to fill"),
)
"""All signs, in the order of the features made of them."""
