"""State results of algebra in the signs of mathematics, and in words of the person's language where signs do not do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

from babel import Locale, UnknownLocaleError
from babel.numbers import format_decimal

from qwendesk.agents.algebra_requests import AlgebraRequest
from qwendesk.agents.phrases import phrase
from qwendesk.tools.notation import FUNCTIONS

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_POINT = re.compile(r"(?P<name>\w+) = (?P<point>.+), value (?P<value>.+), (?P<kind>minimum|maximum|neither .+)")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_CONSTANTS = {"I": "i", "E": "e", "oo": "∞", "pi": "π"}
_READINGS = re.compile(r"If (\S+) means (\S+): (.+?)\.(?=\s|$)")
_GROUPED_FROM = 1_000_000
"""Value from which digits are grouped: shorter numbers can be copied as they are."""
_MAX_DENOMINATOR = 10_000
_WORDS = re.compile(r"[A-Za-z]{4,}")
_NAMES = re.compile(rf"\b(?:{'|'.join(sorted(FUNCTIONS | {'log10'}))})\b")


def stated_results(requests: Sequence[AlgebraRequest], results: Sequence[str], language: str | None) -> str | None:
    """Return the answer to requests; None if a result needs words that are not known here.

    Args:
        requests: the requests of a message.
        results: the tool's result of each.
        language: the person's language.
    """
    parts = [_stated(one, result, language) for one, result in zip(requests, results, strict=True)]
    if not parts or any(part is None for part in parts):
        return None
    first = requests[0]
    heading = f"{first.name} = {pretty(first.expression)}\n\n" if first.name else ""
    return heading + "\n\n".join(part for part in parts if part)


def _stated(request: AlgebraRequest, result: str, language: str | None) -> str | None:
    if found := _READINGS.findall(result):
        return "\n".join(f"- {written} = {meant} → **{value}**" for written, meant, value in found)
    if request.operation == "critical points":
        return _points(request, result, language)
    if request.operation == "solve":
        return _solutions(request, result, language)
    if _WORDS.search(_NAMES.sub("", result)):
        return None
    value, about = _value(result, language)
    if request.operation == "evaluate":
        left = " ".join(request.expression.replace("**", "^").replace("*", "·").split())
        sign = "≈" if about and not value else "="
        return f"{left} {sign} **{value or about}**" + (f" ≈ {about}" if value and about else "")
    shown = f"**{value or about}**" + (f" ≈ {about}" if value and about else "")
    body = pretty(request.expression)
    variable, _, place = request.variable.partition("=" if "=" in request.variable else "->")
    if request.operation == "derivative":
        return f"{_derivative_name(request.name, body, variable, place)} = {shown}"
    if request.operation == "integral":
        low, _, high = place.partition("..")
        bounds = f"[{pretty(low)}, {pretty(high)}] " if place else ""
        return f"∫ {bounds}({body}) d{variable} = {shown}"
    if request.operation == "limit":
        return f"lim ({variable} → {pretty(place)}) {body} = {shown}"
    return f"{body} = {shown}"


def _derivative_name(name: str, body: str, variable: str, place: str) -> str:
    if not name:
        return f"d/d{variable} ({body})" + (f" ({variable} = {place})" if place else "")
    derivative = name.replace("(", "'(") if "(" in name else f"{name}'"
    return derivative.replace(f"({variable})", f"({place})") if place else derivative


def _solutions(request: AlgebraRequest, result: str, language: str | None) -> str | None:
    lines = [pretty(one) for one in request.expression.split("; ")]
    if result == "no solution":
        return "\n".join([*lines, "", phrase("no_solution", language)])
    solutions = result.split("; or ")
    if any(_WORDS.search(one.replace("sqrt", "")) for one in solutions):
        return None
    shown = [", ".join(_equation(part, language) for part in re.split(r", (?=\w+ = )", one)) for one in solutions]
    return "\n".join([*lines, "", *(f"- **{one}**" if len(shown) > 1 else f"**{one}**" for one in shown)])


def _equation(text: str, language: str | None) -> str:
    name, _, right = text.partition(" = ")
    value, about = _value(right, language)
    return f"{name} {'=' if value else '≈'} {value or about}" + (f" ≈ {about}" if value and about else "")


def _points(request: AlgebraRequest, result: str, language: str | None) -> str | None:
    if result == "no critical points":
        return phrase("no_critical_points", language)
    lines = []
    for one in result.split("; or "):
        found = _POINT.fullmatch(one)
        if found is None:
            return None
        kind = found["kind"] if found["kind"] in ("minimum", "maximum") else ""
        value, about = _value(found["value"], language)
        place = re.sub(r"\(\w\)", f"({found['name']})", request.name) or "y"
        told = [
            f"{place} {'≈' if about else '='} {about or value}",
            *([phrase(f"local_{kind}", language)] if kind else []),
        ]
        at = _equation(f"{found['name']} = {found['point']}", language)
        lines.append(f"- **{at}** ({', '.join(told)})")
    return "\n".join([f"{phrase('critical_points', language)}:", "", *lines])


def _value(result: str, language: str | None) -> tuple[str, str]:
    """Return the exact and the decimal form of a result; the exact one is empty if it has too many digits."""
    exact, _, about = (part.strip() for part in result.partition("≈"))
    if about:
        about = format_number(Fraction(about), language)
    if re.fullmatch(r"-?\d+", exact):
        return format_number(Fraction(exact), language), ""
    fraction = re.fullmatch(r"-?\d+/(\d+)", exact)
    if fraction and int(fraction[1]) > _MAX_DENOMINATOR:
        return "", about
    if fraction and (decimal := _terminating(Fraction(exact))) is not None:
        return format_number(Fraction(decimal), language), ""
    # the tool's log is the natural one
    return re.sub(r"\blog\(", "ln(", pretty(exact)), about


def _terminating(value: Fraction) -> Fraction | None:
    """Return the value if at most three decimals write it."""
    return value if (value * 1000).denominator == 1 else None


def format_number(value: Fraction, language: str | None, decimals: int | None = None) -> str:
    """Return a number in the format of a language.

    Args:
        value: the number.
        language: the language; None for English.
        decimals: decimals; None for two of a large number and four of a small one, without final zeros.
    """
    locale = _locale(language)
    places = decimals if decimals is not None else 2 if abs(value) >= 100 else 4
    if 0 < abs(value) < Fraction(1, 1000):
        return f"{float(value):.4g}"
    pattern = f"{'#,##0' if abs(value) >= _GROUPED_FROM else '0'}{'.' + '#' * places if places else ''}"
    digits = len(str(abs(value.numerator) // value.denominator))
    with localcontext() as context:
        context.prec = digits + 20
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return format_decimal(exact, pattern, locale, decimal_quantization=True, numbering_system="latn")


def shown_result(result: str, language: str | None) -> str:
    """Return a tool's result in the format of a language, if it is one decimal number; otherwise as it is."""
    return format_number(Fraction(result), language) if re.fullmatch(r"-?\d+\.\d+", result) else result


def _locale(language: str | None) -> Locale:
    try:
        return Locale.parse((language or "en").replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def pretty(expression: str) -> str:
    """Return an expression in the signs of mathematics: ``3*x^2`` becomes ``3x²``."""
    text = re.sub(r"\s*(?<![*])\*(?![*])\s*", "*", expression).replace("**", "^")
    for name, sign in _CONSTANTS.items():
        text = re.sub(rf"(?<![A-Za-z]){name}(?![A-Za-z])", sign, text)
    text = re.sub(r"\^\((-?\d+)\)|\^(\d+)(?![\w.])", lambda found: (found[1] or found[2]).translate(_RAISED), text)
    text = re.sub(r"sqrt\((\w+)\)", r"√\1", text)
    text = re.sub(r"(?<=[\d)])\*(?=[A-Za-zπ(√])", "", text)
    return re.sub(r"(?<=[\w)²³⁴⁵⁶⁷⁸⁹⁰¹])\*(?=[\w(√])", "·", text)
