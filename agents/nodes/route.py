"""Choose the specialist, the model that plays it, and how hard it thinks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Send

from qwendesk.agents.casting import Cast, cast
from qwendesk.agents.consult import consult
from qwendesk.agents.context import TurnContext
from qwendesk.agents.effort import Effort, effort, longest_thinking
from qwendesk.agents.escalation import is_repeated
from qwendesk.agents.human_claims import Asked, asks_for_human
from qwendesk.agents.lanes import Lanes
from qwendesk.agents.nodes.again import next_try
from qwendesk.agents.nodes.perceive import question
from qwendesk.agents.offers import picks
from qwendesk.agents.policy import decide
from qwendesk.agents.routing.base import Decision
from qwendesk.agents.split import Question, questions_of
from qwendesk.agents.state import Tally, TurnState
from qwendesk.agents.wishes import unasked, unmet
from qwendesk.messages import Notice, Role, Routed

DESTINATIONS = ("answer", "pick", END, "part")
"""Where the route may lead; declining ends the turn, and the last is for several questions."""


async def route(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Decide by signals; where there is no model at all, the starter model is fetched first."""
    context, signals = runtime.context, state["signals"]
    judged = asyncio.to_thread(_judge, state, context) if context.slow_router else None
    decision, questions, without = await judged if judged else _judge(state, context)
    if (asked := asks_for_human(signals.text, signals.language)) and asked.is_all and not questions:
        return {**_told(decision, asked), "unasked": without, "notes": _tell(unmet(signals, None), context)}
    if questions:
        return {"decision": decision, "questions": questions, "notes": _tell(unmet(signals, None), context)}
    tally, notes = Tally(), list[str]()
    if decision.abstained and context.policy.abstain.ask:
        decision, tally, notes = await consult(decision, signals, context)
    wish = _tell(unmet(signals, decision.role), context)
    settled = await settle(state, context, decision)
    truth = {"truth": asked.says} if asked else {}
    return {**settled, **truth, "unasked": without, "tally": tally, "notes": [*wish, *notes, *settled["notes"]]}


async def route_part(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Cast one question of several, whose specialist is known."""
    asked = asks_for_human(state["inbound"].text, state["language"])
    if asked and asked.is_all:
        return {**_told(state["decision"], asked), "notes": []}
    settled = await settle(state, runtime.context, state["decision"])
    return {**settled, "truth": asked.says} if asked else settled


def after_route(state: TurnState, context: TurnContext) -> str | list[Send]:
    """Answer where a model can; a picture that no model can see is declined; several questions go their own ways."""
    if questions := state.get("questions"):
        lanes = Lanes(len(questions), context.tell)
        return [
            Send("part", {"index": index, "question": part, "lanes": lanes, "state": state})
            for index, part in enumerate(questions)
        ]
    choice = state["choice"]
    if choice is None:
        return "decline"
    return "pick" if picks(choice.card) else "answer"


def _told(decision: Decision, asked: Asked) -> dict[str, Any]:
    """Let the desk itself answer who asks for a human: what a model says may be untrue."""
    decision = replace(decision, signals=("asks whether a human answers",), missing=False)
    return {"decision": decision, "truth": asked.says, "choice": None, "think": False, "messages": []}


async def settle(state: TurnState, context: TurnContext, decision: Decision) -> dict[str, Any]:
    """Return the model for a decision and how hard it tries, and tell who listens."""
    inbound = state["inbound"]
    recalled = state["past"].pictures if decision.picture else ()
    begun: dict[str, Any] = {"messages": [question(inbound, recalled, state.get("documents", ""))], "notes": []}
    if decision.missing:
        return {**begun, "decision": decision, "choice": None, "think": False}
    chosen = await cast(
        context.pool,
        decision,
        inbound.model,
        state["language"],
        context.policy.models,
        context.progress,
    )
    longest = longest_thinking(context)
    card = chosen.choice.card if chosen.choice else None
    tries = effort(decision, card, inbound.think, context.thinking, context.policy, longest)
    chosen, tries, escalation = await _first_try(state, context, decision, chosen, tries)
    decision = replace(decision, signals=(*decision.signals, *chosen.reasons))
    if chosen.choice:
        context.tell(Routed(decision.role, chosen.choice.card.name, chosen.choice.engine, why(decision)))
    return {
        **begun,
        "decision": decision,
        "choice": chosen.choice,
        "think": tries.think,
        "think_budget": tries.budget,
        "think_why": tries.why,
        "escalation": escalation,
        "notes": [*chosen.notes, *_tell(tries.notes, context)],
    }


def why(decision: Decision) -> str:
    """Return the decision's reasons as one phrase."""
    runner_up = f"; next: {decision.runner_up}" if decision.runner_up else ""
    return f"{', '.join(decision.signals)} ({decision.confidence:.0%}{runner_up})"


def _judge(state: TurnState, context: TurnContext) -> tuple[Decision, tuple[Question, ...], Role | None]:
    """Return all that is asked of the router: the decision, the questions, and where it would go without a wish."""
    signals, router, policy = state["signals"], context.router, context.policy
    decision = decide(signals, router, policy)
    return decision, _questions(state, context, decision), unasked(signals, router, policy)


def _questions(state: TurnState, context: TurnContext, decision: Decision) -> tuple[Question, ...]:
    """Return the questions of a message that holds several, where nobody has said who is to answer."""
    inbound = state["inbound"]
    if inbound.model or inbound.attachments:
        return ()
    return questions_of(state["signals"], decision, context.router, context.policy.split)


def _tell(notes: Iterable[str], context: TurnContext) -> list[str]:
    """Tell at once what is done otherwise than the person asked; the notes are for the receipt, too."""
    told = list(notes)
    for note in told:
        context.tell(Notice(f"{note[0].upper()}{note[1:]}.", lasting=True))
    return told


def _asked_before(state: TurnState) -> bool:
    inbound = state["inbound"]
    return not inbound.attachments and is_repeated(inbound.text, state["past"], state["language"])


async def _first_try(
    state: TurnState, context: TurnContext, decision: Decision, chosen: Cast, tries: Effort
) -> tuple[Cast, Effort, str | None]:
    """Begin higher up the chain with a question whose last answer was no good."""
    inbound = state["inbound"]
    if inbound.retry:
        reason = "you asked for a better answer"
    elif context.policy.escalate.repeated and _asked_before(state):
        reason = "you asked the same before"
    else:
        return chosen, tries, None
    step = chosen.choice and await next_try(context, inbound, decision, chosen.choice, tries.think)
    if not step:
        told = "there is no stronger model here to ask"
        notes = _tell([told if inbound.retry else f"{reason}, and {told}"], context)
        return replace(chosen, notes=(*chosen.notes, *notes)), tries, None
    higher = f"{reason}: {step.choice.card.name}{' thinks about it' if step.think else ' is asked'}"
    if step.think:
        tries = Effort(True, longest_thinking(context), why=reason)
    return replace(chosen, choice=step.choice, reasons=(*chosen.reasons, higher)), tries, higher
