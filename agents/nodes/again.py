"""Make the second try: up the chain, told what was wrong, in place of what was shown."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.effort import Effort, longest_thinking
from qwendesk.agents.escalation import Step, step_up
from qwendesk.agents.routing.base import Decision
from qwendesk.agents.state import Again, TurnState
from qwendesk.engines.choice import Choice
from qwendesk.errors import EngineError
from qwendesk.messages import Inbound, Notice, Restarted, TextDelta
from qwendesk.quoting import one_line

_WRONG = (
    "Your answer has a mistake: {reason}. Write the whole answer again without it. "
    "Do not mention the mistake or this message."
)


async def again(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Set the turn up for its second try; where the model cannot be loaded, the first answer stays."""
    context, needed = runtime.context, state["again"]
    if needed is None:
        return {}
    step, name = needed.step, needed.step.choice.card.name
    context.tell(Notice(f"Trying again with {name}{', thinking' if step.think else ''}: {needed.reason}"))
    try:
        await context.pool.load(step.choice, context.progress)
    except EngineError as error:
        return {"again": None, "notes": [f"{needed.reason}; {name} could not be asked: {error}"]}
    context.tell(Restarted(needed.reason, name))
    tries = Effort(step.think, longest_thinking(context) if step.think else None, why="the second try")
    return {
        "choice": step.choice,
        "think": tries.think,
        "think_budget": tries.budget,
        "think_why": tries.why,
        "base": _base(state["messages"], needed),
        "since": len(state["messages"]),
        "rounds": 0,
        "stopped": None,
        "escalation": f"tried again with {name}{', thinking' if step.think else ''}: {needed.reason}",
    }


def after_again(state: TurnState, context: TurnContext) -> Literal["answer", "reply"]:
    """Answer anew where that is possible."""
    return "answer" if state.get("again") else "reply"


def keep_first(needed: Again, reason: str, context: TurnContext) -> dict[str, Any]:
    """Show the first answer again, since the second try gave none."""
    context.tell(Restarted(reason, needed.before.card.name))
    context.tell(TextDelta(needed.first))
    notes = [f"{reason}; the first answer stands"]
    return {"kept": needed.first, "choice": needed.before, "think": needed.thought, "notes": notes}


async def next_try(
    context: TurnContext, inbound: Inbound, decision: Decision, choice: Choice, thinks: bool
) -> Step | None:
    """Return who could do better; None where nobody here can."""
    settings = context.pool.settings
    bound = bool(inbound.model or decision.model or settings.roles.get(decision.role) or settings.model)
    may = inbound.think is not False and decision.think is not False and context.thinking != "off"
    cards = [] if bound else await context.pool.models(choice.engine)
    return step_up(decision.role, choice, thinks, cards, bound=bound, may=may)


def _base(messages: list[BaseMessage], needed: Again) -> list[BaseMessage]:
    """Return what the second try is given: all so far and what is wrong with it, or the question anew."""
    if needed.told:
        return [*messages, HumanMessage(_WRONG.format(reason=one_line(needed.reason)))]
    return [message for message in messages if not isinstance(message, AIMessage) or message.tool_calls]
