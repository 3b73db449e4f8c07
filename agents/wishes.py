"""What a person's wish for a specialist changed, and which wish cannot be met."""

from __future__ import annotations

from dataclasses import replace

from qwendesk.agents.policy import decide
from qwendesk.agents.policy_file import Policy
from qwendesk.agents.routing.base import Router, Signals
from qwendesk.messages import Role


def unasked(signals: Signals, router: Router, policy: Policy) -> Role | None:
    """Return the role that a message would go to without its wish; None where there is no wish."""
    return decide(replace(signals, role=None), router, policy).role if signals.role else None


def unmet(signals: Signals, role: Role | None) -> tuple[str, ...]:
    """Return what to tell a person who asked for eyes or ears with nothing to see or hear.

    Args:
        signals: what was seen of the message.
        role: who answers instead; None where several do.
    """
    lacks = {"vision": "picture", "audio": "recording"}.get(signals.role or "")
    if lacks is None or role == signals.role:
        return ()
    return (f"you asked for {signals.role}, but there is no {lacks}; {role or 'several specialists'} answered",)
