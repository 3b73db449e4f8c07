"""Show customers that an operator writes, on channels with a typing sign."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from cachetools import TTLCache

from qwendesk.desk.delivery.deliver import Outlet
from qwendesk.desk.tickets.records import TicketRecord
from qwendesk.errors import QwendeskError
from qwendesk.messages import Author

_PAUSE_SECONDS = 2.5
"""Least time between two signs to one customer."""
_TIME_LIMIT_SECONDS = 5.0
_MAX_TICKETS = 10_000
log = logging.getLogger(__name__)


class TypingSigns:
    """Typing signs of operators.

    Args:
        outlets: the channels, by name.
        pause_seconds: least time between two signs to one customer.
    """

    def __init__(self, outlets: Mapping[str, Outlet], pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._outlets = outlets
        self._shown: TTLCache[str, bool] = TTLCache(_MAX_TICKETS, pause_seconds)

    async def show(self, ticket: TicketRecord, operator_id: str, name: str) -> bool:
        """Show that an operator writes, if the operator holds the ticket; False: nothing is shown, or it was just now.

        Args:
            ticket: the ticket.
            operator_id: who writes.
            name: the name that the customer sees.
        """
        outlet = self._outlets.get(ticket.channel)
        is_holder = ticket.state == "human" and ticket.operator_id == operator_id
        if outlet is None or outlet.capabilities.typing is None or not is_holder or ticket.id in self._shown:
            return False
        self._shown[ticket.id] = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_TIME_LIMIT_SECONDS):
                try:
                    await outlet.typing(ticket.delivery.conversation, Author("operator", name))
                except QwendeskError as error:  # a sign is worth no second try
                    log.debug("A typing sign is not shown on %s: %s", ticket.channel, error)
                    return False
        return True
