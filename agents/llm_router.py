"""Ask a small model for the role of a message that the classifier leaves open, if the policy allows it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage

from qwendesk.agents.context import TurnContext
from qwendesk.agents.state import TokenUsage
from qwendesk.engines.selected_model import SelectedModel
from qwendesk.errors import QwendeskError
from qwendesk.prompts import render
from qwendesk.routing.base import TEXT_ROLES, Decision, Signals

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"role": {"type": "string", "enum": list(TEXT_ROLES)}},
    "required": ["role"],
    "additionalProperties": False,
}
_MAX_MESSAGE_CHARS = 2000
"""Characters of the message that the model reads."""
_MAX_ANSWER_TOKENS = 24


async def ask_router_model(
    decision: Decision, signals: Signals, context: TurnContext
) -> tuple[Decision, TokenUsage, list[str]]:
    """Return the decision after one question to a model, its cost, and the receipt's notes."""
    try:
        choice = await _router_model(context)
        if choice is None:
            return decision, TokenUsage(), ["no model is here to ask where the message belongs"]
        model = await context.pool.load(choice)
        said = await model.ainvoke(
            [SystemMessage(render("route", folder=context.prompts)), HumanMessage(signals.text[:_MAX_MESSAGE_CHARS])],
            think=False,
            json_schema=_SCHEMA,
            temperature=0.0,
            max_tokens=_MAX_ANSWER_TOKENS,
        )
    except QwendeskError as error:
        return decision, TokenUsage(), [f"no model could be asked where the message belongs: {error}"]
    usage = said.usage_metadata
    cost = TokenUsage(usage["input_tokens"], usage["output_tokens"]) if usage else TokenUsage()
    tokens = f"{cost.tokens_in} tokens in, {cost.tokens_out} out"
    role = _parse_role(said.text)
    if role is None:
        return decision, cost, [f"{choice.card.name} was asked where the message belongs and did not say ({tokens})"]
    reasons = (f"{choice.card.name} was asked and said {role}",)
    note = f"asking {choice.card.name} where the message belongs cost {tokens}"
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
    if named := context.policy.abstain.ask_model:
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
