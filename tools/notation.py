"""Convert mathematical notation of people and models to Python expressions, restricted to an allowlist."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """sin cos tan cot sec csc asin acos atan acot sinh cosh tanh asinh acosh atanh exp log sqrt cbrt abs sign
        floor ceiling factorial binomial gamma gcd lcm Min Max Mod""",
    )
)
_ALIASES = {
    **{"ln": "log", "lg": "log10", "ceil": "ceiling", "arcsin": "asin", "arccos": "acos", "arctan": "atan"},
    **{"Abs": "abs", "min": "Min", "max": "Max", "mod": "Mod", "π": "pi", "√": "sqrt"},
    **{"∞": "oo", "inf": "oo", "infinity": "oo"},
}
CONSTANTS = frozenset({"pi", "oo", "e", "E", "i", "I"})
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SIGNS = str.maketrans(
    {"×": "*", "·": "*", "∙": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "$": " ", "[": "(", "]": ")"}
)
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|([^\W\d]\w*|[∞√])|(\*\*|%%|[-+*/()!,%]))")
_FRACTION = re.compile(r"\\d?frac\{([^{}]*)\}\{([^{}]*)\}")
_OF = re.compile(r"([%‰])\s*(?:of|von|de|di|van|do|da|od|z|от|із|din|av)\b")
_REMAINDER = re.compile(r"(?<=[\w)])(\s*)%(\s*)(?=[\w(√π])")
_MOD = re.compile(r"(?<=[\w)!])\s+mod\s+(?=[\w(√π])", re.IGNORECASE)
_MIXED = re.compile(r"(?<![\w.])(\d+) +(\d+)/(\d+)(?![\w./^])")
_PERCENTAGES = re.compile(r"[-+]?(?: ?\( [\d.]+ / 100 \)(?: [-+])?)+")
UNDEFINED = "The result is undefined (a division by zero)."
"""Why a result cannot be told."""
MAX_EXPRESSION_CHARS = 1000
"""Maximum length of an expression, in characters; parsing numbers takes quadratic time."""


class NotationError(ValueError):
    """The text is not readable mathematics; its message is for the model."""


def to_python(text: str, symbols: frozenset[str] = frozenset()) -> str:
    """Return the text as a Python expression of numbers, names, known functions and operators.

    Args:
        text: such as ``3x² - 2(x+1)``.
        symbols: names that are variables even if they usually mean something else, such as ``e``.

    Raises:
        NotationError: the text contains something that is not allowed; the message names it.
    """
    if len(text) > MAX_EXPRESSION_CHARS:
        raise NotationError(f"The expression has {len(text)} characters; at most {MAX_EXPRESSION_CHARS} can be read.")
    tokens = _factorials(_with_products(_percents(_tokens(_plain(text), symbols)), symbols))
    if not tokens:
        raise NotationError("The expression is empty.")
    return " ".join(tokens)


def _plain(text: str) -> str:
    """Replace superscripts, mathematical characters and common LaTeX by plain characters."""
    text = re.sub(r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ]+", lambda found: f"**({found[0].translate(_SUPERSCRIPTS)})", text)
    text = _FRACTION.sub(r"((\1)/(\2))", text).replace("\\cdot", "*").replace("\\times", "*")
    text = re.sub(r"\\(?:left|right)", "", text)
    text = re.sub(r"\^\{([^{}]*)\}", r"**(\1)", text)
    text = re.sub(r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)", text)
    text = re.sub(r"√\s*([\w.]+)", r"sqrt(\1)", re.sub(r"\\([A-Za-z]+)", r" \1 ", text))
    text = re.sub(r"\|([^|]+)\|", r"abs(\1)", _fractions(text))
    text = _OF.sub(lambda found: "/100*" if found[1] == "%" else "/1000*", text).replace("‰", "/1000")
    text = _MOD.sub(" %% ", _REMAINDER.sub(_remainder, text))
    return text.replace("^", "**").translate(_SIGNS)


def _fractions(text: str) -> str:
    """Replace mixed numbers and fraction characters by sums and quotients: ``2 1/2`` and ``2½`` by ``(2+1/2)``."""
    for sign in {sign for sign in text if unicodedata.category(sign) == "No" and unicodedata.decomposition(sign)}:
        value = Fraction(unicodedata.numeric(sign)).limit_denominator(1000)
        if value.denominator > 1:
            text = re.sub(rf"(?<=\d) ?{sign}", f" {value}", text).replace(sign, f"({value})")
    return _MIXED.sub(lambda found: f"({found[1]}+{found[2]}/{found[3]})" if _is_proper(found) else found[0], text)


def _is_proper(found: re.Match[str]) -> bool:
    return 0 < int(found[2]) < int(found[3])


def _remainder(found: re.Match[str]) -> str:
    """Return the remainder operator for a percent sign in ``17 % 5``; reject ambiguous text such as ``15% 200``."""
    if bool(found[1]) != bool(found[2]):
        raise NotationError("A percent sign stands before a value: write '15% of 200', or '17 mod 5' for a remainder.")
    return " %% "


def _tokens(text: str, symbols: frozenset[str]) -> list[str]:
    tokens: list[str] = []
    at, text = 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise NotationError(f"{text[at:].strip()[:1]!r} cannot be read in {text!r}; write plain mathematics.")
        number, name, sign = found.groups()
        after = text[found.end() :].lstrip()[:1]
        tokens += _names(name, symbols, called=after == "(") if name else [number or sign]
        at = found.end()
    return tokens


def _names(name: str, symbols: frozenset[str], called: bool) -> list[str]:
    """Return the tokens of a word: a variable, a constant, a function, or adjacent letters."""
    if name in symbols:
        return [name]
    name = _ALIASES.get(name, name)
    if name in FUNCTIONS or name == "log10":
        if not called:
            raise NotationError(f"{name!r} needs parentheses: {name}(x).")
        return [name]
    if "__" in name or name.startswith("_"):
        raise NotationError(f"{name!r} cannot be read; name variables by letters.")
    if name in CONSTANTS or len(name) == 1 or re.fullmatch(r"[^\W\d_]_?\d+", name):
        return [name]
    if len(name) == 2 and name.isalpha() and not called:
        return list(name)
    if called:
        raise NotationError(f"{name!r} is not a known function; there are: {', '.join(sorted(FUNCTIONS))}.")
    return [name]


def _with_products(tokens: list[str], symbols: frozenset[str]) -> list[str]:
    """Insert implicit multiplication signs, as in ``2x(x+1)``."""
    result: list[str] = []
    for token in tokens:
        if result and _is_number(token) and _is_number(result[-1]):
            raise NotationError(f"'{result[-1]} {token}' are two numbers side by side: write the sign between them.")
        starts = token == "(" or _is_value(token)
        if result and starts and (result[-1] in (")", "!") or _is_value(result[-1])):
            calls = token == "(" and _is_function(result[-1], symbols)
            result += [] if calls else ["*"]
        result.append(token)
    return result


def _percents(tokens: list[str]) -> list[str]:
    """Replace percentages by quotients, and ``mod`` by its operator; ``100 + 10%`` is 10% more than 100."""
    result: list[str] = []
    for at, token in enumerate(tokens):
        if token == "%%":
            result.append("%")
            continue
        if token != "%":
            result.append(token)
            continue
        start = _operand(result)
        share = ["(", *result[start:], "/", "100", ")"]
        whole = _level(result, start - 1)
        sign = result[start - 1] if start else ""
        ends = at + 1 == len(tokens) or tokens[at + 1] in ("+", "-", ")", ",")
        if sign in ("+", "-") and ends and start - 1 > whole and not _PERCENTAGES.fullmatch(_text(result[whole:start])):
            result[whole:] = ["(", *result[whole : start - 1], ")", "*", "(", "1", sign, *share, ")"]
        else:
            result[start:] = share
    return result


def _level(tokens: list[str], end: int) -> int:
    """Return the start of the sum that ends at a token: after the preceding open parenthesis or comma."""
    depth = 0
    for at in range(end - 1, -1, -1):
        depth += (tokens[at] == ")") - (tokens[at] == "(")
        if depth < 0 or (depth == 0 and tokens[at] == ","):
            return at + 1
    return 0


def _text(tokens: list[str]) -> str:
    return " ".join(tokens)


def _factorials(tokens: list[str]) -> list[str]:
    """Replace ``n!`` by ``factorial(n)``."""
    result: list[str] = []
    for token in tokens:
        if token != "!":
            result.append(token)
            continue
        start = _operand(result)
        result[start:] = ["factorial", "(", *result[start:], ")"]
    return result


def _operand(tokens: list[str]) -> int:
    """Return the start of the last operand of the tokens."""
    depth = 0
    for at in range(len(tokens) - 1, -1, -1):
        depth += (tokens[at] == ")") - (tokens[at] == "(")
        if depth == 0 and (tokens[at] == "(" or _is_value(tokens[at])):
            return at - 1 if tokens[at] == "(" and at and tokens[at - 1] in FUNCTIONS else at
    raise NotationError("'!' or '%' stands after nothing.")


def _is_number(token: str) -> bool:
    return token[0].isdigit() or token[0] == "."


def _is_value(token: str) -> bool:
    return token[0].isalnum() or token[0] == "."


def _is_function(token: str, symbols: frozenset[str]) -> bool:
    return (token in FUNCTIONS or token == "log10") and token not in symbols
