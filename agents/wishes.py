"""What the router would have done without the person's wish: what it can learn from."""

from __future__ import annotations

from dataclasses import replace

from qwendesk.agents.policy import decide
from qwendesk.agents.policy_file import Policy
from qwendesk.agents.routing.base import Router, Signals
from qwendesk.messages import Role


def unasked(signals: Signals, router: Router, policy: Policy) -> Role | None:
    """Return the role that a message would go to without its wish; None where there is no wish."""
    return decide(replace(signals, role=None), router, policy).role if signals.role else None
