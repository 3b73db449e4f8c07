"""Ask a small model where a message belongs, where the words leave it open and the user has turned that on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage

from qwendesk.agents.context import TurnContext
from qwendesk.agents.routing.base import TEXT_ROLES, Decision, Signals
from qwendesk.agents.state import Tally
from qwendesk.engines.choice import Choice
from qwendesk.errors import QwendeskError
from qwendesk.prompts import render

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"role": {"type": "string", "enum": list(TEXT_ROLES)}},
    "required": ["role"],
    "additionalProperties": False,
}
_LONGEST = 2000
"""Characters of the message that are shown; where it belongs is clear by then, or never."""
_TOKENS = 24


async def consult(decision: Decision, signals: Signals, context: TurnContext) -> tuple[Decision, Tally, list[str]]:
    """Return the decision after one question to a model, what that cost, and what the receipt says of it."""
    try:
        choice = await _adviser(context)
        if choice is None:
            return decision, Tally(), ["no model is here to ask where the message belongs"]
        model = await context.pool.load(choice)
        said = await model.ainvoke(
            [SystemMessage(render("sort", folder=context.prompts)), HumanMessage(signals.text[:_LONGEST])],
            think=False,
            json_schema=_SCHEMA,
            temperature=0.0,
            max_tokens=_TOKENS,
        )
    except QwendeskError as error:
        return decision, Tally(), [f"no model could be asked where the message belongs: {error}"]
    usage = said.usage_metadata
    tally = Tally(usage["input_tokens"], usage["output_tokens"]) if usage else Tally()
    cost = f"{tally.tokens_in} tokens in, {tally.tokens_out} out"
    role = _role(said.text)
    if role is None:
        return decision, tally, [f"{choice.card.name} was asked where the message belongs and did not say ({cost})"]
    reasons = (f"{choice.card.name} was asked and said {role}",)
    note = f"asking {choice.card.name} where the message belongs cost {cost}"
    asked = replace(
        decision,
        role=role,
        confidence=decision.probabilities.get(role, decision.confidence),
        runner_up=decision.runner_up if role == decision.role else decision.role,
        signals=(*decision.signals, *reasons),
        abstained=False,
    )
    return asked, tally, [note]


async def _adviser(context: TurnContext) -> Choice | None:
    """Return the model to ask: the one named, else the smallest."""
    if named := context.policy.abstain.ask_model:
        return await context.pool.choose("general", named)
    cards = await context.pool.models()
    smallest = min(cards, key=lambda card: card.parameters or float("inf"), default=None)
    return Choice(context.pool.settings.engine, smallest) if smallest else None


def _role(text: str) -> Any:
    try:
        role = json.loads(text).get("role")
    except (ValueError, AttributeError):
        return None
    return role if role in TEXT_ROLES else None
