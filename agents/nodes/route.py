"""Read the message's signals; choose the role, its model, and whether the model thinks.

A small model is asked for the role of a message that the classifier leaves open, if the policy allows it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.runtime import Runtime
from langgraph.types import Send

from qwendesk.agents.checks.human_claims import asks_for_human
from qwendesk.agents.model_call import question_message
from qwendesk.agents.model_selection import (
    ModelSelection,
    ThinkingPlan,
    max_thinking_tokens,
    plan_thinking,
    select_model,
    select_retry,
)
from qwendesk.agents.nodes.retrieve import begin_answer
from qwendesk.agents.nodes.subquestion import send_subquestions
from qwendesk.agents.phrases import phrases
from qwendesk.agents.state import TokenUsage, TurnContext, TurnState, answer_language
from qwendesk.errors import QwendeskError
from qwendesk.messages import Notice, Routed
from qwendesk.models.card import SelectedModel
from qwendesk.prompts import render
from qwendesk.routing.base import TEXT_ROLES, Decision, Signals
from qwendesk.routing.policy.decision import route_message, unmet_override
from qwendesk.routing.signals.asked_language import asked_language
from qwendesk.routing.signals.followup import is_repeated
from qwendesk.routing.signals.language import base_language, english_name, identify_language
from qwendesk.routing.signals.lasting_language import is_only_language_wish, language_wish

_ROLE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"role": {"type": "string", "enum": list(TEXT_ROLES)}},
    "required": ["role"],
    "additionalProperties": False,
}
_MAX_MESSAGE_CHARS = 2000
"""Characters of the message that the model asked for the role reads."""
_MAX_ANSWER_TOKENS = 24


async def perceive(state: TurnState) -> dict[str, Any]:
    """Collect the message's signals.

    The language is the text's, else the conversation's, else the platform's locale. For the answer, one that the text
    asks for wins, else the one that the person wishes for all answers.
    """
    inbound = state["inbound"]
    language = identify_language(inbound.text) or state["language"] or _of_locale(inbound.locale)
    signals = Signals(
        text=inbound.text,
        language=language,
        images=sum(part.kind == "image" for part in inbound.attachments),
        audio=sum(part.kind == "audio" for part in inbound.attachments),
        role=inbound.role,
        channel=inbound.channel,
        conversation_context=state["conversation_context"],
    )
    lasting, wish = state.get("lasting_language"), language_wish(inbound.text)
    asked = asked_language(inbound.text) or (wish and wish.this_answer) or (lasting and lasting.code)
    notes = []
    if lasting and lasting.is_new:
        notes = [f"answers are in {english_name(lasting.code)} from now on, until you ask for your own language"]
    return {"signals": signals, "language": language, "asked_language": asked, "notes": notes}


def _of_locale(locale: str | None) -> str | None:
    """Return the ISO 639-1 code in a language tag such as ``pt-BR``."""
    name = base_language(locale)
    return name if english_name(name) else None


async def route(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Choose role and model by the message's signals; the starter model is pulled if there is no model."""
    context, signals, inbound = runtime.context, state["signals"], state["inbound"]
    may_split = not inbound.model and not inbound.attachments
    if context.slow_router:
        judged = await asyncio.to_thread(route_message, signals, context.router, context.policy, may_split=may_split)
    else:
        judged = route_message(signals, context.router, context.policy, may_split=may_split)
    decision, without = judged.decision, judged.role_without_override
    if settled := _settled_wish(state):
        notes = _notify(unmet_override(signals, None), context)
        return {**_answered_by_desk(decision, *settled), "role_without_override": without, "notes": notes}
    asked = asks_for_human(signals.text, signals.language)
    if judged.subquestions:
        notes = _notify(unmet_override(signals, None), context)
        return {"decision": decision, "subquestions": judged.subquestions, "notes": notes}
    if asked and asked.is_only_question:
        notes = _notify(unmet_override(signals, None), context)
        answered = _answered_by_desk(decision, asked.statement, "asks whether a human answers")
        return {**answered, "role_without_override": without, "notes": notes}
    usage, notes = TokenUsage(), list[str]()
    if decision.abstained and context.policy.abstain.ask_llm:
        decision, usage, notes = await _ask_router_model(decision, signals, context)
    unmet = _notify(unmet_override(signals, decision.role), context)
    chosen = await _choose_model(state, context, decision)
    return {
        **chosen,
        **({"machine_notice": asked.statement} if asked else {}),
        "role_without_override": without,
        "usage": usage,
        "notes": [*unmet, *notes, *chosen["notes"]],
    }


async def route_subquestion(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Choose the model for one question of several, whose role is decided."""
    asked = asks_for_human(state["inbound"].text, state["language"])
    if asked and asked.is_only_question:
        answered = _answered_by_desk(state["decision"], asked.statement, "asks whether a human answers")
        return {**answered, "notes": []}
    chosen = await _choose_model(state, runtime.context, state["decision"])
    return {**chosen, "machine_notice": asked.statement} if asked else chosen


async def after_route(state: TurnState, runtime: Runtime[TurnContext]) -> str | list[Send]:
    """Answer with the chosen model, decline without one, or send each of several questions to its own graph."""
    if state.get("subquestions"):
        return send_subquestions(state, runtime.context)
    if state["choice"] is None:
        return "decline"
    return "retrieve" if runtime.context.retriever else begin_answer(state, runtime.context)


def _answered_by_desk(decision: Decision, text: str, reason: str) -> dict[str, Any]:
    """Answer a message about the desk itself by a fixed text, because a model's answer may be untrue."""
    decision = replace(decision, signals=(reason,), lacks_picture=False)
    return {"decision": decision, "machine_notice": text, "choice": None, "think": False, "messages": []}


def _settled_wish(state: TurnState) -> tuple[str, str] | None:
    """Return the answer to a message that only wishes a language for all answers or ends the wish, and the reason.

    None where the message says more, where the wish is not kept, or where the answer is not known in that language.
    """
    inbound, lasting = state["inbound"], state.get("lasting_language")
    wish = None if inbound.attachments or state.get("documents") else language_wish(inbound.text)
    if wish is None or not is_only_language_wish(inbound.text):
        return None
    language: str | None
    if lasting and lasting.code in (wish.code, wish.this_answer):
        name, language, reason = "lasting_language", lasting.code, "wishes a language for all answers"
    elif wish.code is None and not lasting and wish.this_answer in (None, state["language"]):
        name, language, reason = "language_of_messages", wish.this_answer or state["language"], "ends a wish"
    else:
        return None
    text = phrases()[name].get(language or "en")
    return (text, reason) if text else None


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
        answer_language(state),
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


async def _ask_router_model(
    decision: Decision, signals: Signals, context: TurnContext
) -> tuple[Decision, TokenUsage, list[str]]:
    """Return the decision after one question to a model, its cost, and the receipt's notes."""
    try:
        choice = await _router_model(context)
        if choice is None:
            return decision, TokenUsage(), ["no model is available to ask for the role"]
        model = await context.pool.load(choice)
        said = await model.ainvoke(
            [SystemMessage(render("route", folder=context.prompts)), HumanMessage(signals.text[:_MAX_MESSAGE_CHARS])],
            think=False,
            json_schema=_ROLE_SCHEMA,
            temperature=0.0,
            max_tokens=_MAX_ANSWER_TOKENS,
        )
    except QwendeskError as error:
        return decision, TokenUsage(), [f"no model could be asked for the role: {error}"]
    usage = said.usage_metadata
    cost = TokenUsage(usage["input_tokens"], usage["output_tokens"]) if usage else TokenUsage()
    tokens = f"{cost.tokens_in} tokens in, {cost.tokens_out} out"
    role = _parse_role(said.text)
    if role is None:
        return decision, cost, [f"{choice.card.name} was asked for the role and named none ({tokens})"]
    reasons = (f"{choice.card.name} was asked and said {role}",)
    note = f"asking {choice.card.name} for the role cost {tokens}"
    asked = replace(
        decision,
        role=role,
        confidence=decision.probabilities.get(role, decision.confidence),
        runner_up=decision.runner_up if role == decision.role else decision.role,
        signals=(*decision.signals, *reasons),
        abstained=False,
    )
    return asked, cost, [note]


async def _router_model(context: TurnContext) -> SelectedModel | None:
    """Return the model to ask: the one that the policy names, else the smallest."""
    if named := context.policy.abstain.llm:
        return await context.pool.choose("general", named)
    cards = await context.pool.models()
    smallest = min(cards, key=lambda card: card.parameters or float("inf"), default=None)
    return SelectedModel(context.pool.settings.engine, smallest) if smallest else None


def _parse_role(text: str) -> Any:
    try:
        role = json.loads(text).get("role")
    except (ValueError, AttributeError):
        return None
    return role if role in TEXT_ROLES else None
