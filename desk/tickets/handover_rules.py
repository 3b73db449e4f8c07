"""When the bot hands a ticket over: what ``qwendesk.desk.handover.decide`` says of its messages and answers."""

from __future__ import annotations

from typing import Any

from qwendesk.desk.handover.decide import (
    HandoverDecision,
    HandoverSignals,
    count_turn,
    decide_by_message,
    decide_by_reply,
)
from qwendesk.desk.inbox.repository import ClaimedMessage
from qwendesk.desk.tickets.records import TicketRecord
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import language_of
from qwendesk.messages import Reply
from qwendesk.settings import HandoverSettings

_COUNTED = "counted"
"""Signal: the last message that is counted; a repeated run of it is not counted again."""
_BEFORE = "before"
"""Signal: what was counted before that message."""


class SettledRules:
    """The rules of the settings; what they count is stored in the ticket.

    Args:
        tickets: stores what is counted.
        settings: the reasons that hold.
    """

    def __init__(self, tickets: Tickets, settings: HandoverSettings) -> None:
        self._tickets = tickets
        self._settings = settings

    async def before_turn(self, claimed: ClaimedMessage, ticket: TicketRecord) -> HandoverDecision | None:
        """Decide by a customer's message."""
        inbound = claimed.inbound
        return decide_by_message(
            inbound.text,
            HandoverSignals.read(_counted_before(claimed, ticket)),
            self._settings,
            language=language_of(inbound, claimed.settings),
            is_rated_down=inbound.retry,
        )

    async def after_turn(self, claimed: ClaimedMessage, ticket: TicketRecord, reply: Reply) -> HandoverDecision | None:
        """Decide by the bot's answer, and store what further decisions need."""
        before, inbound = _counted_before(claimed, ticket), claimed.inbound
        signals = count_turn(
            inbound.text, reply, HandoverSignals.read(before), self._settings, is_rated_down=inbound.retry
        )
        stored = {**signals.as_dict(), _COUNTED: _run_of(claimed), _BEFORE: before}
        await self._tickets.note_signals(ticket.id, stored, language=reply.receipt.language)
        return decide_by_reply(reply, signals, self._settings)

    def hands_over_at_first_rating(self) -> bool:
        """Return whether one bad rating is a reason to hand over."""
        return decide_by_message("", HandoverSignals(), self._settings, is_rated_down=True) is not None


def _counted_before(claimed: ClaimedMessage, ticket: TicketRecord) -> dict[str, Any]:
    """Return what was counted before a message, also if an earlier run has counted it."""
    if ticket.signals.get(_COUNTED) != _run_of(claimed):
        names = HandoverSignals().as_dict()
        return {name: value for name, value in ticket.signals.items() if name in names}
    before = ticket.signals.get(_BEFORE)
    return before if isinstance(before, dict) else {}


def _run_of(claimed: ClaimedMessage) -> str:
    return f"{claimed.id}:{claimed.generation}"
