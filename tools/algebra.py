"""The tool ``algebra``: exact mathematics with SymPy, in a worker process."""

from __future__ import annotations

from typing import Annotated, Literal

from langchain_core.tools import BaseTool, InjectedToolArg

from qwendesk.errors import ToolError
from qwendesk.tools.base import NOT_RERUN, ClosableTool, ToolContext
from qwendesk.tools.expressions import expressions, plain_point
from qwendesk.tools.json_worker import JsonWorker
from qwendesk.tools.notation import MAX_EXPRESSION_CHARS

Operation = Literal["simplify", "solve", "derivative", "integral", "factor", "expand", "limit", "evaluate"]


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
        """Exact mathematics. variable: x; "x->0" for a limit, "x=0..1" for a definite integral."""
        if context is None:
            return await own.work(operation, expression, variable)
        if context.inbound.has_ended_a_run:
            raise ToolError(NOT_RERUN)
        return await own.work(operation, expression, variable, language=context.locale, written=context.inbound.text)

    return ClosableTool.from_function(coroutine=algebra, name="algebra", on_close=own.aclose)
