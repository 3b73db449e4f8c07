"""The tool ``algebra``: exact mathematics with SymPy in a worker process, and the numbers of its expressions."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from langchain_core.tools import BaseTool, InjectedToolArg

from qwendesk.errors import ToolError
from qwendesk.tools.base import NOT_RERUN, TRUSTED, ClosableTool, ToolContext
from qwendesk.tools.json_worker import JsonWorker
from qwendesk.tools.notation import MAX_EXPRESSION_CHARS
from qwendesk.tools.number_formats import Reading, plain_digits, readings

Operation = Literal[
    "simplify", "solve", "derivative", "critical points", "integral", "factor", "expand", "limit", "evaluate"
]
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


class Algebra:
    """Computes in a worker process, which starts with the first request and ends after a timeout."""

    def __init__(self, time_limit: float = 5.0) -> None:
        self._time_limit = time_limit
        self.worker = JsonWorker("qwendesk.tools.algebra_worker")

    async def work(
        self,
        operation: str,
        expression: str,
        variable: str = "x",
        *,
        language: str | None = "en",
        written: str | None = None,
    ) -> str:
        """Return the result as text; if a number has two readings, the result of each.

        Args:
            operation: one of ``Operation``.
            expression: such as ``12 500 + 3x²``.
            variable: such as ``x``, or with a point or a range: ``x->0``, ``x=0..1``.
            language: the person's language, which decides how numbers such as ``1.000`` are read; None if unknown.
            written: the person's text, if the expression may be worded by another author.

        Raises:
            ToolError: the expression cannot be read or computed; the text gives the reason.
        """
        if (length := max(len(expression), len(variable))) > MAX_EXPRESSION_CHARS:
            raise ToolError(f"The expression has {length} characters; at most {MAX_EXPRESSION_CHARS} can be read.")
        try:
            found = expressions(operation, expression, language, written)
            variable = plain_point(operation, variable, language, written)
        except ValueError as error:
            raise ToolError(str(error)) from None
        results = [await self._result(operation, one.text, variable) for one in found]
        if len(set(results)) == 1:
            return results[0]
        return " ".join(f"If {one.taken}: {result}." for one, result in zip(found, results, strict=True))

    async def _result(self, operation: str, expression: str, variable: str) -> str:
        request = {"operation": operation, "expression": expression, "variable": variable, "seconds": self._time_limit}
        try:
            answer = await self.worker.request(request, self._time_limit)
        except TimeoutError:
            raise ToolError(f"This took longer than {self._time_limit:g} s: use a simpler expression.") from None
        if error := answer.get("error"):
            raise ToolError(str(error))
        return str(answer["result"])

    async def aclose(self) -> None:
        """Stop the worker."""
        await self.worker.aclose()


def algebra_tool(engine: Algebra | None = None) -> BaseTool:
    """Return the tool; its worker starts with the first call."""
    own = engine or Algebra()

    async def algebra(
        operation: Operation,
        expression: str,
        variable: str = "x",
        context: Annotated[ToolContext | None, InjectedToolArg] = None,
    ) -> str:
        """Exact mathematics. variable: x; limit: "x->0"; definite integral: "x=0..1"."""
        if context is None:
            return await own.work(operation, expression, variable)
        if context.inbound.has_ended_a_run:
            raise ToolError(NOT_RERUN)
        return await own.work(operation, expression, variable, language=context.locale, written=context.inbound.text)

    return ClosableTool.from_function(coroutine=algebra, name="algebra", on_close=own.aclose, metadata={TRUSTED: True})


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
