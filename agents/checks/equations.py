"""Find the equations that a text states, such as ``12 eggs × 3 = 36 eggs``, and evaluate their sides exactly.

A text is read into numbers, signs, words and ends of clauses, in the signs of LaTeX, Markdown and plain text. Positions
are those of the text, so that a number can be replaced where it stands.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Literal

from qwendesk.tools.number_formats import Convention

Kind = Literal["number", "sign", "(", ")", "=", "%", "fraction", "root", "word", "gap", "unknown", "end"]
MAX_TEXT_CHARS = 20_000
"""Length of the part of a text that is searched."""
_MAX_CLAUSE_TOKENS = 400
_MAX_RUN_TOKENS = 80
"""Maximum number of pieces of one side."""
_MAX_UNIT_WORDS = 5
CONVENTIONS: tuple[Convention, Convention] = ("point", "comma")
_NEAR_WORDS = 3
"""Number of words before an expression that may belong to it."""
_MAX_POWER_BITS = 4000
FIRST_DENSE = "\u2e80"
"""First letter of the scripts that are written without blanks."""
_NO_STATEMENT = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`|https?://\S+|\"[^\"\n]{1,300}\"|“[^”\n]{1,300}”|„[^“”\n]{1,300}[“”]|"
    r"«[^»\n]{1,300}»|「[^」\n]{1,300}」",
    re.DOTALL,
)
"""Code, addresses and quotations, which are no statements of the text about numbers."""
_CURRENCIES = "$€£¥₹₩₽฿"
_UNITS_WITHOUT_BLANK = frozenset(
    re.findall(r"\w+", "kg g mg cm mm m km ml l L h s min GB MB KB TB mph lb lbs oz ft yd hr hrs px W kW V th st nd rd")
)
"""Units that are written right behind a number; other letters there are variables or digits of another base."""
_ENDS = frozenset('.,;:!?…。、！？；："“”„‘«»「」『』|<>~—•\n\r\t#@')
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


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an equation."""

    tokens: tuple[Token, ...]
    """Numbers and signs, without units."""

    @property
    def start(self) -> int:
        """Position of its first character."""
        return self.tokens[0].start

    @property
    def end(self) -> int:
        """Position behind its last character."""
        return self.tokens[-1].end

    @property
    def number(self) -> Token | None:
        """Its number, if it is a single one."""
        numbers = [token for token in self.tokens if token.kind == "number"]
        only = all(token.kind in ("number", "(", ")", "%") or token.text == "-" for token in self.tokens)
        return numbers[0] if only and len(numbers) == 1 else None

    @property
    def is_negative(self) -> bool:
        """Whether a minus sign stands before it."""
        return any(token.text == "-" for token in self.tokens if token.kind == "sign")

    @property
    def calculates(self) -> bool:
        """Whether it holds something to calculate."""
        inner = self.tokens[1:] if self.tokens[0].text in ("-", "+") else self.tokens
        return any(token.kind in ("sign", "fraction", "root") for token in inner) or len(self.numbers) > 1

    @property
    def numbers(self) -> tuple[Token, ...]:
        """Its numbers."""
        return tuple(token for token in self.tokens if token.kind == "number")


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides that a text says are equal."""

    left: Side
    right: Side
    loose: bool
    """Whether the text says that they are about equal."""
    doubtful: bool = False
    """Whether something before or in it may change its meaning, so that a difference proves nothing."""


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


def find_equations(text: str) -> list[Equation]:
    """Return the equations of a text, in its order; a chain gives one for each sign."""
    return [equation for run in _runs(tokens_of(text)) for equation in _equations_of(run)]


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


def value_of(
    side: Side,
    convention: Convention,
    values: dict[int, Fraction] | None = None,
    *,
    percent: bool = True,
    scaled: bool = True,
) -> Fraction | None:
    """Return the exact value of a side; None if it has none in this convention.

    Args:
        side: the side.
        convention: how its numbers are read.
        values: values of numbers by their position, which replace those that are written.
        percent: whether a percent sign divides by a hundred; otherwise it is left out.
        scaled: whether words such as ``million`` count.
    """
    try:
        parser = _Parser(side.tokens, convention, values or {}, percent, scaled)
        value = parser.sum()
        return value if parser.at == len(side.tokens) else None
    except (_UnreadableError, ZeroDivisionError, OverflowError, RecursionError):
        return None


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


class _UnreadableError(ValueError):
    """The tokens are no expression."""


class _Parser:
    """Evaluates tokens by recursive descent."""

    def __init__(
        self, tokens: Sequence[Token], convention: Convention, values: dict[int, Fraction], percent: bool, scaled: bool
    ) -> None:
        self.tokens = tokens
        self.at = 0
        self._convention: Convention = convention
        self._values = values
        self._percent = percent
        self._scaled = scaled

    def sum(self) -> Fraction:
        """Return the value of a sum."""
        value = self._product()
        while (sign := self._peek()) in ("+", "-"):
            self.at += 1
            right = self._product()
            value = value + right if sign == "+" else value - right
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while True:
            sign = self._peek()
            if sign in ("*", "/"):
                self.at += 1
                right = self._signed()
                value = value * right if sign == "*" else value / right
            elif sign in ("(", "fraction", "root") and self.tokens[self.at - 1].kind in ("number", ")"):
                value *= self._power()
            else:
                return value

    def _signed(self) -> Fraction:
        sign = self._peek()
        if sign in ("-", "+"):
            self.at += 1
            value = self._signed()
            return -value if sign == "-" else value
        return self._power()

    def _power(self) -> Fraction:
        value = self._atom()
        while self._peek() == "%":
            self.at += 1
            value = value / 100 if self._percent else value
        if self._peek() != "^":
            return value
        self.at += 1
        return _raised(value, self._signed())

    def _atom(self) -> Fraction:
        kind = self._peek()
        if kind is None:
            raise _UnreadableError
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "number":
            value = self._values.get(token.start)
            if value is None:
                value = number_value(token, self._convention)
            if value is None:
                raise _UnreadableError
            return value * token.scale if self._scaled else value
        if token.kind == "(":
            value = self.sum()
            if self._peek() != ")":
                raise _UnreadableError
            self.at += 1
            return value
        if token.kind == "fraction":
            return self._atom() / self._atom()
        if token.kind == "root":
            value = self._atom()
            if value < 0:
                raise _UnreadableError
            return _raised(value, Fraction(1, 2))
        raise _UnreadableError

    def _peek(self) -> str | None:
        if self.at >= len(self.tokens):
            return None
        token = self.tokens[self.at]
        return token.text if token.kind == "sign" else token.kind


def _raised(value: Fraction, power: Fraction) -> Fraction:
    if power.denominator == 1:
        bits = max(value.numerator.bit_length(), value.denominator.bit_length(), 1)
        if abs(power.numerator) * bits > _MAX_POWER_BITS:
            raise _UnreadableError
        return value**power.numerator
    if value < 0 or abs(power) > 1000:
        raise _UnreadableError
    found = float(value) ** float(power)
    if found in (float("inf"), float("-inf")) or found != found:
        raise _UnreadableError
    return Fraction(found).limit_denominator(10**15)


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


def _runs(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the clauses that have an equals sign."""
    run: list[Token] = []
    for token in [*tokens, Token("end", "", 0, 0)]:
        if token.kind != "end":
            run.append(token)
            continue
        if len(run) <= _MAX_CLAUSE_TOKENS and any(one.kind == "=" for one in run):
            yield _without_units(_expanded(run))
        run = []


def _expanded(run: Sequence[Token]) -> list[Token]:
    """Split a raised digit into its sign and its number, and drop stars that only emphasise."""
    result: list[Token] = []
    for index, token in enumerate(run):
        if token.kind == "sign" and token.text[0] == "^" and len(token.text) > 1:
            result += [replace(token, text="^"), Token("number", token.text[1:], token.start, token.end)]
            continue
        if token.text == "*" and token.kind == "sign":
            follows = run[index + 1] if index + 1 < len(run) else None
            if not result or result[-1].kind in ("=", "sign", "(") or follows is None or follows.kind in ("=", ")"):
                continue
        result.append(token)
    # a list's mark
    return result[1:] if len(result) > 1 and result[0].text == "-" and result[1].start > result[0].end else result


def _without_units(run: Sequence[Token]) -> list[Token]:
    """Drop the units behind numbers, and join other words to gaps."""
    result: list[Token] = []
    index = 0
    while index < len(run):
        token = run[index]
        if token.kind != "word":
            result.append(token)
            index += 1
            continue
        end = index
        while end < len(run) and run[end].kind == "word":
            end += 1
        words = run[index:end]
        follows = run[end] if end < len(run) else None
        result = _with_words(result, words, follows)
        index = end
    return result


def _with_words(before: list[Token], words: Sequence[Token], follows: Token | None) -> list[Token]:
    last = before[-1] if before else None
    is_operand = last is not None and last.kind in ("number", ")", "%")
    text = " ".join(word.text for word in words).casefold()
    if is_operand and last is not None:
        if last.kind == "number":
            before = [*before[:-1], _with_unit(last, words)]
        ends = follows is None or follows.kind == ")" or (follows.kind == "=" and len(words) <= _MAX_UNIT_WORDS)
        if ends or (follows is not None and follows.kind == "sign" and len(words) <= _MAX_UNIT_WORDS):
            return before
        if text in equation_words()["of"] and (last.kind == "%" or _ends_with_fraction(before)):
            return [*before, Token("sign", "*", words[0].start, words[-1].end)]
    elif last is not None and last.text == "/" and len(before) > 1 and before[-2].kind in ("number", ")"):
        # a unit such as $5/hour
        return before[:-1] if follows is None or follows.kind in ("=", ")", "sign") else [*before, _gap(words)]
    return [*before, _gap(words)]


def _with_unit(number: Token, words: Sequence[Token]) -> Token:
    scale = scale_of(words[0].text)
    units = [word.text.casefold() for word in words[scale > 1 :]]
    return replace(number, scale=scale, unit=number.unit or (units[0] if units else ""))


def _gap(words: Sequence[Token]) -> Token:
    return Token("gap", " ".join(word.text for word in words), words[0].start, words[-1].end)


def _ends_with_fraction(tokens: Sequence[Token]) -> bool:
    return [token.text if token.kind == "sign" else token.kind for token in tokens[-3:]] == ["number", "/", "number"]


def _equations_of(run: Sequence[Token]) -> Iterator[Equation]:
    signs = [index for index, token in enumerate(run) if token.kind == "="]
    starts, ends = [0, *(sign + 1 for sign in signs)], [*signs, len(run)]
    parts = [list(run[start:end])[:_MAX_RUN_TOKENS] for start, end in zip(starts, ends, strict=True)]
    for number, sign in enumerate(signs):
        left, right = _suffix(parts[number]), _prefix(parts[number + 1])
        if left is None or right is None or ends[number] - starts[number] > _MAX_RUN_TOKENS:
            continue
        side, doubtful = left
        yield Equation(side, right, run[sign].text == "≈", doubtful or _adds_percent(side))


def _suffix(part: Sequence[Token]) -> tuple[Side, bool] | None:
    """Return the longest expression at the end of a part, and whether its beginning is doubtful."""
    for start in range(len(part)):
        if start and not _may_begin(part, start):
            continue
        if _is_expression(part[start:]):
            return Side(tuple(part[start:])), start > 0 and _is_doubtful(part, start)
    return None


def _may_begin(part: Sequence[Token], start: int) -> bool:
    token, before = part[start], part[start - 1]
    if token.kind not in ("number", "(", "fraction", "root"):
        return False
    return before.kind in ("gap", "(", ")") or (before.kind == "number" and token.kind == "number")


def _is_doubtful(part: Sequence[Token], start: int) -> bool:
    before = part[start - 1]
    if before.kind == "(":
        # what stands before the opening bracket is another expression
        return False
    if before.kind == "gap":
        ahead = part[start - 2] if start > 1 else None
        return (ahead is not None and ahead.kind in ("sign", "%", "unknown")) or changes_meaning(before.text)
    return True


def changes_meaning(words: str) -> bool:
    """Return whether words before an expression may be a part of it, such as ``half of``."""
    table = equation_words()
    last = re.findall(r"[^\W\d_]+", words.casefold())[-_NEAR_WORDS:]
    if not last or last[-1] in table["copulas"]:
        return False
    return not table["doubtful"].isdisjoint(last) or any(part in "".join(last) for part in table["doubtful_parts"])


def _prefix(part: Sequence[Token]) -> Side | None:
    """Return the longest expression at the beginning of a part; None if what follows may belong to it."""
    for end in range(len(part), 0, -1):
        if part[end - 1].kind in ("sign", "gap", "unknown", "(") or not _is_expression(part[:end]):
            continue
        follows = part[end] if end < len(part) else None
        return None if follows is not None and follows.kind in ("sign", "unknown") else Side(tuple(part[:end]))
    return None


def _is_expression(tokens: Sequence[Token]) -> bool:
    if not tokens or any(token.kind in ("gap", "unknown", "word", "=") for token in tokens):
        return False
    side = Side(tuple(tokens))
    return bool(side.numbers) and any(value_of(side, convention) is not None for convention in CONVENTIONS)


def _adds_percent(side: Side) -> bool:
    """Return whether a percentage is added, which may mean a share of what stands before it."""
    tokens = side.tokens
    return any(
        token.kind == "%" and index > 1 and tokens[index - 2].text in ("+", "-") for index, token in enumerate(tokens)
    )


def scale_of(word: str) -> int:
    """Return what a word such as "million" multiplies with; 1 for other words."""
    known = _scales()
    # scripts without blanks write the unit behind it
    lengths = range(len(word), 0, -1) if word[:1] >= FIRST_DENSE else (len(word),)
    return next((known[part] for end in lengths if (part := word[:end].casefold().rstrip(".")) in known), 1)


@cache
def _scales() -> dict[str, int]:
    table = tomllib.loads(resources.files("qwendesk.agents").joinpath("equation_words.toml").read_text("utf-8"))
    return {word: 10 ** int(power) for power, words in table["scales"].items() for word in words}


@cache
def equation_words() -> dict[str, frozenset[str]]:
    """Return the words around equations by what they mean."""
    table = tomllib.loads(resources.files("qwendesk.agents").joinpath("equation_words.toml").read_text("utf-8"))
    return {name: frozenset(words) for name, words in table.items() if isinstance(words, list)}
