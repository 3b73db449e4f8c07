"""Check what the answer states, and whether it needs a second try."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from langgraph.runtime import Runtime

from qwendesk.agents.checks.failures import ADMITS, check_failures
from qwendesk.agents.checks.result import check_choices, check_grounded, check_result, not_checked
from qwendesk.agents.context import TurnContext
from qwendesk.agents.escalation import trouble
from qwendesk.agents.experts import expert_for
from qwendesk.agents.nodes.again import keep_first, next_try
from qwendesk.agents.nodes.answer import chosen, said
from qwendesk.agents.offers import picks
from qwendesk.agents.state import Again, TurnState
from qwendesk.messages import Check
from qwendesk.tools.asking import asked_by


async def check(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Run the specialist's checks on its answer."""
    text, kept = said(state), dict[str, Any]()
    needed = state.get("again")
    if not text and needed and needed.first:
        text, kept = needed.first, keep_first(needed, f"{chosen(state).card.name} gave no answer", runtime.context)
    checks = list[Check]()
    if state["tools"]:
        # in a thread: the words for units are read with the first one
        checks += await asyncio.to_thread(_compare, text, state, runtime.context.toolbox.all_names)
    with asked_by(state["inbound"]):
        for checker in expert_for(state["decision"].role).checkers:
            checks += await checker(text, runtime.context.sandbox)
    second = await _second_try(state, runtime.context, text, checks)
    return {**kept, "checks": checks, **second, "notes": [*kept.get("notes", ()), *second.get("notes", ())]}


def _compare(text: str, state: TurnState, tools: list[str]) -> list[Check]:
    """Compare an answer with what its tools returned.

    Args:
        text: the answer.
        state: the turn.
        tools: the names of all tools.
    """
    uses, language = state["tools"], state["language"]
    checks = check_result(text, uses, language)
    checks += not_checked(uses, checks)
    checks += check_choices(text, uses)
    checks += check_failures(text, uses, tools)
    if picks(chosen(state).card):
        checks += check_grounded(text, state["inbound"].text, uses, language)
    return checks


def after_check(state: TurnState, context: TurnContext) -> Literal["again", "reply"]:
    """Try again where that is worth it."""
    return "again" if state.get("again") else "reply"


async def _second_try(state: TurnState, context: TurnContext, text: str, checks: list[Check]) -> dict[str, Any]:
    """Return who tries again; once a turn."""
    has_result = any(use.ok for use in state["tools"])
    found = trouble(text, checks, has_result=has_result, policy=context.policy.escalate, unmended=(ADMITS,))
    if found is None:
        return {"again": None}
    if state.get("escalation"):
        return {"again": None, "notes": [f"{found}; this was the second try"]}
    step = await next_try(context, state["inbound"], state["decision"], chosen(state), state["think"])
    if step is None:
        return {"again": None, "notes": [f"{found}; there is no stronger model here to ask"]}
    told = bool(text) and any(check.outcome == "failed" and check.name != ADMITS for check in checks)
    return {"again": Again(found, step, told, text, chosen(state), state["think"])}
