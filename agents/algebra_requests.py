"""Find plain requests for algebra in a message, such as "Find the derivative of x³ + 2x and its critical points".

A request counts only if each word of the message is known: one that asks for something else besides is left to a model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwendesk.agents.algebra_words import fillers, is_ambiguous, operation_cues
from qwendesk.tools.algebra import Operation
from qwendesk.tools.notation import FUNCTIONS
from qwendesk.tools.number_formats import plain_digits

MAX_REQUEST_CHARS = 400
_FUNCTION_NAMES = "|".join(
    sorted({*FUNCTIONS, "ln", "lg", "log10", "arcsin", "arccos", "arctan", "mod"}, key=len, reverse=True)
)
_VALUE = r"[-+−]?\s?(?:∞|oo|infinity|infinito|unendlich|l'infini|infinity|pi|π|\d+(?:[.,]\d+)?)"
_APPROACHES = re.compile(
    rf"(?:\b(?:as|when|for|für|wenn|quand|lorsque|cuando|quando|per|als|voor|gdy|dla|при|якщо|для)\s+)?"
    rf"(?<![^\W\d_])([a-z])\s*(?:->|→|\\to\b|⟶|approaches|goes to|tends to|tending to|gegen|geht gegen|tend vers|"
    rf"tiende a|tende a|tende para|nadert|gaat naar|dąży do|стремится к|стремящемся к|прямує до|趋于|趋近于|趋向|が)"
    rf"\s*({_VALUE})(?:\s*(?:时|に近づくとき))?",
    re.IGNORECASE,
)
_UNDER_LIMIT = re.compile(
    r"\blim(?:it)?\s*_?\s*[{(]?\s*([a-z]\s*(?:->|→|\\to)\s*" + _VALUE + r")\s*[})]?", re.IGNORECASE
)
_BOUNDS = re.compile(
    rf"(?:\b(?:from|between|von|zwischen|de|entre|desde|da|van|tussen|od|от|від)\s+(?:(?:x|t)\s*=\s*)?({_VALUE})\s+"
    rf"(?:to|and|bis|und|à|a|et|y|e|hasta|até|tot|en|do|до|и)\s+(?:(?:x|t)\s*=\s*)?({_VALUE})(?![\w^])|"
    rf"从\s*({_VALUE})\s*到\s*({_VALUE})|∫\s*_?\s*\{{?({_VALUE})\}}?\s*\^\s*\{{?({_VALUE})\}}?)",
    re.IGNORECASE,
)
_VARIABLE = re.compile(
    r"(?:\b(?:with respect to|nach|par rapport à|(?:con )?respecto (?:a|de)|em relação a|rispetto a|naar|względem|по|"
    r"for|für|pour|para|per|voor|dla|для)\s+|关于\s*|对\s*)([a-z])(?![\w(^'])(?!\s*[=+*/^→-])",
    re.IGNORECASE,
)
_AT = re.compile(
    rf"(?:\b(?:at|bei|an der stelle|au point|en el punto|en|em|in|bij|w punkcie|в точке|при)\s+|在\s*)"
    rf"([a-z]\s*=\s*{_VALUE})(?![\w^(*/+])",
    re.IGNORECASE,
)
_DIFFERENTIAL = re.compile(r"(?<![^\W\d_])d([a-z])(?![^\W\d_])")
_PRIME = re.compile(r"(?<![\w'])(?:[a-z]'\s*\(\s*[a-z]\s*\)|d[a-z]\s*/\s*d[a-z]|y')(?!\s*=)", re.IGNORECASE)
_ASKS = re.compile(
    r"=|\b(?:calculate|compute|evaluate|work out|how much|add|subtract|divide|multiply|berechne|rechne|ausrechnen|"
    r"wie ?viel|"
    r"calcul|combien|cuánto|cuanto|halla|quanto|calcola|hoeveel|bereken|oblicz|ile|сколько|вычисли|посчитай|обчисли|скільки|"
    r"hesapla|kaç|tính|berapa|hitung)|计算|多少|いくつ|計算|얼마|계산|احسب|كم|कितना|गणना",
    re.IGNORECASE,
)
"""Signs and words that ask for a calculation: without one, ``24/7`` and ``4 x 4`` are names."""
_PERIODIC = re.compile(r"\b(?:sin|cos|tan|cot|sec|csc)\b", re.IGNORECASE)
_WORDED = {
    re.compile(
        r"(?:square root of|quadratwurzel (?:aus|von)|wurzel aus|racine carrée de|raíz cuadrada de|raiz quadrada de|"
        r"radice quadrata di|vierkantswortel van|pierwiastek z|квадратный корень из|корень из)\s+(\d+(?:[.,]\d+)?)",
        re.IGNORECASE,
    ): r"sqrt(\1)",
    re.compile(r"(\d+)\s*(?:的平方根|の平方根|의 제곱근)"): r"sqrt(\1)",
    re.compile(
        r"(\d+(?:[.,]\d+)?)\s+(?:to the power of|raised to|hoch|puissance|elevado a|elevato a|tot de macht|w potędze|"
        r"в степени)\s+(\d+)",
        re.IGNORECASE,
    ): r"\1^\2",
}
"""Calculations in words, and how they are written in signs."""
_DERIVATION = re.compile(r"(?<![\w])d\s*/\s*d([a-z])(?![^\W\d_])")
_OF_PERCENT = r"[%‰]\s*(?:of|von|de|di|van|do|da|od|z|от|із|din|av)\b"
_MARKS = r"[\u0300-\u036f\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0962\u0963\u0e31-\u0e4e]"
"""Vowel signs and accents, which are no letters of their own."""
_PIECE = re.compile(
    rf"(?P<math>{_OF_PERCENT}|\\(?:d?frac|sqrt|cdot|times|left|right|div)(?![a-z])|(?:{_FUNCTION_NAMES})(?![^\W\d_])|"
    rf"\d+(?:[.,'’ \u00a0\u202f]\d+)*!?|(?<![^\W\d_])[a-zθπ]'?(?![^\W\d_])|(?<=\d)[a-z](?![^\W\d_])|"
    rf"[-+*/^=()\[\]{{}}|√∞×·÷−–½¼¾⅓⅔%]|\)!)|(?P<word>[^\W\d_](?:[^\W\d_]|{_MARKS})*(?:['’][^\W\d_]+)*)|(?P<space>[\s$]+)|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_DEFINITION = re.compile(r"^(?P<name>[a-z]\s*\(\s*(?P<argument>[a-z])\s*\)|y)\s*=(?!=)\s*", re.IGNORECASE)
_TIMES = re.compile(r"(?<=[\d)])\s+[xX]\s+(?=[\d(])")
_CALCULATES = re.compile(r"[-+*/^√×·÷−–%!(]|\\")
_HAS_FORMULA = re.compile(r"\d|[a-zθ]\s*[-+*/^²³]|\(\s*[a-z]\s*\)|∫|√", re.IGNORECASE)
_LATEX = {"\\(": " ", "\\)": " ", "\\[": " ", "\\]": " ", "\\int": "∫", "\\lim": "lim", "$": " "}
_UNKNOWN = re.compile(r"(?<![a-z])[a-df-hj-z](?![a-z])", re.IGNORECASE)
_ORDER: tuple[Operation, ...] = (
    "limit", "simplify", "expand", "factor", "derivative", "integral", "critical points",
)  # fmt: skip
_RAISED = re.compile(r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ]+")
_RAISED_SIGNS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_ASSIGNED = re.compile(rf"[a-z]\s*=\s*{_VALUE}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AlgebraRequest:
    """One call of algebra that a message asks for."""

    operation: Operation
    expression: str
    variable: str = "x"
    name: str = ""
    """How the message names the function, such as ``f(x)``."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """The parts of a message."""

    expressions: tuple[str, ...]
    words: str
    """The text without its expressions."""


def algebra_requests(text: str) -> list[AlgebraRequest]:
    """Return the calls that a message plainly asks for, in the order of their answers; none if it asks for more."""
    if len(text) > MAX_REQUEST_CHARS or not _HAS_FORMULA.search(plain_digits(text)):
        return []
    plain = _RAISED.sub(_power, plain_digits(text))
    for latex, sign in _LATEX.items():
        plain = plain.replace(latex, sign)
    for worded, signs in _WORDED.items():
        plain = worded.sub(signs, plain)
    rest, details = _details(plain)
    reading = _read(rest)
    operations, left_over = _operations(reading.words)
    if details.limit and "limit" not in operations:
        return []
    solves = not {"solve", "roots", "critical points"}.isdisjoint(operations) or not operations
    if _PERIODIC.search(rest) and solves and any("=" in one or operations for one in reading.expressions):
        # all of infinitely many solutions are asked for
        return []
    if "second" in reading.words.casefold() or left_over or not reading.expressions:
        return []
    return _requests(reading.expressions, operations, details)


@dataclass(frozen=True, slots=True)
class _Details:
    limit: str = ""
    bounds: str = ""
    variable: str = ""
    at: str = ""
    derives: bool = False
    asks: bool = False
    is_question: bool = False


def _details(text: str) -> tuple[str, _Details]:
    """Return the text without points, bounds and variables, and what they are."""
    whole, limit, bounds, variable, at = text, "", "", "", ""
    derives = False
    if found := _UNDER_LIMIT.search(text):
        limit, text = found[1], f"{text[: found.start()]} lim {text[found.end() :]}"
    elif found := _APPROACHES.search(text):
        limit, text = f"{found[1]}->{found[2]}", f"{text[: found.start()]} ; {text[found.end() :]}"
    if found := _BOUNDS.search(text):
        low, high = [group for group in found.groups() if group]
        sign = " ∫ " if "∫" in found[0] else " ; "
        bounds, text = f"{low}..{high}", f"{text[: found.start()]}{sign}{text[found.end() :]}"
    if found := _AT.search(text):
        at, text = found[1], f"{text[: found.start()]} ; {text[found.end() :]}"
    if found := _PRIME.search(text):
        derives, text = True, f"{text[: found.start()]} ; {text[found.end() :]}"
    elif found := _DERIVATION.search(text):
        variable, derives, text = found[1], True, f"{text[: found.start()]} {text[found.end() :]}"
    if found := _VARIABLE.search(text):
        variable, text = found[1], f"{text[: found.start()]} ; {text[found.end() :]}"
    if (found := _DIFFERENTIAL.search(text)) and operation_cues()["integral"].search(text):
        variable, text = found[1], f"{text[: found.start()]} ; {text[found.end() :]}"
    limit = re.sub(r"\s*(?:→|\\to|⟶|->)\s*", "->", limit).replace("−", "-")
    return text, _Details(
        _infinite(limit), _infinite(bounds), variable, at, derives, bool(_ASKS.search(whole)), "?" in whole
    )


def _infinite(text: str) -> str:
    return re.sub(r"∞|infinity|infinito|unendlich|l'infini", "oo", text, flags=re.IGNORECASE).replace("−", "-")


def _read(text: str) -> _Reading:
    """Split a text into expressions and words."""
    pieces = [(found.lastgroup or "", found[0]) for found in _PIECE.finditer(text)]
    expressions: list[str] = []
    words: list[str] = []
    run: list[str] = []

    def close(before_word: bool) -> None:
        expression = "".join(run).strip()
        run.clear()
        # a letter before or behind an expression is a word: "y", "e", "a"
        while before_word and (found := re.search(r"(?<=[\w)])\s+([a-z])$", expression, re.IGNORECASE)):
            expression = expression[: found.start()]
            words.append(found[1])
        if found := re.match(r"([a-z])\s+(?=[\w(√|])", expression, re.IGNORECASE):
            words.append(found[1])
            expression = expression[found.end() :]
        expression = expression.strip().rstrip("=").strip()
        if len(expression) == 1 and expression.isalpha():
            words.append("" if expression.casefold() in "xyzt" else expression)
        elif expression and expression not in ("-", "–", "(", ")", "*"):
            expressions.append(expression)

    for kind, piece in pieces:
        if kind in ("math", "space"):
            run.append(piece)
            continue
        close(kind == "word")
        words.append(piece if kind == "word" or piece == "∫" else " ")
    close(False)
    return _Reading(tuple(expressions), " ".join(words))


def _operations(words: str) -> tuple[list[str], str]:
    """Return the operations that words ask for, and the words that are not known."""
    found: list[str] = []
    rest = words
    # words such as the Chinese one for "solve" are parts of others
    for name in (
        "critical points",
        *(name for name in operation_cues() if name not in ("critical points", "solve")),
        "solve",
    ):
        pattern = operation_cues()[name]
        if pattern.search(rest if name == "critical points" else words):
            found.append(name)
        rest = pattern.sub(" ", rest)
    found = [name for name in found if not is_ambiguous(name, words)]
    return found, re.sub(r"[\W\d_]+", "", fillers().sub(" ", rest))


def _requests(expressions: tuple[str, ...], operations: list[str], details: _Details) -> list[AlgebraRequest]:
    wanted = {name for name in operations if name not in ("solve", "roots")}
    if details.derives or "critical points" in wanted:
        wanted.add("derivative")
    if not wanted:
        return _equations_or_values(expressions, operations, asks=details.asks, is_question=details.is_question)
    definition = _DEFINITION.match(expressions[0])
    body = _plain(expressions[0][definition.end() :] if definition else expressions[0])
    needed = {"limit": details.limit, "integral": details.bounds, "derivative": details.at}
    is_unclear = any(place and operation not in wanted for operation, place in needed.items())
    if not body or "=" in body or len(expressions) > 1 or is_unclear or ("limit" in wanted and not details.limit):
        return []
    variable = details.variable or (definition and definition["argument"]) or _only_letter(body) or "x"
    name = re.sub(r"\s+", "", definition["name"]) if definition else ""
    points = {"limit": details.limit, "derivative": re.sub(r"\s+", "", details.at)}
    if details.bounds:
        points["integral"] = f"{variable}={details.bounds}"
    return [
        AlgebraRequest(operation, body, points.get(operation) or variable, name)
        for operation in _ORDER
        if operation in wanted
    ]


def _equations_or_values(
    expressions: tuple[str, ...], operations: list[str], *, asks: bool, is_question: bool
) -> list[AlgebraRequest]:
    """Return the request to solve all equations, or to work out a bare expression."""
    asks_roots, asks_solution = "roots" in operations, "solve" in operations
    if all("=" in one for one in expressions):
        letters = {letter for one in expressions for letter in _UNKNOWN.findall(one)}
        if not letters or any(one.count("=") > 1 or _ASSIGNED.fullmatch(one) for one in expressions):
            return []
        unknown = ", ".join(sorted(letters)) if len(letters) > 1 else next(iter(letters))
        if len(letters) > len(expressions):
            return []
        return [AlgebraRequest("solve", "; ".join(map(_plain, expressions)), unknown)]
    if len(expressions) != 1 or "=" in expressions[0]:
        return []
    if _TIMES.search(expressions[0]) and not asks and not is_question:
        return []
    body = _plain(expressions[0])
    has_letters = bool(re.search(r"(?<![a-z\\])[a-z](?![a-z])", body, re.IGNORECASE))
    if has_letters and asks_roots:
        return [AlgebraRequest("solve", f"{body} = 0")]
    if asks_solution or asks_roots:
        return []
    if has_letters:
        return [AlgebraRequest("simplify", body)] if "^" in body and "(" in body else []
    is_sum = re.search(r"\d", body) and _is_calculation(body, asks=asks)
    return [AlgebraRequest("evaluate", body)] if is_sum else []


def _is_calculation(text: str, *, asks: bool) -> bool:
    """Return whether a text is more than a number, a date, a range, a score or a telephone number.

    Args:
        text: the expression.
        asks: whether the message asks for a calculation by a verb or an equals sign.
    """
    inner = text.lstrip("-− ")
    if not _CALCULATES.search(inner) or re.fullmatch(r"\d+/\d+/\d+", inner):
        return False
    if not asks and (found := re.fullmatch(r"(\d+)( *)([-–/]) *(\d+)|\d+!", inner)):
        if found[3] == "/" and not int(found[4]):
            return True  # no date, range or name has a zero there
        is_range = found[1] is None or int(found[1]) <= int(found[4]) or found[0] == "10-4"
        return not is_range and bool(found[2] or found[3] != "/")
    if re.fullmatch(r"[\d\s().-]+%?", inner):
        return bool(re.fullmatch(r"[\d.]+(?:\s+-\s+[\d.]+)+|\d+-\d+", inner))
    return True


def _only_letter(body: str) -> str:
    """Return the only variable of an expression; empty if there are several."""
    letters = {letter for letter in _UNKNOWN.findall(body) if letter.isalpha()}
    return next(iter(letters)) if len(letters) == 1 else ""


def _power(found: re.Match[str]) -> str:
    digits = found[0].translate(_RAISED_SIGNS)
    return f"^{digits}" if digits.isalnum() else f"^({digits})"


def _plain(expression: str) -> str:
    return " ".join(_TIMES.sub(" * ", expression).replace("×", "*").split())
