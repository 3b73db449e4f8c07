"""Normalize the numbers of a mathematical expression, and distinguish decimal commas from separators."""

from __future__ import annotations

import re

from qwendesk.tools.number_formats import Reading, plain_digits, readings

_SEVERAL = frozenset({"gcd", "lcm", "min", "max", "binomial", "log", "mod"})
"""Functions that take more than one argument."""
_GLUED = re.compile(r"(?<=\d),(?=\d)")
_OTHER = re.compile(r"[;\n]|,(?!\d)|(?<!\d),")
_NAME = re.compile(r"([^\W\d]\w*)\s*\Z")
_LATEX = {"{,}": ",", "\\,": " ", "\\;": " ", "~": " "}


_SEPARATED = r"\d{1,3}(?:[.,'’\u00a0\u2009\u202f ]\d{3})+(?:[.,]\d+)?"
_TERM = rf"\(*(?:{_SEPARATED}|\d+(?:[.,]\d+)?)\)*"
_SUM = re.compile(rf"(?<![\w.,:/-]){_TERM}(?:\s*[-+*/×÷·−^]\s*{_TERM})+(?![\w/:-]|[.,]\d)")
_HAS_SEPARATED = re.compile(rf"(?<!\d){_SEPARATED}(?!\d)")
_MAX_MESSAGE_CHARS = 400


def separated_expression(text: str) -> str | None:
    """Return the only arithmetic expression with grouped or separated numbers in a message, such as ``12 500 + 3 000``.

    None if there is none, or several, or if a hyphen may denote a range (``1.000 - 2.000``).
    """
    if len(text) > _MAX_MESSAGE_CHARS:
        return None
    found = [match[0].strip() for match in _SUM.finditer(text)]
    if len(found) != 1 or not _HAS_SEPARATED.search(found[0]):
        return None
    is_sum = any(sign in found[0] for sign in "+*×÷·^/")
    return found[0] if is_sum or text.strip(" ?=.!") == found[0] else None


def expressions(operation: str, text: str, language: str | None, written: str | None) -> list[Reading]:
    """Return the readings of an expression: two if a number such as ``1.000`` is ambiguous.

    Args:
        operation: the operation; ``solve`` takes several equations.
        text: the expression.
        language: the person's language; None if unknown.
        written: the person's text; None: the expression itself.

    Raises:
        ValueError: a number or a comma cannot be read; the text gives the reason.
    """
    for latex, plain in _LATEX.items():
        text = text.replace(latex, plain)
    return readings(_with_separators(operation, plain_digits(text)), language, written)


def plain_point(operation: str, variable: str, language: str | None, written: str | None) -> str:
    """Return a variable with its point, such as ``x=1,5``, in plain digits; a range is returned unchanged.

    Raises:
        ValueError: the number cannot be read, or is ambiguous; the text gives the reason.
    """
    if operation == "integral" or not any(map(str.isdecimal, variable)):
        return variable
    found = readings(plain_digits(variable), language, written)
    if len(found) > 1:
        raise ValueError(
            f"{variable!r} has two readings: {' or '.join(one.taken for one in found)}. Write one of both."
        )
    return found[0].text


def _with_separators(operation: str, text: str) -> str:
    """Insert a space after each comma between two arguments, and replace commas between equations by semicolons."""
    return _GLUED.sub(lambda comma: _separator(operation, text, comma.start()), text)


def _separator(operation: str, text: str, at: int) -> str:
    """Return the replacement of a comma between two digits: unchanged within a number, or a separator."""
    opened = _innermost(text, at)
    if opened is None:
        listed = operation == "solve" and text.count("=") > 1 and not _OTHER.search(text)
        return "; " if listed else ","
    name = _NAME.search(text[:opened])
    inside = text[opened + 1 : _closing(text, opened)]
    if name is None or name[1].lower() not in _SEVERAL or _OTHER.search(inside):
        return ","
    if re.match(r"\d{3}(?!\d)", text[at + 1 :]):
        raise ValueError(f"'{name[1]}({inside})' may hold one number or two: write a blank behind a comma between two.")
    return ", "


def _innermost(text: str, at: int) -> int | None:
    """Return the position of the innermost open parenthesis around a position; None if there is none."""
    open_at: list[int] = []
    for place, sign in enumerate(text[:at]):
        if sign == "(":
            open_at.append(place)
        elif sign == ")" and open_at:
            open_at.pop()
    return open_at[-1] if open_at else None


def _closing(text: str, opened: int) -> int:
    """Return the position of the closing parenthesis; the end of the text if it is missing."""
    depth = 0
    for place in range(opened, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place
    return len(text)
