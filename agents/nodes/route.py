"""Choose the specialist, the model that plays it, and whether it thinks."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.config import get_stream_writer
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.experts import expert_for
from qwendesk.agents.offers import picks
from qwendesk.agents.policy import decide
from qwendesk.agents.routing.base import Decision
from qwendesk.agents.state import TurnState
from qwendesk.agents.wishes import unasked
from qwendesk.engines.pool import Choice
from qwendesk.messages import Notice, Routed

_HARD = 0.5
"""How likely a message needs thinking for a model that can to do so unasked."""


async def route(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Decide by signals; where there is no model at all, the starter model is fetched first."""
    write, context = get_stream_writer(), runtime.context
    decision = decide(state["signals"], context.router)
    wish = state["inbound"].model
    choice = await context.pool.choose(decision.role, wish, lambda text, fraction: write(Notice(text, fraction)))
    think, notes = _thinking(state, context, decision, choice)
    if choice:
        write(Routed(decision.role, choice.card.name, choice.engine, why(decision)))
    return {
        "decision": decision,
        "unasked": unasked(state["signals"], context.router),
        "choice": choice,
        "think": think,
        "notes": notes,
    }


async def after_route(state: TurnState) -> Literal["answer", "pick", "decline"]:
    """Answer where a model can; a picture that no model can see is declined."""
    choice = state["choice"]
    if choice is None:
        return "decline"
    return "pick" if picks(choice.card) else "answer"


def why(decision: Decision) -> str:
    """Return the decision's reasons as one phrase."""
    runner_up = f"; next: {decision.runner_up}" if decision.runner_up else ""
    return f"{', '.join(decision.signals)} ({decision.confidence:.0%}{runner_up})"


def _thinking(
    state: TurnState, context: TurnContext, decision: Decision, choice: Choice | None
) -> tuple[bool, list[str]]:
    """Return whether to think, and what the person should know of it."""
    ability = choice.card.thinking if choice else "none"
    wish = state["inbound"].think
    if ability == "none":
        notes = ["this model cannot think before it answers"] if wish else []
        return False, notes
    if ability == "always":
        notes = ["this model always thinks before it answers"] if wish is False else []
        return True, notes
    if wish is not None:
        return wish, []
    hard = expert_for(decision.role).thinks or decision.needs_thinking >= _HARD
    return {"on": True, "off": False}.get(context.thinking, hard), []
