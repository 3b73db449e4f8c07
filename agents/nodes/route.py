"""Choose the role, its model, and whether the model thinks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import Send

from qwendesk.agents.checks.human_claims import HumanQuestion, asks_for_human
from qwendesk.agents.context import TurnContext
from qwendesk.agents.llm_router import ask_router_model
from qwendesk.agents.model_call import question_message
from qwendesk.agents.model_selection import ModelSelection, select_model
from qwendesk.agents.retry_policy import is_repeated, select_retry
from qwendesk.agents.state import TokenUsage, TurnState
from qwendesk.agents.stream_merge import StreamMerge
from qwendesk.agents.thinking_budget import ThinkingPlan, max_thinking_tokens, plan_thinking
from qwendesk.agents.tool_selection import selects_tool
from qwendesk.messages import Notice, Routed
from qwendesk.routing.base import Decision
from qwendesk.routing.policy.decision import route_message, unmet_override


async def route(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Choose role and model by the message's signals; the starter model is pulled if there is no model."""
    context, signals, inbound = runtime.context, state["signals"], state["inbound"]
    may_split = not inbound.model and not inbound.attachments
    if context.slow_router:
        judged = await asyncio.to_thread(route_message, signals, context.router, context.policy, may_split=may_split)
    else:
        judged = route_message(signals, context.router, context.policy, may_split=may_split)
    decision, without = judged.decision, judged.role_without_override
    asked = asks_for_human(signals.text, signals.language)
    if judged.subquestions:
        notes = _notify(unmet_override(signals, None), context)
        return {"decision": decision, "subquestions": judged.subquestions, "notes": notes}
    if asked and asked.is_all:
        notes = _notify(unmet_override(signals, None), context)
        return {**_answered_by_desk(decision, asked), "role_without_override": without, "notes": notes}
    usage, notes = TokenUsage(), list[str]()
    if decision.abstained and context.policy.abstain.ask:
        decision, usage, notes = await ask_router_model(decision, signals, context)
    wish = _notify(unmet_override(signals, decision.role), context)
    chosen = await _choose_model(state, context, decision)
    return {
        **chosen,
        **({"machine_notice": asked.says} if asked else {}),
        "role_without_override": without,
        "usage": usage,
        "notes": [*wish, *notes, *chosen["notes"]],
    }


async def route_subquestion(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Choose the model for one question of several, whose role is decided."""
    asked = asks_for_human(state["inbound"].text, state["language"])
    if asked and asked.is_all:
        return {**_answered_by_desk(state["decision"], asked), "notes": []}
    chosen = await _choose_model(state, runtime.context, state["decision"])
    return {**chosen, "machine_notice": asked.says} if asked else chosen


async def after_route(state: TurnState, runtime: Runtime[TurnContext]) -> str | list[Send]:
    """Answer with the chosen model, decline without one, or send each of several questions to its own graph."""
    if questions := state.get("subquestions"):
        merged = StreamMerge(len(questions), runtime.context.emit)
        return [
            Send("subquestion", {"index": index, "question": question, "merged": merged, "state": state})
            for index, question in enumerate(questions)
        ]
    choice = state["choice"]
    if choice is None:
        return "decline"
    return "select_tool" if selects_tool(choice.card) else "answer"


def _answered_by_desk(decision: Decision, asked: HumanQuestion) -> dict[str, Any]:
    """Answer the question whether a human answers by a fixed text, because a model's answer may be untrue."""
    decision = replace(decision, signals=("asks whether a human answers",), lacks_picture=False)
    return {"decision": decision, "machine_notice": asked.says, "choice": None, "think": False, "messages": []}


async def _choose_model(state: TurnState, context: TurnContext, decision: Decision) -> dict[str, Any]:
    """Return the model for a decision and its thinking plan, and emit the choice."""
    inbound = state["inbound"]
    recalled = state["conversation_context"].pictures if decision.recalls_picture else ()
    question = question_message(inbound, recalled, state.get("documents", ""))
    begun: dict[str, Any] = {"messages": [question], "notes": []}
    if decision.lacks_picture:
        return {**begun, "decision": decision, "choice": None, "think": False}
    selection = await select_model(
        context.pool,
        decision,
        inbound.model,
        state["language"],
        context.policy.models,
        context.progress,
    )
    longest = max_thinking_tokens(context)
    card = selection.choice.card if selection.choice else None
    plan = plan_thinking(decision, card, inbound.think, context.thinking, context.policy, longest)
    selection, plan, escalation = await _start_with_stronger_model(state, context, decision, selection, plan)
    decision = replace(decision, signals=(*decision.signals, *selection.reasons))
    if choice := selection.choice:
        context.emit(Routed(decision.role, choice.card.name, choice.engine, _reasons_phrase(decision)))
    return {
        **begun,
        "decision": decision,
        "choice": selection.choice,
        "think": plan.think,
        "think_budget": plan.budget,
        "thinking_reason": plan.reason,
        "escalation": escalation,
        "notes": [*selection.notes, *_notify(plan.notes, context)],
    }


async def _start_with_stronger_model(
    state: TurnState, context: TurnContext, decision: Decision, selection: ModelSelection, plan: ThinkingPlan
) -> tuple[ModelSelection, ThinkingPlan, str | None]:
    """Begin with a stronger model if the person asks for a better answer or asks the same again."""
    inbound = state["inbound"]
    if inbound.retry:
        reason = "you asked for a better answer"
    elif context.policy.escalate.repeated and _asked_before(state):
        reason = "you asked the same before"
    else:
        return selection, plan, None
    step = selection.choice and await select_retry(context, inbound, decision, selection.choice, plan.think)
    if not step:
        told = "there is no stronger model here to ask"
        notes = _notify([told if inbound.retry else f"{reason}, and {told}"], context)
        return replace(selection, notes=(*selection.notes, *notes)), plan, None
    escalation = f"{reason}: {step.choice.card.name}{' thinks about it' if step.think else ' is asked'}"
    if step.think:
        plan = ThinkingPlan(True, max_thinking_tokens(context), reason=reason)
    return replace(selection, choice=step.choice, reasons=(*selection.reasons, escalation)), plan, escalation


def _asked_before(state: TurnState) -> bool:
    inbound = state["inbound"]
    return not inbound.attachments and is_repeated(inbound.text, state["conversation_context"], state["language"])


def _notify(notes: Iterable[str], context: TurnContext) -> list[str]:
    """Emit notices about unmet overrides, and return them for the receipt."""
    told = list(notes)
    for note in told:
        context.emit(Notice(f"{note[0].upper()}{note[1:]}.", persistent=True))
    return told


def _reasons_phrase(decision: Decision) -> str:
    """Return the decision's reasons as one phrase."""
    runner_up = f"; next: {decision.runner_up}" if decision.runner_up else ""
    return f"{', '.join(decision.signals)} ({decision.confidence:.0%}{runner_up})"
