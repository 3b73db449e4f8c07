"""Store imported conversations as tickets, each in one transaction; nothing is queued, sent or answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import exists, func, insert, select, update
from uuid_utils import uuid7

from qwendesk.desk.imports.records import OpenState, SourceConversation, SourceMessage
from qwendesk.desk.imports.runs import KnownItem, add_item, known_item, set_details
from qwendesk.desk.inbox.repository import conversation_key
from qwendesk.desk.tickets.placement import next_number
from qwendesk.desk.tickets.records import IMPORT_CHANNEL, PRIORITIES, DeliveryAddress, TicketState
from qwendesk.desk.translations import detected_language
from qwendesk.memory.conversations.history import is_conversation
from qwendesk.memory.conversations.turns import TITLE_CHARS
from qwendesk.memory.tables.conversations import Conversation, Message
from qwendesk.memory.tables.imports import ImportItem
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import Ticket, TicketNote
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.routing.signals.language import base_language

_ROLES = {"customer": "user", "bot": "assistant", "operator": "operator"}
_LANGUAGE_CHARS = 2000
Stored = Literal["added", "changed", "unchanged", "deleted"]
MailAddress = Callable[[SourceConversation], DeliveryAddress | None]
"""Returns where mails to a conversation's customer go; None: its address is not known."""


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """What was done with a conversation."""

    stored: Stored
    messages: int = 0
    notes: int = 0


@dataclass(frozen=True, slots=True)
class ConversationRules:
    """How conversations become tickets."""

    open_as: OpenState = "waiting"
    """The state of those that are open."""
    teams: tuple[str, ...] = ()
    """Known teams; empty: any."""
    mail_address: MailAddress = lambda conversation: None
    """Where an operator's answer goes; without one, the ticket cannot be answered from here."""

    def team(self, name: str) -> str | None:
        """Return the team of a name; None if there is none."""
        known = {team.casefold(): team for team in self.teams}
        return known.get(name.casefold()) if known else name or None


class ConversationStore:
    """Stores conversations of one source.

    Args:
        database: the tenant's view of the database.
        run: the run.
        source: the name of the installation.
        rules: how conversations become tickets.
    """

    def __init__(self, database: TenantDatabase, run: str, source: str, rules: ConversationRules) -> None:
        self._database = database
        self._run = run
        self._source = source
        self._rules = rules

    async def known(self, external_id: str) -> KnownItem | None:
        """Return what is known of a conversation; None if it is new."""
        async with self._database.read() as connection:
            return await known_item(connection, self._source, "ticket", external_id)

    async def preview(self, given: SourceConversation) -> StoredConversation:
        """Return what ``add`` would do."""
        known = await self.known(given.external_id)
        new = _new(given, known)
        return _told("added" if known is None else _change(known, new), new if _is_kept(known) else ())

    @unit_of_work
    async def add(self, given: SourceConversation, person: str) -> StoredConversation:
        """Store a conversation, or its new messages if it was stored before.

        A ticket that nobody has touched here gets the state of the other system again.

        Args:
            given: the conversation.
            person: id of its customer.
        """
        async with self._database.write() as connection:
            known = await known_item(connection, self._source, "ticket", given.external_id)
            new = _new(given, known)
            operators = await _operators(connection)
            if known is None:
                ticket = await self._add_ticket(connection, given, person, operators)
                await self._add_messages(connection, ticket, given, person, new, operators)
                values = {"ticket_id": ticket, "last_message": max(one.number for one in new)}
                values |= {"details": {"mark": given.mark} if given.mark else {}}
                await add_item(connection, self._run, self._source, "ticket", given.external_id, **values)
                return _told("added", new)
            if given.mark:
                await set_details(connection, self._source, "ticket", given.external_id, mark=given.mark)
            if known.ticket_id is None:
                return _told("deleted", ())
            is_changed = await self._follow_state(connection, known.ticket_id, given, operators)
            if new:
                await self._add_messages(connection, known.ticket_id, given, person, new, operators)
                highest = max(one.number for one in new)
                here = ImportItem.id == known.id
                await connection.execute(update(ImportItem).where(here).values(last_message=highest))
        return _told("changed" if new or is_changed else "unchanged", new)

    async def _add_ticket(
        self, connection: TenantConnection, given: SourceConversation, person: str, operators: dict[str, str]
    ) -> str:
        conversation, delivery = await self._add_conversation(connection, given)
        language = _language(given)
        row = {
            "id": str(uuid7()),
            "number": await next_number(connection),
            "conversation_id": conversation,
            "person_id": person,
            "delivery": delivery.as_dict(),
            "subject": _subject(given),
            "priority": PRIORITIES.index(given.priority),
            "tags": list(dict.fromkeys(" ".join(tag.split()).casefold() for tag in given.tags)),
            "fields": given.fields,
            "team": self._rules.team(given.team),
            "language": language,
            "is_imported": True,
            "is_untouched": True,
            "created_at": given.created_at,
            **self._state(given, operators),
        }
        await connection.execute(insert(Ticket), row)
        return str(row["id"])

    async def _add_conversation(
        self, connection: TenantConnection, given: SourceConversation
    ) -> tuple[str, DeliveryAddress]:
        """Add the conversation, on the mail channel if it can go on there; return its id and where messages go."""
        contact = given.contact
        channel, key = IMPORT_CHANNEL.format(self._source), given.external_id
        delivery = DeliveryAddress("", key, contact.external_id, contact.name or contact.email or contact.phone)
        if address := self._rules.mail_address(given):
            place = conversation_key(address.account, address.conversation)
            here = select(exists(Conversation.id).where(*is_conversation("mail", "", place)))
            if not (await connection.execute(here)).scalar_one():
                channel, key, delivery = "mail", place, address
        row = {
            "id": str(uuid7()),
            "channel": channel,
            "account": "",
            "external_id": key,
            "next_sequence": 1,
            "title": _subject(given),
            "created_at": given.created_at,
            "updated_at": given.active_at,
        }
        await connection.execute(insert(Conversation), row)
        return str(row["id"]), delivery

    async def _follow_state(
        self, connection: TenantConnection, ticket: str, given: SourceConversation, operators: dict[str, str]
    ) -> bool:
        """Set the state of a ticket that nobody has touched here; return whether it has changed."""
        values = self._state(given, operators)
        before = select(Ticket.state).where(Ticket.id == ticket, Ticket.is_untouched)
        state = (await connection.execute(before)).scalar_one_or_none()
        if state is None:
            return False
        await connection.execute(update(Ticket).where(Ticket.id == ticket).values(**values))
        return bool(state != values["state"])

    def _state(self, given: SourceConversation, operators: dict[str, str]) -> dict[str, Any]:
        """Return the columns that follow the other system while nobody has touched the ticket here."""
        said = [one for one in given.messages if not one.is_note]
        last = said[-1] if said else given.messages[-1]
        first = next((one.at for one in said if one.writer == "operator"), None)
        operator = operators.get(given.assignee.casefold())
        now, until = datetime.now(UTC), given.snoozed_until
        state: TicketState
        if given.state == "resolved" or self._rules.open_as == "resolved":
            state = "resolved"
        elif given.state == "snoozed" and until and until > now:
            state = "snoozed"
        else:
            state = "human" if operator and last.writer == "operator" else "waiting"
        return {
            "state": state,
            "operator_id": operator,
            "snoozed_until": until if state == "snoozed" else None,
            "waiting_since": now if state == "waiting" else None,
            "first_response_at": first,
            "resolved_at": (given.resolved_at or given.active_at) if state == "resolved" else None,
            "last_message_at": last.at,
            "last_from": last.writer,
            "updated_at": given.active_at,
        }

    async def _add_messages(
        self,
        connection: TenantConnection,
        ticket: str,
        given: SourceConversation,
        person: str,
        new: Sequence[SourceMessage],
        operators: dict[str, str],
    ) -> None:
        of_ticket = select(Ticket.conversation_id).where(Ticket.id == ticket).scalar_subquery()
        here = select(Conversation.id, Conversation.next_sequence).where(Conversation.id == of_ticket)
        conversation, sequence = (await connection.execute(here.with_for_update(key_share=True))).one()
        messages, notes = [], []
        for one in new:
            operator = operators.get(one.author.casefold()) if one.author else None
            is_named = one.author and not operator and (one.is_note or one.writer == "operator")
            writer = {"operator_id": operator, "author": one.author if is_named else None}
            row: dict[str, Any] = {"id": str(uuid7()), "ticket_id": ticket, "text": one.text, "created_at": one.at}
            row |= writer
            if one.is_note:
                notes.append(row)
                continue
            row |= {"conversation_id": conversation, "sequence": sequence, "role": _ROLES[one.writer], "part": 0}
            messages.append({**row, "person_id": person if one.writer == "customer" else None})
            sequence += 1
        if messages:
            await connection.execute(insert(Message), messages)
        if notes:
            await connection.execute(insert(TicketNote), notes)
        # facts are not looked for in what was said elsewhere
        changes = {"next_sequence": sequence, "learned_sequence": sequence - 1}
        await connection.execute(update(Conversation).where(Conversation.id == conversation).values(**changes))


async def _operators(connection: TenantConnection) -> dict[str, str]:
    """Return ids of operators by their log-in names and the names that customers see, if one alone has it."""
    able = select(Operator.id, Operator.name, Operator.display_name).where(Operator.disabled_at.is_(None))
    shown = select(func.lower(Operator.display_name)).where(Operator.disabled_at.is_(None))
    names = list((await connection.execute(shown)).scalars())
    found: dict[str, str] = {}
    for id_, name, display_name in await connection.execute(able):
        if names.count(display_name.lower()) == 1:
            found[display_name.casefold()] = id_
        found[name.casefold()] = id_
    return found


def _is_kept(known: KnownItem | None) -> bool:
    return known is None or known.ticket_id is not None


def _change(known: KnownItem, new: Sequence[SourceMessage]) -> Stored:
    return "deleted" if known.ticket_id is None else "changed" if new else "unchanged"


def _new(given: SourceConversation, known: KnownItem | None) -> list[SourceMessage]:
    """Return the messages that are not stored yet."""
    last = known.last_message if known else None
    return [one for one in given.messages if last is None or one.number > last]


def _told(stored: Stored, new: Sequence[SourceMessage]) -> StoredConversation:
    notes = sum(one.is_note for one in new)
    return StoredConversation(stored, len(new) - notes, notes)


def _subject(given: SourceConversation) -> str:
    first = next((one.text for one in given.messages if one.writer == "customer"), given.messages[0].text)
    words = " ".join((given.subject or first)[: TITLE_CHARS * 8].split())
    return words if len(words) <= TITLE_CHARS else words[: TITLE_CHARS - 1].rstrip() + "…"


def _language(given: SourceConversation) -> str | None:
    said = "\n".join(one.text for one in given.messages if one.writer == "customer")[:_LANGUAGE_CHARS]
    reported = base_language(given.language)
    return detected_language(said) or (reported if reported.isalpha() and len(reported) in (2, 3) else None)
