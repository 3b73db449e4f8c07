"""What happened to a ticket, in words for operators."""

from __future__ import annotations

from typing import Any

from qwendesk.desk.handover.reasons import IN_WORDS
from qwendesk.desk.tickets.approval_records import DROPPED_IN_WORDS
from qwendesk.desk.tickets.records import TicketEventRecord

STATE_LABELS = {
    "bot": "bot answers",
    "waiting": "waiting",
    "human": "with an operator",
    "snoozed": "snoozed",
    "resolved": "resolved",
}
_PLAIN = {
    "opened": "opened it",
    "taken_over": "took it over",
    "handed_back": "handed it back to the bot",
    "assigned": "assigned it",
    "resolved": "resolved it",
    "reopened": "reopened it",
    "woken": "woke it",
    "merged": "merged it into another ticket",
    "merged_from": "merged{number} into it",
    "split": "split{number} from it",
    "split_from": "split it from{number}",
}
IN_THREAD = frozenset({"message", "answered", "replied", "noted", "delivered", "not_delivered"})
"""Events whose message or note is in the thread itself."""


def event_words(event: TicketEventRecord) -> str:
    """Return who did what to a ticket."""
    who = event.operator_name or {"customer": "The customer", "bot": "The bot"}.get(event.actor, "A rule")
    return f"{who} {_happened(event)}"


def reason_words(code: str | None) -> str:
    """Return why a ticket was handed over, in words."""
    told = next((words for known, words in IN_WORDS.items() if known == code), None)
    return told or (code or "").replace("_", " ")


def _happened(event: TicketEventRecord) -> str:
    """Return what somebody did, without who."""
    changes, kind = event.changes, event.kind.replace("_", " ")
    number = f" #{changes['number']}" if "number" in changes else ""
    match event.kind:
        case "handed_over":
            return f"handed it over: {reason_words(event.reason)}"
        case "assigned" if not changes.get("operator_id"):
            return "unassigned it"
        case "approval_needed":
            return f"stopped before a call that needs an approval: {_tools(changes)}"
        case "approved" | "declined":
            edited = f", with another {', '.join(changes['edited'])}" if changes.get("edited") else ""
            return f"{event.kind} {_tools(changes)}{edited}"
        case "approval_dropped":
            return f"ended the wait for an approval of {_tools(changes)}: {approval_words(event.reason)}"
        case "snoozed":
            until = str(changes.get("snoozed_until") or "")[:16].replace("T", " ")
            return f"snoozed it until {until} UTC"
        case "updated":
            return f"set {', '.join(_change(name, value) for name, value in changes.items()) or 'the subject'}"
    return _PLAIN.get(event.kind, kind + number).format(number=number)


def _tools(changes: dict[str, Any]) -> str:
    return ", ".join(changes.get("tools") or ["a tool"])


def approval_words(reason: str) -> str:
    """Return why a call was not made after all, in words."""
    told = next((words for known, words in DROPPED_IN_WORDS.items() if known == reason), None)
    return told or reason.replace("_", " ")


def _change(name: str, value: Any) -> str:
    shown = ", ".join(map(str, value)) if isinstance(value, list) else value
    return f"{name} to {shown or 'nothing'}"
