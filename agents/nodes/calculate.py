"""Work out plain algebra before a small model answers: it would split numbers, or skip a part of what is asked.

What a message plainly asks for, and a question of yearly growth, is answered without the model. A written-out sum in
another message is worked out for it, because it would copy numbers with separators wrongly.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Literal
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langgraph.runtime import Runtime

from qwendesk.agents.algebra_answers import stated_results
from qwendesk.agents.algebra_requests import AlgebraRequest, algebra_requests
from qwendesk.agents.checks.arithmetic import check_equations
from qwendesk.agents.checks.tool_results import STATES_RESULT
from qwendesk.agents.growth import growth_answer, read_growth
from qwendesk.agents.nodes.tools import run_call
from qwendesk.agents.phrases import phrase
from qwendesk.agents.state import TurnContext, TurnState, answer_language
from qwendesk.messages import Check, TextDelta
from qwendesk.tools.algebra import separated_expression
from qwendesk.tools.base import ToolContext
from qwendesk.tools.notation import UNDEFINED

_TOOL = "algebra"
_ALONE = "algebra alone answered: no model was asked"


def may_calculate(text: str, context: TurnContext) -> bool:
    """Return whether a message holds something to work out, and there is the tool for it."""
    if not context.own_tools and read_growth(text, None):
        return True
    has_tool = _TOOL in context.toolbox.names and _TOOL not in context.toolbox.risky_names
    return has_tool and bool(_plain_requests(text, context) or separated_expression(text))


async def calculate(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Call algebra with what the person wrote; state the results, or leave them to the model."""
    context, inbound = runtime.context, state["inbound"]
    is_whole = not inbound.attachments and not state.get("machine_notice")
    if is_whole and not context.own_tools and (text := growth_answer(inbound.text, answer_language(state))):
        context.emit(TextDelta(text))
        return {
            "messages": [AIMessage(text)],
            "checks": check_equations(text, answer_language(state)),
            "answered_by": "a calculation",
            "notes": ["worked out from the message's numbers: no model was asked"],
        }
    plain = _plain_requests(inbound.text, context)
    expression = separated_expression(inbound.text)
    if not (plain or expression):
        return {}
    requests = plain or [AlgebraRequest("evaluate", expression or "")]
    calls = [_call(request) for request in requests]
    asker = ToolContext(inbound, state["language"])
    uses = await asyncio.gather(*(run_call(call, 1, asker, context) for call in calls))
    if plain and is_whole and len(uses) == 1 and uses[0].reason == UNDEFINED and _divides(requests[0]):
        text = phrase("undefined", answer_language(state))
        context.emit(TextDelta(text))
        return {
            "messages": [AIMessage(text)],
            "checks": [Check(STATES_RESULT, "passed", UNDEFINED)],
            "answered_by": _TOOL,
            "notes": [_ALONE],
        }
    if not all(use.ok for use in uses):
        return {"notes": [f"algebra could not work it out: {use.result}" for use in uses if not use.ok]}
    messages: list[BaseMessage] = [AIMessage("", tool_calls=calls)]
    messages += [
        ToolMessage(use.result, tool_call_id=call["id"], name=use.name) for use, call in zip(uses, calls, strict=True)
    ]
    worked_out: dict[str, Any] = {"messages": messages, "tool_uses": uses, "tool_rounds": 1}
    results = [use.result for use in uses]
    text = stated_results(plain, results, answer_language(state)) if plain and is_whole else None
    if text is None:
        return worked_out
    context.emit(TextDelta(text))
    checks = [Check(STATES_RESULT, "passed", result) for result in results]
    answered = {"messages": [*messages, AIMessage(text)], "checks": checks, "answered_by": _TOOL, "notes": [_ALONE]}
    return {**worked_out, **answered}


async def after_calculate(state: TurnState) -> Literal["answer", "reply"]:
    """Finish with the stated results, or let the model answer."""
    last = state["messages"][-1]
    return "reply" if isinstance(last, AIMessage) and last.text else "answer"


def _divides(request: AlgebraRequest) -> bool:
    """Return whether a sum of numbers alone divides, so that its result is undefined for no other reason."""
    return request.operation == "evaluate" and bool(re.fullmatch(r"[^A-Za-z]*[/÷:][^A-Za-z]*|x/0", request.expression))


def _plain_requests(text: str, context: TurnContext) -> list[AlgebraRequest]:
    """Return the plain requests of a message; none where the embedding program has tools, which may be meant."""
    return [] if context.own_tools else algebra_requests(text)


def _call(request: AlgebraRequest) -> ToolCall:
    arguments = {"operation": request.operation, "expression": request.expression}
    if request.variable != "x":
        arguments["variable"] = request.variable
    return ToolCall(name=_TOOL, args=arguments, id=f"call_{uuid4().hex}")
