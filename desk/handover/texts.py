"""What a customer is told while a conversation is handed over, waits, is taken over, handed back and resolved."""

from __future__ import annotations

from datetime import datetime

from qwendesk.desk.handover.reasons import Reason
from qwendesk.desk.hours.texts import opening_text
from qwendesk.desk.translations import say

_FIRST_SENTENCES: dict[Reason, str] = {
    "topic": "handover_topic",
    "no_approver": "handover_topic",
    "anger": "handover_sorry",
    "rated_down": "handover_sorry",
    "repeated": "handover_unsure",
    "tool_failed": "handover_unsure",
    "promise": "handover_unsure",
    "failed_checks": "handover_unsure",
    "unknown": "handover_unsure",
    "low_confidence": "handover_unsure",
}
"""Keys of what is said before; who asked for a person needs no reason."""


def handover_text(
    language: str | None,
    reason: Reason = "asked",
    *,
    is_somebody_there: bool = True,
    opens: datetime | None = None,
    number: int | None = None,
) -> str:
    """Return what the customer is told when the conversation is handed over.

    Args:
        language: the customer's language.
        reason: why it is handed over.
        is_somebody_there: whether an operator is online and free.
        opens: when the team is there again, in the desk's time zone; None: it is there now, or no hours are set.
        number: the ticket's number; None: it is not told.
    """
    if opens:
        told = say("handed_over_closed", language, opens=opening_text(opens, language))
    else:
        told = say("handed_over" if is_somebody_there else "no_operator", language)
    before = say(_FIRST_SENTENCES[reason], language) if reason in _FIRST_SENTENCES else ""
    after = say("ticket_number", language, number=number) if number is not None else ""
    return "\n\n".join(filter(None, (before, told, after)))


def approval_text(
    language: str | None, *, is_somebody_there: bool = True, opens: datetime | None = None, number: int | None = None
) -> str:
    """Return what the customer is told while an operator has to approve what the bot is about to do.

    Args:
        language: the customer's language.
        is_somebody_there: whether an operator is online and free.
        opens: when the team is there again, in the desk's time zone; None: it is there now, or no hours are set.
        number: the ticket's number; None: it is not told.
    """
    if opens:
        told = say("approval_waits_closed", language, opens=opening_text(opens, language))
    else:
        told = say("approval_waits" if is_somebody_there else "approval_waits_later", language)
    after = say("ticket_number", language, number=number) if number is not None else ""
    return "\n\n".join(filter(None, (told, after)))


def waiting_text(language: str | None, *, opens: datetime | None = None) -> str:
    """Return what the customer is told who writes again, or has waited long, before anybody could answer."""
    if opens:
        return say("still_waiting_closed", language, opens=opening_text(opens, language))
    return say("still_waiting", language)


def taken_over_text(language: str | None, name: str = "") -> str:
    """Return that a person answers from now on; an empty name is left out."""
    return say("taken_over_by", language, name=name) if name else say("taken_over", language)


def handed_back_text(language: str | None, *, nobody_came: bool = False) -> str:
    """Return that the bot answers again; ``nobody_came``: because the wait for a person ran out."""
    return say("back_after_wait" if nobody_came else "handed_back", language)


def resolved_text(language: str | None) -> str:
    """Return that the matter counts as resolved, and how to go on."""
    return say("resolved", language)
