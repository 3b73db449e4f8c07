"""Write down why an answer is as it is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from qwendesk.agents.state import Tally, TurnState
from qwendesk.messages import Receipt, Reply


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """When a turn began."""

    begun: float = field(default_factory=time.perf_counter)

    def milliseconds(self, until: float | None = None) -> float:
        """Return the time from the beginning until then (now)."""
        return round(((time.perf_counter() if until is None else until) - self.begun) * 1e3, 1)


def write_reply(state: TurnState, conversation: str, watch: Stopwatch) -> Reply:
    """Return the finished reply with its receipt."""
    return Reply(state["text"], conversation, _receipt(state, watch), state.get("thinking", ""))


def _receipt(state: TurnState, watch: Stopwatch) -> Receipt:
    decision, choice = state["decision"], state.get("choice")
    tally = state.get("tally", Tally())
    duration = watch.milliseconds()
    return Receipt(
        role=decision.role,
        model=choice.card.name if choice else "",
        engine=choice.engine if choice else "",
        confidence=decision.confidence,
        runner_up=decision.runner_up,
        signals=decision.signals,
        language=state["language"],
        thinking=state["think"],
        tools=tuple(state.get("tools", ())),
        tokens_in=tally.tokens_in,
        tokens_out=tally.tokens_out,
        ttft_ms=watch.milliseconds(tally.first_at) if tally.first_at else duration,
        tokens_per_second=round(tally.tokens_out / tally.generating, 1) if tally.generating else 0.0,
        checks=tuple(state.get("checks", ())),
        duration_ms=duration,
        fallback=_stand_in(state),
        notes=tuple(state.get("notes", ())),
        wished_role=state["inbound"].role,
        wished_model=state["inbound"].model,
        thinking_why=state.get("think_why", ""),
        unasked=state.get("unasked"),
        escalation=state.get("escalation"),
        parts=state.get("parts", ()),
    )


def _stand_in(state: TurnState) -> str | None:
    decision, choice = state["decision"], state.get("choice")
    if choice:
        return choice.fallback
    return None if decision.missing or state.get("truth") else f"no model for {decision.role} is installed"
