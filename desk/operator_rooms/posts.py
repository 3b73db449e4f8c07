"""What is posted about a ticket in an operators' room, as Markdown; a customer's words are shown as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from qwendesk.desk.handover.reasons import REASONS
from qwendesk.desk.handover.summary import handover_summary
from qwendesk.desk.interpreter.interpreter import Interpreter, OriginalMessage
from qwendesk.desk.operator_rooms.room import OperatorsRoom
from qwendesk.desk.tickets.approval_records import ApprovalRecord
from qwendesk.desk.tickets.queries import ThreadMessage, TicketQueries, TicketThread, read_event, read_event_text
from qwendesk.desk.tickets.records import TicketEventRecord, TicketGone, TicketRecord
from qwendesk.desk.translations import say
from qwendesk.desk.workspace.details import MessageDetails
from qwendesk.desk.workspace.event_words import IN_THREAD, STATE_LABELS, event_words
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.messages import Attachment, kind_of
from qwendesk.printable import literal_markdown, one_line
from qwendesk.redaction import redact
from qwendesk.routing.signals.language import english_name

_SIGNS = {"bot": "🤖", "waiting": "🔴", "human": "🟢", "snoozed": "💤", "resolved": "✅"}
_NEWEST_MESSAGES = 100
_SHOWN_MESSAGES = 6
"""Messages with which a thread begins."""
_MAX_SHOWN_CHARS = 1500
"""Characters of each of them."""
_MAX_TITLE_CHARS = 100
_BLANK_AT_START = re.compile(r"^[ \t]+", re.MULTILINE)
_ROLES = {"message": "user", "answered": "assistant", "replied": "operator"}
"""The role of the message that an event is about."""
_STORED_AFTER = timedelta(minutes=2)
"""Time after which a message that is not stored is not going to be."""
_UNTOLD = frozenset({"opened", "delivered"})
_DECISIONS = frozenset({"approved", "declined"})
"""Told also in the room in which they were made: the command names an id alone."""


@dataclass(frozen=True, slots=True)
class RoomPost:
    """A text with files for the thread of a ticket."""

    text: str
    files: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Introduction:
    """The text with which a thread begins, the ticket it is about, and up to where it tells what has happened."""

    text: str
    ticket: TicketRecord
    newest_sequence: int
    newest_event_id: str


class RoomPosts:
    """Makes the posts of one room.

    Args:
        database: the tenant's view of the database.
        channel: the room's channel.
        room: the room.
        interpreter: translates messages into the room's language; None: they are shown as they were written.
    """

    def __init__(
        self, database: TenantDatabase, channel: str, room: OperatorsRoom, interpreter: Interpreter | None = None
    ) -> None:
        self._database = database
        self._channel = channel
        self._room = room
        self._interpreter = interpreter
        self._queries = TicketQueries(database)
        self._details = MessageDetails(database)

    async def event(self, event_id: str) -> tuple[TicketEventRecord, TicketRecord] | None:
        """Return an event and its ticket; None: they were deleted."""
        async with self._database.read() as connection:
            event = await read_event(connection, event_id)
        try:
            return (event, await self._queries.get(event.ticket_id)) if event else None
        except TicketGone:
            return None

    async def introduction(self, ticket: TicketRecord, opened_at: datetime) -> Introduction:
        """Return the summary of a ticket with its last messages.

        Args:
            ticket: the ticket.
            opened_at: when its thread was opened; what was written there since is not repeated.
        """
        thread = await self._queries.thread(ticket.id, limit=_NEWEST_MESSAGES)
        asked = [message.text for message in thread.messages if message.role == "user"]
        reason = next((one for one in REASONS if one == ticket.reason), None)
        lines: list[str] = []
        if reason:
            receipts = await self._details.receipts(ticket.id)
            lines = handover_summary(reason, asked, receipts, language=ticket.language).lines()
        parts = ["\n".join(f"- {_literal(line)}" for line in lines)]
        since = (one for one in thread.events if one.at >= opened_at and self._was_written_here(one))
        written_here = {one.changes.get("sequence") for one in since}
        told = [one for one in thread.messages if one.role != "operator" or one.sequence not in written_here]
        for message in told[-_SHOWN_MESSAGES:]:
            said = await self._said(thread.ticket, message, _cut(message.text))
            parts.append("\n".join(filter(None, (said, await self._file_names([message])))))
        parts += [_question(approval) for approval in thread.approvals if approval.status == "waiting"]
        newest = _newest_shown(thread)
        event_id = thread.events[-1].id if thread.events else ""
        return Introduction("\n\n".join(filter(None, parts)), thread.ticket, newest, event_id)

    async def post(self, event: TicketEventRecord, *, with_files: bool) -> RoomPost | None:
        """Return what is posted of an event; None: nothing.

        Args:
            event: the event.
            with_files: whether files are posted; otherwise they are named.
        """
        if self._was_written_here(event) or event.kind in _UNTOLD:
            return None
        if event.kind == "approval_needed":
            found = (await self._queries.thread(event.ticket_id, limit=1)).approvals
            waiting = [_question(approval) for approval in found if approval.status == "waiting"]
            return RoomPost("\n\n".join(waiting)) if waiting else RoomPost(f"*{_literal(event_words(event))}*")
        if event.kind not in IN_THREAD:
            if event.kind == "updated" and event.actor in ("customer", "bot"):
                return None
            return RoomPost(f"*{_literal(event_words(event))}*")
        thread = await self._queries.thread(event.ticket_id, limit=_NEWEST_MESSAGES)
        if event.kind == "not_delivered":
            return RoomPost("⚠️ *A message to the customer was not delivered.*")
        if event.kind == "noted":
            note = next((one for one in thread.notes if one.id == event.changes.get("note")), None)
            return RoomPost(f"📝 **{_literal(note.operator_name)}:** {_literal(note.text)}") if note else None
        return await self._message(thread, event, with_files=with_files)

    def _was_written_here(self, event: TicketEventRecord) -> bool:
        return event.changes.get("room") == self._channel and event.kind not in _DECISIONS

    async def _message(self, thread: TicketThread, event: TicketEventRecord, *, with_files: bool) -> RoomPost | None:
        role = _ROLES[event.kind]
        sequence = event.changes.get("sequence")
        messages = [one for one in thread.messages if (one.sequence, one.role) == (sequence, role)]
        if not messages:  # a turn has not stored it yet
            async with self._database.read() as connection:
                text = await read_event_text(connection, thread.ticket, event)
            return RoomPost(_named(thread.ticket.customer, _literal(text))) if text and role == "user" else None
        texts = [await self._said(thread.ticket, one, one.text) for one in messages]
        files = await self._files(thread.ticket, messages) if with_files else ()
        names = "" if files else await self._file_names(messages)
        return RoomPost("\n\n".join(filter(None, (*texts, names))), files)

    async def _said(self, ticket: TicketRecord, message: ThreadMessage, text: str) -> str:
        """Return a message with its author, and in the room's language with the original below it."""
        if message.role == "operator":
            return _named(message.operator_name or "Operator", text)
        translated = await self._translated(ticket, message)
        if message.role == "assistant":
            return f"🤖\n\n{translated or text}"
        if not text.strip():
            return _named(ticket.customer, "")
        if translated is None:
            return _named(ticket.customer, _literal(text))
        quoted = "\n".join(f"> {line}" for line in _literal(text).split("\n"))
        return f"{_named(ticket.customer, _literal(_cut(translated)))}\n\n{quoted}"

    async def _translated(self, ticket: TicketRecord, message: ThreadMessage) -> str | None:
        if self._interpreter is None or not self._room.language or not message.text.strip():
            return None
        names = tuple(filter(None, [ticket.delivery.display_name]))
        original = OriginalMessage(message.text, message.id, ticket.language, names=names)
        made = await self._interpreter.interpret_for_operator(original, self._room.language)
        return made.text if made.status == "done" else None

    async def _file_names(self, messages: Sequence[ThreadMessage]) -> str:
        found = await self._details.files([one.id for one in messages if one.attachments])
        return "\n".join(f"📎 {_literal(file.name or file.kind)}" for files in found.values() for file in files)

    async def _files(self, ticket: TicketRecord, messages: Sequence[ThreadMessage]) -> tuple[Attachment, ...]:
        found = await self._details.files([one.id for one in messages if one.attachments])
        files = []
        for info in (file for of_message in found.values() for file in of_message):
            if stored := await self._details.file(ticket.id, info.id):
                files.append(Attachment(kind_of(info.mime), info.mime, stored[1], info.name))
        return tuple(files)


def _question(approval: ApprovalRecord) -> str:
    """Return the calls that wait for an approval, with the commands that decide on them."""
    lines = ["⏳ **The bot waits for an approval:**"]
    for call in approval.undecided:
        arguments = ", ".join(f"{name}={value!r}" for name, value in approval.arguments(call).items())
        lines.append(f"- {_literal(redact(f'{call.tool}({arguments})'))}: {_literal(call.reason)}")
        lines.append(f"  `!approve {call.id}` · `!approve {call.id} NAME=VALUE` · `!decline {call.id}`")
    return "\n".join(lines)


def _newest_shown(thread: TicketThread) -> int:
    """Return up to which number all messages of a thread are stored, which a turn that runs may not have done yet."""
    stored = {(one.role, one.sequence) for one in thread.messages}
    since = datetime.now(UTC) - _STORED_AFTER
    missing: list[int] = [
        sequence
        for event in thread.events
        if event.kind in _ROLES and event.at > since
        if (sequence := event.changes.get("sequence")) and (_ROLES[event.kind], sequence) not in stored
    ]
    newest = max((sequence for _, sequence in stored), default=0)
    return min([newest, *(int(sequence) - 1 for sequence in missing)])


def not_shown(ticket: TicketRecord, language: str) -> str:
    """Return what is posted in place of something that the platform refuses."""
    return f"⚠️ {_literal(say('room_not_shown', language, number=ticket.number))}"


def title(ticket: TicketRecord) -> str:
    """Return the title of a ticket's thread."""
    return f"#{ticket.number} {one_line(ticket.customer)}"[:_MAX_TITLE_CHARS].strip()


def short_head(ticket: TicketRecord) -> str:
    """Return the first message of a ticket's thread without anything that a person has written."""
    return f"**#{ticket.number}** {ticket.channel}\n{_SIGNS[ticket.state]} {STATE_LABELS[ticket.state]}"


def head(ticket: TicketRecord) -> str:
    """Return the first message of a ticket's thread: which ticket it is, and who answers."""
    language = english_name(ticket.language) or ticket.language or ""
    told = filter(None, (_literal(ticket.customer), ticket.channel, language, _literal(ticket.team or "")))
    state = f"{_SIGNS[ticket.state]} {_state(ticket)}"
    return f"**#{ticket.number}** {' · '.join(told)}\n{state} · {_literal(one_line(ticket.subject))}"


def _state(ticket: TicketRecord) -> str:
    label = STATE_LABELS[ticket.state]
    return f"{label}: {_literal(ticket.operator_name)}" if ticket.operator_name and ticket.is_open else label


def _named(name: str, text: str) -> str:
    return f"**{_literal(one_line(name))}:** {text}".rstrip()


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"


def _literal(text: str) -> str:
    """Return a text as Markdown that shows it as it is; spaces at the beginning of lines would mark code."""
    return literal_markdown(_BLANK_AT_START.sub("", text))
