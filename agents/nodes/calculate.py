"""Have a written-out sum worked out before a small model answers, because it would copy the numbers wrongly."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, ToolCall

from qwendesk.agents.state import TurnContext, TurnState
from qwendesk.tools.algebra import separated_expression

_TOOL = "algebra"


def may_calculate(text: str, context: TurnContext) -> bool:
    """Return whether a message holds a sum whose numbers have separators, and there is the tool for it."""
    return _TOOL in context.toolbox.names and separated_expression(text) is not None


async def calculate(state: TurnState) -> dict[str, Any]:
    """Call algebra with the sum as the person wrote it."""
    arguments = {"operation": "evaluate", "expression": separated_expression(state["inbound"].text)}
    return {"messages": [AIMessage("", tool_calls=[ToolCall(name=_TOOL, args=arguments, id=f"call_{uuid4().hex}")])]}
