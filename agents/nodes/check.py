"""Check what the answer states."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from qwendesk.agents.checks.result import check_grounded, check_result
from qwendesk.agents.context import TurnContext
from qwendesk.agents.experts import expert_for
from qwendesk.agents.nodes.answer import said
from qwendesk.agents.offers import picks
from qwendesk.agents.state import TurnState
from qwendesk.messages import Check


async def check(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Run the specialist's checks on its answer."""
    text = said(state)
    checks: list[Check] = check_result(text, state["tools"])
    if (choice := state["choice"]) and picks(choice.card):
        checks += check_grounded(text, state["inbound"].text, state["tools"])
    for checker in expert_for(state["decision"].role).checkers:
        checks += await checker(text, runtime.context.sandbox)
    return {"checks": checks}
