"""The list of all guards."""

from __future__ import annotations

from qwendesk.agents.guards.base import Guard
from qwendesk.agents.guards.citations import CitationGuard
from qwendesk.agents.guards.echo import EchoGuard
from qwendesk.agents.guards.human_claims import HumanClaimGuard
from qwendesk.agents.guards.leaks import LeakGuard
from qwendesk.agents.guards.names import NameGuard
from qwendesk.agents.guards.numbers import NumberGuard
from qwendesk.agents.guards.orders import OrderGuard
from qwendesk.agents.guards.promises import PromiseGuard

GUARDS: tuple[type[Guard], ...] = (
    HumanClaimGuard,
    LeakGuard,
    OrderGuard,
    CitationGuard,
    NumberGuard,
    NameGuard,
    PromiseGuard,
    EchoGuard,
)
"""All guards; the first that finds a fault decides what becomes of the answer."""
GUARD_CHECKS = tuple(guard.name for guard in GUARDS)
"""The names of the guards in receipts."""
