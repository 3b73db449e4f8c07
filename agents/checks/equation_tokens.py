"""Read a text into numbers, signs, words and ends of clauses, in the signs of LaTeX, Markdown and plain text.

Positions are those of the text, so that a number can be replaced where it stands.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Literal

from qwendesk.quotations import ADDRESS, CODE, QUOTED
from qwendesk.tools.number_formats import Convention

Kind = Literal["number", "sign", "(", ")", "=", "%", "fraction", "root", "word", "gap", "unknown", "end"]
MAX_TEXT_CHARS = 20_000
"""Length of the part of a text that is searched."""
CONVENTIONS: tuple[Convention, Convention] = ("point", "comma")
FIRST_DENSE = "\u2e80"
"""First letter of the scripts that are written without blanks."""
_NO_STATEMENT = re.compile(rf"~~~.*?(?:~~~|\Z)|{CODE}|{ADDRESS}|{QUOTED}", re.DOTALL)
"""Code, addresses and quotations, which are no statements of the text about numbers."""
_CURRENCIES = "$€£¥₹₩₽฿"
_UNITS_WITHOUT_BLANK = frozenset(
    re.findall(r"\w+", "kg g mg cm mm m km ml l L h s min GB MB KB TB mph lb lbs oz ft yd hr hrs px W kW V th st nd rd")
)
"""Units that are written right behind a number; other letters there are variables or digits of another base."""
_ENDS = frozenset('.,;:!?…。、！？；：।؟؛،"“”„‘«»「」『』|<>~—•\n\r\t#@')
_LETTER = r"[^\W\d_⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ₀₁₂₃₄₅₆₇₈₉½⅓⅔¼¾]"
_BLANKS = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"
_PLAIN = str.maketrans(
    {
        **dict.fromkeys(_BLANKS, " "),
        **{
            "−": "-",
            "–": "-",
            "－": "-",
            "＋": "+",
            "＝": "=",
            "（": "(",
            "）": ")",
            "％": "%",
            "٪": "%",
            "٫": ".",
            "٬": ",",
        },
        **{
            "×": "*",
            "·": "*",
            "∙": "*",
            "⋅": "*",
            "✕": "*",
            "∗": "*",
            "÷": "/",
            "／": "/",
            "⁄": "/",
            "≃": "≈",
            "≒": "≈",
        },
        **{"，": ",", "．": ".", "＄": "$", "’": "'", "[": "(", "]": ")"},
    }
)
"""Characters that have the same meaning; each is replaced by one character, which keeps all positions."""
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_NUMBER = r"\d{1,3}(?:(?:[.,' ]|\{,\}|\\,)\d{3})+(?![\d])(?:[.,]\d+)?|\d+(?:[.,]\d+)?|(?<![\w.,])\.\d+"
_TOKEN = re.compile(
    rf"""(?P<word>\\(?:text|mathrm|textrm|textbf|mathbf)\s?\{{[^{{}}\n]*\}})
    |(?P<skip>\\(?:left|right|quad|qquad|boxed|displaystyle|bigl?|bigr?)(?![A-Za-z])|\\[,;:!\ ()\[\]$]|[$€£¥₹₩₽฿&_`\ \t]
        |(?:USD|EUR|GBP)\b|\*\*(?!\d))
    |(?P<sign>\\(?:times|cdot|ast)(?![A-Za-z])|\\div(?![A-Za-z])|\*\*|[-+*/^])
    |(?P<equal>\\(?:approx|simeq|approxeq)(?![A-Za-z])|==?(?!>)|≈)
    |(?P<fraction>\\[dt]?frac(?=\s*\{{))|(?P<root>\\sqrt(?=\s*\{{)|√)
    |(?P<percent>\\?%)
    |(?P<clock>\d+:\d+(?::\d+)?|\d{{4}}-\d{{1,2}}-\d{{1,2}}|\d{{1,2}}/\d{{1,2}}/\d{{2,4}}|\d{{1,2}}\.\d{{1,2}}\.\d{{2,4}})
    |(?P<number>{_NUMBER})
    |(?P<power>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)
    |(?P<open>[({{])|(?P<close>[)}}])
    |(?P<latex>\\[A-Za-z]+)
    |(?P<letters>{_LETTER}+(?:['-]{_LETTER}+)*)
    |(?P<line>\n[ \t]*(?=[&$\\( ]*(?:=|≈|\\approx)))
    """,
    re.VERBOSE,
)
_KINDS: dict[str, Kind] = {"open": "(", "close": ")", "percent": "%", "fraction": "fraction", "root": "root"}
_SIGNS = {"\\times": "*", "\\cdot": "*", "\\ast": "*", "\\div": "/", "**": "^"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a text, with its place."""

    kind: Kind
    text: str
    start: int
    end: int
    scale: int = 1
    """What a word behind a number multiplies it with: a million for ``million``."""
    unit: str = ""
    """The first word behind a number, or its currency sign."""


def tokens_of(text: str) -> list[Token]:
    """Return the pieces of a text; clauses are separated by pieces of the kind ``end``."""
    plain = _NO_STATEMENT.sub(lambda block: "\n" * len(block[0]), text[:MAX_TEXT_CHARS])
    plain = plain_text(plain)
    found: list[Token] = []
    at = 0
    while at < len(plain):
        match = _TOKEN.match(plain, at)
        if match is None:
            kind = _kind_of_sign(plain, at)
            if kind and (not found or found[-1].kind != "end"):
                found.append(Token(kind, plain[at], at, at + 1))
            at += 1
            continue
        if token := _token(match, plain, found):
            found.append(token)
        at = match.end()
    return found


def _kind_of_sign(plain: str, at: int) -> Kind | None:
    """Return what a sign without a meaning here is: the end of a clause, nothing, or something unknown at a number."""
    sign = plain[at]
    if (
        sign == ":"
        and re.fullmatch(r"\d\s+", plain[max(0, at - 2) : at])
        and plain[at + 1 : at + 4].lstrip(" ")[:1].isdigit()
    ):
        # a sign of division in many languages
        return "unknown"
    if sign in _ENDS:
        return "end"
    if unicodedata.category(sign).startswith("M"):
        return None
    touched = plain[max(0, at - 1) : at] + plain[at + 1 : at + 2]
    return "unknown" if any(letter.isalnum() for letter in touched) else "end"


def plain_text(text: str) -> str:
    """Return a text of the same length with one character for each meaning, and the digits of all scripts as 0 to 9."""
    text = text.translate(_PLAIN)
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)


def scaled_numbers(text: str) -> list[tuple[Fraction, Fraction]]:
    """Return the numbers with a word such as "million" behind them: their value, and half of their last digit."""
    found = []
    tokens = tokens_of(text)
    for token, word in pairwise(tokens):
        scale = scale_of(word.text) if token.kind == "number" and word.kind == "word" else 1
        for convention in CONVENTIONS if scale > 1 else ():
            if (value := number_value(token, convention)) is not None:
                found.append((value * scale, Fraction(51, 100) * scale / 10 ** decimals_of(token, convention)))
    return found


def number_value(token: Token, convention: Convention) -> Fraction | None:
    """Return the value of a number as written, without words behind it; None if this convention has no reading."""
    text = token.text.replace("{,}", ",").replace("\\,", " ").replace("'", "").replace(" ", "")
    if len(text) == 1 and not text.isdecimal():
        return Fraction(unicodedata.numeric(text)).limit_denominator(1000)
    point, group = (".", ",") if convention == "point" else (",", ".")
    whole, sign, decimals = text.partition(point)
    if group in decimals or point in decimals or (group in whole and not re.fullmatch(r"\d{1,3}(?:.\d{3})+", whole)):
        return None
    return Fraction(f"{whole.replace(group, '')}{'.' if sign else ''}{decimals}")


def decimals_of(token: Token, convention: Convention) -> int:
    """Return the number of decimals that a number is written with."""
    return len(token.text.partition("." if convention == "point" else ",")[2])


def _token(match: re.Match[str], plain: str, before: Sequence[Token]) -> Token | None:
    """Return the piece for a match; None for what has no meaning."""
    name, text, start, end = match.lastgroup or "", match[0], match.start(), match.end()
    if name in _KINDS:
        return Token(_KINDS[name], text, start, end)
    match name:
        case "skip" | "line":
            return None
        case "number":
            before_it = plain[start - 1 : start]
            is_part = bool(re.fullmatch(r"\d[.,]", plain[max(0, start - 2) : start])) or (
                before_it.isalpha() and before_it < FIRST_DENSE
            )
            return Token("unknown" if is_part else "number", text, start, end, unit=_currency(plain, start, end))
        case "sign":
            return Token("sign", _SIGNS.get(text, text), start, end)
        case "equal":
            return Token("=", "=" if text in ("=", "==") else "≈", start, end)
        case "power":
            if not before or before[-1].kind not in ("number", ")"):
                # of a unit such as m², or of a root
                return None if before and before[-1].kind == "word" else Token("unknown", text, start, end)
            return Token("sign", "^" + text.translate(_SUPERSCRIPTS), start, end)
        case "word":
            return Token("word", text[text.index("{") + 1 : -1].strip(), start, end)
        case "letters":
            return _word(text, start, end, plain, before)
    return Token("unknown", text, start, end)


def _word(text: str, start: int, end: int, plain: str, before: Sequence[Token]) -> Token:
    """Return a word, a sign of multiplication, or a variable."""
    last = before[-1] if before else None
    rest = plain[end:].lstrip(" $€£\\(")
    if text in ("x", "X", "х") and last and last.kind in ("number", ")", "%", "word") and rest[:1].isdecimal():
        return Token("sign", "*", start, end)
    names = last is None or last.kind in ("word", "end") or last.end < start
    is_variable = len(text) == 1 and text.isascii() and text not in ("a", "A", "I")
    if is_variable and names and re.match(r" +[^\W\d_]{2}", plain[end:]):
        is_variable = False
    is_glued = last is not None and last.kind == "number" and last.end == start and text[0] < FIRST_DENSE
    is_unit = not is_glued or text in _UNITS_WITHOUT_BLANK
    is_unknown = (is_variable and not (is_glued and is_unit)) or not is_unit or plain.startswith("(", end)
    return Token("unknown" if is_unknown else "word", text, start, end)


def _currency(plain: str, start: int, end: int) -> str:
    """Return the currency sign before or behind a number."""
    before, behind = plain[max(0, start - 4) : start].rstrip(" \\")[-1:], plain[end : end + 4].lstrip()[:1]
    return next((sign for sign in (before, behind) if sign and sign in _CURRENCIES), "")


def scale_of(word: str, *, with_large: bool = False) -> int:
    """Return what a word such as "million" multiplies with; 1 for other words.

    Args:
        word: the word, or a run of a script without blanks that begins with it.
        with_large: whether words for a thousand millions count, which have two meanings.
    """
    known = _scales(with_large=with_large)
    # scripts without blanks write the unit behind it
    lengths = range(len(word), 0, -1) if word[:1] >= FIRST_DENSE else (len(word),)
    return next((known[part] for end in lengths if (part := word[:end].casefold().rstrip(".")) in known), 1)


@cache
def _scales(*, with_large: bool) -> dict[str, int]:
    table = tomllib.loads(resources.files("qwendesk.agents").joinpath("equation_words.toml").read_text("utf-8"))
    powers = [*table["scales"].items(), *(table["large_scales"].items() if with_large else ())]
    return {word: 10 ** int(power) for power, words in powers for word in words}


@cache
def equation_words() -> dict[str, frozenset[str]]:
    """Return the words around equations by what they mean."""
    table = tomllib.loads(resources.files("qwendesk.agents").joinpath("equation_words.toml").read_text("utf-8"))
    return {name: frozenset(words) for name, words in table.items() if isinstance(words, list)}
