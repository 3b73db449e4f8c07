"""Turn mathematics as people and models write it into an expression of Python, through a list of what is allowed."""

from __future__ import annotations

import re

FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """sin cos tan cot sec csc asin acos atan acot sinh cosh tanh asinh acosh atanh exp log sqrt cbrt abs sign
        floor ceiling factorial binomial gamma gcd lcm Min Max""",
    )
)
_ALIASES = {
    **{"ln": "log", "lg": "log10", "ceil": "ceiling", "arcsin": "asin", "arccos": "acos", "arctan": "atan"},
    **{"Abs": "abs", "min": "Min", "max": "Max", "π": "pi", "∞": "oo", "inf": "oo", "infinity": "oo", "√": "sqrt"},
}
CONSTANTS = frozenset({"pi", "oo", "e", "E", "i", "I"})
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SIGNS = str.maketrans(
    {"×": "*", "·": "*", "∙": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "$": " ", "[": "(", "]": ")"}
)
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|([^\W\d]\w*|[∞√])|(\*\*|[-+*/()!,]))")
_FRACTION = re.compile(r"\\d?frac\{([^{}]*)\}\{([^{}]*)\}")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_LONGEST = 1000


class NotationError(ValueError):
    """The text is not mathematics that can be read; its message is for the model."""


def to_python(text: str, symbols: frozenset[str] = frozenset()) -> str:
    """Return the text as a Python expression of numbers, names, known functions and operators.

    Args:
        text: such as ``3x² - 2(x+1)``.
        symbols: names that are variables even where they usually mean something else, such as ``e``.

    Raises:
        NotationError: something in it is not allowed; the text says what.
    """
    if len(text) > _LONGEST:
        raise NotationError(f"The expression has {len(text)} characters; at most {_LONGEST} can be read.")
    tokens = _factorials(_with_products(_tokens(_plain(text), symbols), symbols))
    if not tokens:
        raise NotationError("The expression is empty.")
    return " ".join(tokens)


def _plain(text: str) -> str:
    """Write powers, signs and the commonest LaTeX in plain characters."""
    text = re.sub(r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ]+", lambda found: f"**({found[0].translate(_SUPERSCRIPTS)})", text)
    text = _FRACTION.sub(r"((\1)/(\2))", text).replace("\\cdot", "*").replace("\\times", "*")
    text = re.sub(r"\\(?:left|right)", "", text)
    text = re.sub(r"\^\{([^{}]*)\}", r"**(\1)", text)
    text = re.sub(r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)", text)
    text = re.sub(r"√\s*([\w.]+)", r"sqrt(\1)", re.sub(r"\\([A-Za-z]+)", r" \1 ", text))
    text = re.sub(r"\|([^|]+)\|", r"abs(\1)", re.sub(r"%(\s*of\b)?", lambda found: "/100" + "*" * bool(found[1]), text))
    if "(" not in text:
        text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    return text.replace("^", "**").translate(_SIGNS)


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
    """Read a word: a variable, a constant, a function, or letters written side by side."""
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
    """Put in the multiplications that are left out in writing, as in ``2x(x+1)``."""
    result: list[str] = []
    for token in tokens:
        starts = token == "(" or _is_value(token)
        if result and starts and (result[-1] in (")", "!") or _is_value(result[-1])):
            calls = token == "(" and _is_function(result[-1], symbols)
            result += [] if calls else ["*"]
        result.append(token)
    return result


def _factorials(tokens: list[str]) -> list[str]:
    """Write ``n!`` as ``factorial(n)``."""
    result: list[str] = []
    for token in tokens:
        if token != "!":
            result.append(token)
            continue
        start = _operand(result)
        result[start:] = ["factorial", "(", *result[start:], ")"]
    return result


def _operand(tokens: list[str]) -> int:
    """Return where the operand begins that the tokens end with."""
    depth = 0
    for at in range(len(tokens) - 1, -1, -1):
        depth += (tokens[at] == ")") - (tokens[at] == "(")
        if depth == 0 and (tokens[at] == "(" or _is_value(tokens[at])):
            return at - 1 if tokens[at] == "(" and at and tokens[at - 1] in FUNCTIONS else at
    raise NotationError("'!' stands after nothing.")


def _is_value(token: str) -> bool:
    return token[0].isalnum() or token[0] == "."


def _is_function(token: str, symbols: frozenset[str]) -> bool:
    return (token in FUNCTIONS or token == "log10") and token not in symbols
