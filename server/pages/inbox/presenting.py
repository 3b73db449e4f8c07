"""What the inbox shows of tickets in words: times, states, languages, events, names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from qwendesk.desk.operators.accounts import OperatorRecord
from qwendesk.desk.tickets.approval_records import ApprovalRecord
from qwendesk.desk.tickets.queries import DeskText, ThreadMessage, TicketThread, TranslationRecord
from qwendesk.desk.tickets.records import TicketEventRecord, TicketNoteRecord
from qwendesk.desk.workspace.event_words import IN_THREAD, STATE_LABELS, approval_words, event_words, reason_words
from qwendesk.desk.workspace.lists import ViewName
from qwendesk.desk.workspace.snoozing import PRESET_LABELS
from qwendesk.messages import PendingCall
from qwendesk.routing.signals.language import english_name

VIEW_LABELS: dict[ViewName, str] = {
    "mine": "Mine",
    "unassigned": "Unassigned",
    "waiting": "Waiting",
    "approvals": "Approvals",
    "human": "With operators",
    "bot": "With the bot",
    "snoozed": "Snoozed",
    "mentions": "Mentions",
    "resolved": "Resolved",
    "all": "All",
}
_UNITS = ((86400 * 365, "y"), (86400 * 30, "mo"), (86400, "d"), (3600, "h"), (60, "min"))
_ENDS = {"delivered": "sent", "not_delivered": "failed"}
"""Kinds of events that end a delivery, and its status then."""
_DELIVERY_DAYS = timedelta(days=35)
"""Time after which a delivery whose end is not known is not awaited any more."""
_RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur", "ps", "sd", "ug", "yi", "dv", "ckb"})


@dataclass(frozen=True, slots=True)
class ThreadItem:
    """A message, a note, a text of the desk or several events in the order in which they happened."""

    at: datetime
    message: ThreadMessage | None = None
    note: TicketNoteRecord | None = None
    told: DeskText | None = None
    events: tuple[TicketEventRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownText:
    """The text of a message for its reader, and the other one of the two languages."""

    text: str
    language: str | None = None
    other: str = ""
    """The text in the other language; empty: there is none."""
    other_label: str = ""
    doubts: tuple[str, ...] = ()
    problem: str = ""
    """Why there is no translation; empty: there is one, or none was tried."""


class Presenter:
    """What templates ask for words; each has it as ``show``.

    Args:
        languages: the languages that the operator reads.
        now: the time.
    """

    views = VIEW_LABELS
    states = STATE_LABELS
    presets = PRESET_LABELS

    def __init__(self, languages: Sequence[str] = (), now: datetime | None = None) -> None:
        self._languages = tuple(languages)
        self.now = now or datetime.now(UTC)

    def ago(self, at: datetime) -> str:
        """Return how long ago or ahead a time is, such as ``5 min``."""
        seconds = (self.now - at).total_seconds()
        for unit, name in _UNITS:
            if abs(seconds) >= unit:
                return (
                    f"{int(abs(seconds) // unit)} {name}" if seconds > 0 else f"in {int(abs(seconds) // unit)} {name}"
                )
        return "now"

    def iso(self, at: datetime) -> str:
        """Return a time for the attribute ``datetime``."""
        return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def absolute(self, at: datetime) -> str:
        """Return a time in full."""
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

    def language(self, code: str | None) -> str:
        """Return the English name of a language."""
        return english_name(code) or code or ""

    def direction(self, language: str | None) -> str:
        """Return the direction of a language's script for ``dir``; by the text itself where it is unknown."""
        return "rtl" if language in _RIGHT_TO_LEFT else "auto"

    def reason(self, code: str | None) -> str:
        """Return why a ticket was handed over."""
        return reason_words(code)

    def argument(self, value: Any) -> str:
        """Return the value of an argument as it is shown and edited: a text as it is, anything else as JSON."""
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)

    def ended(self, approval: ApprovalRecord, call: PendingCall) -> str:
        """Return what became of a call that waited for an approval."""
        decision = approval.decisions.get(call.id)
        if decision is None:
            return f"not decided: {approval_words(approval.reason)}"
        did = f"{'approved' if decision.approved else 'declined'} by {decision.operator or 'a colleague'}"
        if not decision.approved:
            return did
        if approval.status == "decided":
            return f"{did}, not made yet"
        error = f": {decision.error}" if decision.error else ""
        return f"{did}, {decision.outcome or approval_words(approval.reason) or 'outcome unknown'}{error}"

    def text(self, message: ThreadMessage) -> ShownText:
        """Return the text that the operator reads of a message, and the other language's one click away."""
        if message.role == "operator":
            sent = next((one for one in message.translations if one.status == "done" and one.text), None)
            if sent:
                label = f"As sent, in {self.language(sent.language)}"
                return ShownText(message.text, None, sent.text, label, sent.doubts)
            refused = next((one for one in message.translations if one.status != "done"), None)
            return ShownText(message.text, problem=_problem(refused))
        read = [one for code in self._languages for one in message.translations if one.language == code]
        done = next((one for one in read if one.status == "done" and one.text), None)
        if done:
            return ShownText(done.text, done.language, message.text, "Original", done.doubts)
        return ShownText(message.text, problem=_problem(next(iter(read), None)))

    def event(self, event: TicketEventRecord) -> str:
        """Return what an event was, in words."""
        return event_words(event)


def _problem(translation: TranslationRecord | None) -> str:
    if translation is None or translation.status == "done":
        return ""
    if translation.doubts:
        return f"Not translated: {'; '.join(translation.doubts)}."
    if translation.status == "refused":
        return "Not translated: the translation changed a name, a number or a link."
    return "Not translated: no model answered."


def deliveries(thread: TicketThread, now: datetime | None = None) -> dict[str, str]:
    """Return what is known of the delivery of messages by their ids: ``queued``, ``sent`` or ``failed``.

    Deliveries are deleted after some weeks, and the ticket's events keep how they ended.
    """
    ended: dict[Any, str] = {}
    queued = set()
    for event in thread.events:
        number = event.changes.get("sequence")
        if event.kind in _ENDS:
            ended[number] = _ENDS[event.kind]
        elif event.kind == "replied" and "channel" not in event.changes:  # else the platform itself has sent it
            queued.add(number)
    since = (now or datetime.now(UTC)) - _DELIVERY_DAYS
    found: dict[str, str] = {}
    for message in thread.messages:
        status = message.delivery or (ended.get(message.sequence) if message.role != "user" else None)
        if status in ("sent", "failed"):
            found[message.id] = status
        elif message.role == "operator" and message.created_at > since and (status or message.sequence in queued):
            found[message.id] = "queued"
    return found


def thread_items(thread: TicketThread) -> list[ThreadItem]:
    """Return messages, notes and events in one order; events that follow each other are one item."""
    items = [ThreadItem(message.created_at, message=message) for message in thread.messages]
    items += [ThreadItem(note.created_at, note=note) for note in thread.notes]
    items += [ThreadItem(text.created_at, told=text) for text in thread.texts]
    items += [ThreadItem(event.at, events=(event,)) for event in thread.events if event.kind not in IN_THREAD]
    merged: list[ThreadItem] = []
    for item in sorted(items, key=lambda one: one.at):
        if item.events and merged and merged[-1].events:
            merged[-1] = ThreadItem(merged[-1].at, events=(*merged[-1].events, *item.events))
        else:
            merged.append(item)
    return merged


def operator_names(operators: Iterable[OperatorRecord]) -> dict[str, str]:
    """Return what operators are called among each other, by id; namesakes with their log-in names."""
    listed = list(operators)
    often = Counter(one.display_name for one in listed)
    return {
        one.id: f"{one.display_name} ({one.name})" if often[one.display_name] > 1 else one.display_name
        for one in listed
    }
