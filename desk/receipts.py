"""Write down why an answer is as it is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from qwendesk.agents.state import TokenUsage, TurnState
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
    usage = state.get("usage", TokenUsage())
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
        tools=tuple(state.get("tool_uses", ())),
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        ttft_ms=watch.milliseconds(usage.first_at) if usage.first_at else duration,
        tokens_per_second=round(usage.tokens_out / usage.generating, 1) if usage.generating else 0.0,
        checks=tuple(state.get("checks", ())),
        duration_ms=duration,
        fallback=_stand_in(state),
        notes=tuple(state.get("notes", ())),
        wished_role=state["inbound"].role,
        wished_model=state["inbound"].model,
        thinking_why=state.get("think_why", ""),
        unasked=state.get("role_without_override"),
        escalation=state.get("escalation"),
        parts=state.get("sub_answers", ()),
    )


def _stand_in(state: TurnState) -> str | None:
    decision, choice = state["decision"], state.get("choice")
    if choice:
        return choice.fallback
    return None if decision.missing or state.get("machine_notice") else f"no model for {decision.role} is installed"
