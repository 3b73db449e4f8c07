"""Set up the second try: with a stronger model or with thinking, in place of the answer shown."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.state import RetryRequest, TurnState
from qwendesk.agents.thinking_budget import max_thinking_tokens
from qwendesk.errors import EngineError
from qwendesk.messages import AnswerReset, Notice
from qwendesk.quoting import one_line

_FEEDBACK = (
    "Your answer has a mistake: {reason}. Write the whole answer again without it. "
    "Do not mention the mistake or this message."
)


async def retry(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Set the turn up for its second try; if the model cannot be loaded, the first answer is kept."""
    context, request = runtime.context, state["retry_request"]
    if request is None:
        return {}
    step, name = request.step, request.step.choice.card.name
    context.emit(Notice(f"Trying again with {name}{', thinking' if step.think else ''}: {request.reason}"))
    try:
        await context.pool.load(step.choice, context.progress)
    except EngineError as error:
        return {"retry_request": None, "notes": [f"{request.reason}; {name} could not be asked: {error}"]}
    context.emit(AnswerReset(request.reason, name))
    return {
        "choice": step.choice,
        "think": step.think,
        "think_budget": max_thinking_tokens(context) if step.think else None,
        "thinking_reason": "the second try",
        "retry_prompt": _prompt(state["messages"], request),
        "try_start": len(state["messages"]),
        "tool_rounds": 0,
        "tools_stopped": None,
        "escalation": f"tried again with {name}{', thinking' if step.think else ''}: {request.reason}",
    }


async def after_retry(state: TurnState) -> Literal["answer", "reply"]:
    """Answer anew if the model is loaded."""
    return "answer" if state.get("retry_request") else "reply"


def _prompt(messages: list[BaseMessage], request: RetryRequest) -> list[BaseMessage]:
    """Return the messages so far with feedback, or without the first answer."""
    if request.with_feedback:
        return [*messages, HumanMessage(_FEEDBACK.format(reason=one_line(request.reason)))]
    return [message for message in messages if not isinstance(message, AIMessage) or message.tool_calls]
