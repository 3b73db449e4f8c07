"""The one path by which tickets change, for customers, the bot, operators, rules and programs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from cachetools import TTLCache
from sqlalchemy import exists, select, update
from uuid_utils import uuid7

from qwendesk.desk.handover.texts import handed_back_text, taken_over_text
from qwendesk.desk.inbox.acceptance import Enqueue
from qwendesk.desk.inbox.repository import ClaimedMessage
from qwendesk.desk.operators.names import language_codes
from qwendesk.desk.tickets.approval_records import drop_unless_bot_answers
from qwendesk.desk.tickets.assignment import (
    choose_operator,
    holder_at_work,
    known_team,
    require_operator,
    select_named,
    told_of_handover,
)
from qwendesk.desk.tickets.changes import (
    add_event,
    change_ticket,
    lock_ticket,
    read_ticket,
    require_state,
)
from qwendesk.desk.tickets.merging import merge_tickets, split_ticket
from qwendesk.desk.tickets.placement import LANGUAGE_IS_SET, newest_open
from qwendesk.desk.tickets.records import (
    BOT,
    PRIORITIES,
    Actor,
    Priority,
    TicketConflict,
    TicketError,
    TicketRecord,
    TicketRules,
)
from qwendesk.desk.tickets.sending import OutgoingMessage, is_stored, note_message, send_message
from qwendesk.desk.tickets.withdrawal import (
    answer_last_message,
    drop_answer,
    let_bot_answer,
    stop_bot,
    store_unanswered,
)
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import Ticket, TicketEvent, TicketNote
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.messages import Attachment, Inbound

_PRESENCE_CACHE_SECONDS = 2.0
HANDED_OVER_BY = "handed_over_by"
"""Signal: the message whose turn handed the ticket over; a repeated run of it tells the customer again."""
StopTurns = Callable[[Collection[str]], None]
"""Stops the turns of these messages in this process."""


BeforeChange = Callable[[TenantConnection, TicketRecord], Awaitable[bool]]


class Tickets:
    """The tickets of one tenant.

    Args:
        database: the tenant's view of the database.
        enqueue: adds a message to the durable queue, in a transaction.
        rules: when there are tickets, and how messages are put into them.
        stop_turns: stops turns that run in this process; other processes look at the database.
    """

    def __init__(
        self,
        database: TenantDatabase,
        enqueue: Enqueue,
        rules: TicketRules | None = None,
        stop_turns: StopTurns | None = None,
    ) -> None:
        self._database = database
        self._enqueue = enqueue
        self._rules = rules or TicketRules()
        self._stop_turns = stop_turns or (lambda ids: None)
        self._has_operators: TTLCache[str, bool] = TTLCache(1, _PRESENCE_CACHE_SECONDS)

    async def are_kept(self) -> bool:
        """Return whether messages are put into tickets: always, never, or where operators have accounts."""
        return self._rules.enabled == "on" or (self._rules.enabled == "auto" and await self.has_operators())

    async def has_operators(self) -> bool:
        """Return whether an operator's account exists that is not disabled."""
        known = self._has_operators.get("known")
        if known is None:
            statement = select(exists(Operator.id).where(Operator.disabled_at.is_(None)))
            async with self._database.read() as connection:
                known = bool((await connection.execute(statement)).scalar_one())
            self._has_operators["known"] = known
        return known

    # who answers

    @unit_of_work
    async def hand_over(
        self,
        ticket_id: str,
        actor: Actor,
        reason: str,
        *,
        by_message: ClaimedMessage | None = None,
        team: str | None = None,
        keeps_answer: bool = False,
        tells: bool = False,
        as_seen: TicketRecord | None = None,
        before: BeforeChange | None = None,
    ) -> TicketRecord:
        """Put a ticket into state ``waiting`` and assign it; one that waits or is held stays as it is.

        Args:
            ticket_id: the ticket's id.
            actor: who hands it over.
            reason: why, as a code such as ``asked``.
            by_message: the message whose turn hands it over, and tells the customer.
            team: the team that gets it; None: that of the ticket.
            keeps_answer: whether the customer gets that turn's answer, too.
            tells: whether the customer is told although a rule hands it over.
            as_seen: change it only as it was seen.
            before: what is done before in the same transaction; False: the ticket stays as it is.
        """
        async with self._change(
            ticket_id, as_seen, spared=by_message.id if by_message else "", follows=by_message is not None
        ) as (connection, ticket):
            if before and not await before(connection, ticket):
                return ticket
            if by_message:
                if not keeps_answer:
                    await drop_answer(connection, by_message, f"handed over: {reason}")
                await store_unanswered(self._database, connection, by_message)
            if ticket.state in ("waiting", "human"):
                return ticket
            is_told = by_message is None and (tells or actor.kind in ("operator", "api")) and ticket.bot_answers
            team = known_team(team, self._rules.teams) or ticket.team
            now = datetime.now(UTC)
            changes: dict[str, Any] = {
                "state": "waiting",
                "reason": reason,
                "team": team,
                "operator_id": await choose_operator(connection, team, ticket.language),
                "waiting_since": now,
                "snoozed_until": None,
                "resolved_at": None,
                "signals": {**ticket.signals, HANDED_OVER_BY: _handed_over_by(by_message, reason, keeps_answer)},
            }
            ticket = await change_ticket(connection, ticket, "handed_over", actor, changes, reason=reason, at=now)
            if is_told:
                told = told_of_handover(ticket, self._rules, ticket.language or ticket.delivery.locale)
                await self._send(connection, ticket, None, told, (), f"waits:{ticket.version}")
        return ticket

    @unit_of_work
    async def take_over(
        self, ticket_id: str, operator: Actor, *, force: bool = False, as_seen: TicketRecord | None = None
    ) -> TicketRecord:
        """Let an operator hold a ticket: open, assign and silence the bot, in one transaction.

        Args:
            ticket_id: the ticket's id.
            operator: who takes it.
            force: take it from a colleague.
            as_seen: change it only as it was seen.

        Raises:
            TicketConflict: a colleague holds it, or it has changed since it was seen.
        """
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            taken = await self._take(connection, ticket, operator, force=force)
            if self._rules.announce and taken.version != ticket.version:
                told = taken_over_text(taken.language, taken.operator_name)
                await self._send(connection, taken, None, told, (), f"taken_over:{taken.version}")
        return taken

    @unit_of_work
    async def hand_back(
        self, ticket_id: str, actor: Actor, reason: str = "", *, tell: str = "", as_seen: TicketRecord | None = None
    ) -> TicketRecord:
        """Let the bot answer again, beginning with the customer's last message if nobody has answered it.

        Args:
            ticket_id: the ticket's id.
            actor: who hands it back.
            reason: why.
            tell: what the customer is told; empty: nothing.
            as_seen: change it only as it was seen.

        Raises:
            TicketConflict: no operator holds it, and it does not wait for one, or it has changed since it was seen.
        """
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            require_state(ticket, ("human", "waiting", "snoozed"), "handed back")
            changes: dict[str, Any] = {
                "state": "bot",
                "operator_id": None,
                "waiting_since": None,
                "snoozed_until": None,
                "signals": {name: True for name in (LANGUAGE_IS_SET,) if ticket.signals.get(name)},
            }
            ticket = await change_ticket(connection, ticket, "handed_back", actor, changes, reason=reason)
            await let_bot_answer(connection, ticket)
            if self._rules.announce and actor.kind == "operator":
                tell = tell or handed_back_text(ticket.language)
            if tell:
                await self._send(connection, ticket, None, tell, (), f"handed_back:{ticket.version}")
            if self._rules.answer_after_hand_back:
                await answer_last_message(connection, self._enqueue, ticket)
        return ticket

    @unit_of_work
    async def assign(
        self, ticket_id: str, actor: Actor, operator_id: str | None, *, as_seen: TicketRecord | None = None
    ) -> TicketRecord:
        """Assign an open ticket to an operator, or to nobody; the bot is silent afterwards.

        Raises:
            TicketError: there is no such operator, or the account is disabled.
            TicketConflict: it has changed since it was seen.
        """
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            if operator_id is None:
                require_state(ticket, ("waiting", "human", "snoozed"), "unassigned")
                changes: dict[str, Any] = {"operator_id": None, "state": "waiting", "snoozed_until": None}
            else:
                await require_operator(connection, operator_id)
                is_same = operator_id == ticket.operator_id and ticket.state == "human"
                state = "human" if is_same else ticket.state if ticket.state == "snoozed" else "waiting"
                changes = {"operator_id": operator_id, "state": state, "resolved_at": None}
            if changes["state"] == "waiting":
                changes["waiting_since"] = ticket.waiting_since or datetime.now(UTC)
            ticket = await change_ticket(connection, ticket, "assigned", actor, changes)
        return ticket

    @unit_of_work
    async def escalate(self, ticket_id: str, actor: Actor, *, as_seen: TicketRecord | None = None) -> TicketRecord:
        """Raise the priority of a ticket that nobody takes by one, and choose an operator again.

        Raises:
            TicketConflict: it does not wait for an operator, or has changed since it was seen.
        """
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            require_state(ticket, ("waiting",), "escalated")
            changes = {
                "priority": min(PRIORITIES.index(ticket.priority) + 1, len(PRIORITIES) - 1),
                "operator_id": await choose_operator(connection, ticket.team, ticket.language),
            }
            ticket = await change_ticket(connection, ticket, "escalated", actor, changes)
        return ticket

    # the end of a matter

    @unit_of_work
    async def resolve(
        self,
        ticket_id: str,
        actor: Actor,
        reason: str = "",
        *,
        tell: str = "",
        as_seen: TicketRecord | None = None,
        resolved_at: datetime | None = None,
    ) -> TicketRecord:
        """Close a ticket; one that is closed stays as it is.

        Args:
            ticket_id: the ticket's id.
            actor: who closes it.
            reason: why.
            tell: what the customer is told; empty: nothing.
            as_seen: change it only as it was seen.
            resolved_at: when its matter ended; None: now.

        Raises:
            TicketConflict: it has changed since it was seen.
        """
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            if ticket.is_open:
                changes = {
                    "state": "resolved",
                    "resolved_at": resolved_at or datetime.now(UTC),
                    "waiting_since": None,
                    "snoozed_until": None,
                }
                ticket = await change_ticket(connection, ticket, "resolved", actor, changes, reason=reason)
                if tell:
                    await self._send(connection, ticket, None, tell, (), f"resolved:{ticket.version}")
        return ticket

    @unit_of_work
    async def reopen(self, ticket_id: str, actor: Actor, *, as_seen: TicketRecord | None = None) -> TicketRecord:
        """Open a resolved ticket again: for its operator if it had one, else for the bot."""
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            require_state(ticket, ("resolved",), "reopened")
            state = "waiting" if ticket.operator_id or ticket.first_response_at else "bot"
            holder = await holder_at_work(connection, ticket)
            changes: dict[str, Any] = {"state": state, "operator_id": holder, "resolved_at": None}
            if state == "waiting":
                changes["waiting_since"] = datetime.now(UTC)
            ticket = await change_ticket(connection, ticket, "reopened", actor, changes)
        return ticket

    @unit_of_work
    async def snooze(
        self, ticket_id: str, actor: Actor, until: datetime, *, as_seen: TicketRecord | None = None
    ) -> TicketRecord:
        """Set a ticket aside until then, or until its customer writes.

        Raises:
            TicketError: the time is over, or the ticket is resolved.
        """
        if until <= datetime.now(UTC):
            raise TicketError(f"The time to snooze until, {until.isoformat()!r}, is over; give one in the future.")
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            require_state(ticket, ("bot", "waiting", "human", "snoozed"), "snoozed")
            ticket = await change_ticket(
                connection, ticket, "snoozed", actor, {"state": "snoozed", "snoozed_until": until}
            )
        return ticket

    @unit_of_work
    async def wake(self, ticket_id: str, actor: Actor, *, as_seen: TicketRecord | None = None) -> TicketRecord:
        """End the snooze of a ticket: it waits again, for its operator if it had one; any other stays as it is.

        Raises:
            TicketConflict: it has changed since it was seen.
        """
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            if ticket.state == "snoozed":
                since = ticket.waiting_since or datetime.now(UTC)
                holder = await holder_at_work(connection, ticket)
                changes = {
                    "state": "waiting",
                    "operator_id": holder,
                    "snoozed_until": None,
                    "waiting_since": since,
                }
                ticket = await change_ticket(connection, ticket, "woken", actor, changes)
        return ticket

    # properties

    @unit_of_work
    async def update(
        self,
        ticket_id: str,
        actor: Actor,
        *,
        priority: Priority | None = None,
        subject: str | None = None,
        team: str | None = None,
        language: str | None = None,
        add_tags: Collection[str] = (),
        remove_tags: Collection[str] = (),
        fields: Mapping[str, Any] | None = None,
        reason: str = "",
        as_seen: TicketRecord | None = None,
    ) -> TicketRecord:
        """Change properties of a ticket; None leaves one as it is, an empty team or language removes it.

        Args:
            ticket_id: the ticket's id.
            actor: who changes it.
            priority: the priority.
            subject: the subject.
            team: the team.
            language: the customer's language, by its code or its English name.
            add_tags: tags to add.
            remove_tags: tags to remove.
            fields: custom fields to set; the value None removes one.
            reason: why.
            as_seen: change it only as it was seen.

        Raises:
            TicketConflict: it has changed since it was seen.
            InputError: there is no such priority, team or language.
        """
        if priority is not None and priority not in PRIORITIES:
            raise TicketError(f"There is no priority {priority!r}; it may be {', '.join(PRIORITIES)}.")
        removed = _tags(remove_tags)
        async with self._change(ticket_id, follows=actor.kind == "customer") as (connection, ticket):
            changes: dict[str, Any] = {}
            if priority is not None:
                changes["priority"] = PRIORITIES.index(priority)
            if subject is not None and subject.strip():
                changes["subject"] = subject.strip()
            if team is not None:
                changes["team"] = known_team(team, self._rules.teams)
            if language is not None:
                changes["language"] = next(iter(language_codes([language])), None)
                changes["signals"] = {**ticket.signals, LANGUAGE_IS_SET: bool(language)}
            if add_tags or remove_tags:
                kept = [tag for tag in dict.fromkeys((*ticket.tags, *_tags(add_tags))) if tag not in removed]
                changes["tags"] = kept
            if fields:
                merged = {**ticket.fields, **fields}
                changes["fields"] = {name: value for name, value in merged.items() if value is not None}
            if not _are_set(ticket, changes):
                noted: dict[str, Any] | None = None
                if fields:
                    noted = {name: value for name, value in changes.items() if name not in ("subject", "signals")}
                    noted |= {"fields": sorted(fields), **({"priority": priority} if priority else {})}
                ticket = await change_ticket(connection, ticket, "updated", actor, changes, reason=reason, noted=noted)
        return ticket

    @unit_of_work
    async def note_signals(self, ticket_id: str, signals: Mapping[str, Any], *, language: str | None = None) -> None:
        """Store what the rules of handing over count, and the customer's language; no event."""
        async with self._database.write() as connection:
            ticket = await lock_ticket(connection, ticket_id)
            kept = {name: value for name, value in {**ticket.signals, **signals}.items() if value is not None}
            changes: dict[str, Any] = {"signals": kept, "language": language or ticket.language}
            await connection.execute(update(Ticket).where(Ticket.id == ticket_id).values(**changes))

    @unit_of_work
    async def note_event(
        self, ticket_id: str, actor: Actor, kind: str, changes: Mapping[str, Any], *, as_seen: TicketRecord
    ) -> bool:
        """Store an event of a ticket that changes nothing, such as a broken promise; False if it is stored already.

        Raises:
            TicketConflict: the ticket has changed since it was seen.
        """
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            known = select(TicketEvent.changes).where(TicketEvent.ticket_id == ticket.id, TicketEvent.kind == kind)
            is_new = dict(changes) not in (await connection.execute(known)).scalars().all()
            if is_new:
                await add_event(connection, ticket.id, kind, actor, changes=dict(changes))
        return is_new

    @unit_of_work
    async def note(
        self,
        ticket_id: str,
        operator: Actor,
        text: str,
        mentions: Collection[str] = (),
        *,
        key: str = "",
        written_in: str = "",
    ) -> str:
        """Add a note that only operators see, the same key once; return its id.

        Args:
            ticket_id: the ticket's id.
            operator: who writes.
            text: the note.
            mentions: ids of the operators who are mentioned.
            key: identifies the note; empty: a new one.
            written_in: the channel of the operators' room that it was written in; empty: somewhere else.

        Raises:
            TicketError: the note is empty.
        """
        if not text.strip():
            raise TicketError("The note is empty.")
        async with self._database.write() as connection:
            await lock_ticket(connection, ticket_id)
            row = {
                "id": str(uuid5(UUID(ticket_id), key) if key else uuid7()),
                "ticket_id": ticket_id,
                "operator_id": operator.operator_id,
                "text": text.strip(),
                "mentions": list(mentions),
                "created_at": datetime.now(UTC),
            }
            adding = upsert(self._database.dialect, TicketNote).on_conflict_do_nothing(index_elements=["id"])
            if (await connection.execute(adding.returning(TicketNote.id), row)).scalar_one_or_none():
                changes = {"mentions": list(mentions), "note": row["id"], **_room(written_in)}
                await add_event(connection, ticket_id, "noted", operator, changes=changes)
        return str(row["id"])

    # matters that are one, or two

    @unit_of_work
    async def merge(self, ticket_id: str, into: str, actor: Actor) -> TicketRecord:
        """Move the messages and notes of a ticket into another one of the same conversation; return that one.

        Raises:
            TicketError: they are of different conversations, or the same ticket.
        """
        async with self._change(ticket_id) as (connection, ticket):
            target = await read_ticket(connection, into)
            merged = await merge_tickets(connection, ticket, target, actor)
            stopped = await stop_bot(connection, merged) if "bot" in (ticket.state, target.state) else []
            await drop_unless_bot_answers(connection, merged.id)
        self._stop_turns(stopped)
        return merged

    @unit_of_work
    async def split(self, ticket_id: str, actor: Actor, from_sequence: int, subject: str = "") -> TicketRecord:
        """Move the messages of a ticket from a number on into a new one, which has the same state and holder.

        Raises:
            TicketError: no message, or every message of the ticket, would be moved.
        """
        async with self._change(ticket_id) as (connection, ticket):
            new = await split_ticket(connection, ticket, actor, from_sequence, subject)
        return new

    # messages to the customer

    @unit_of_work
    async def reply(
        self,
        ticket_id: str,
        operator: Actor,
        text: str,
        files: Sequence[Attachment] = (),
        *,
        key: str = "",
        force: bool = False,
        written_in: str = "",
    ) -> TicketRecord:
        """Send an operator's message, which takes the ticket over; the same key sends it once.

        The message is stored at once and delivered by a worker, in the order of the conversation.

        Args:
            ticket_id: the ticket's id.
            operator: who writes.
            text: the message, in the operator's language.
            files: files that go with it.
            key: identifies the message; empty: a new one.
            force: write although a colleague holds the ticket, which takes it over.
            written_in: the channel of the operators' room that it was written in; empty: somewhere else.

        Raises:
            TicketConflict: a colleague holds the ticket.
            TicketError: there is neither a text nor a file.
        """
        if not text.strip() and not files:
            raise TicketError("The message is empty.")
        async with self._change(ticket_id) as (connection, ticket):
            if key and await is_stored(connection, ticket, key):
                return ticket
            ticket = await self._take(connection, ticket, operator, force=force)
            sequence = await self._send(connection, ticket, operator, text, files, key or str(uuid7()))
            if sequence is not None:
                now = datetime.now(UTC)
                changes: dict[str, Any] = {"last_message_at": now, "last_from": "operator", "waiting_since": None}
                if ticket.first_response_at is None:
                    changes["first_response_at"] = now
                noted = {"sequence": sequence, **_room(written_in)}
                ticket = await change_ticket(connection, ticket, "replied", operator, changes, noted=noted, at=now)
        return ticket

    async def has_sent(self, ticket_id: str, key: str) -> bool:
        """Return whether a message with this key was sent to the customer of a ticket."""
        async with self._database.read() as connection:
            return await is_stored(connection, await read_ticket(connection, ticket_id), key)

    @unit_of_work
    async def note_reply(self, inbound: Inbound) -> TicketRecord | None:
        """Take over the ticket of a conversation in which a person has answered on the platform itself, once.

        The holder is the operator with the person's name, or nobody known.

        Returns:
            The ticket; None if there is none, or the message is known.
        """
        if not await self.are_kept():
            return None
        async with self._database.read() as connection:
            ticket_id = (await connection.execute(newest_open(inbound))).scalar_one_or_none()
            operator_id = (await connection.execute(select_named(inbound.display_name))).scalar_one_or_none()
        if ticket_id is None:
            return None
        operator = Actor("operator", operator_id, inbound.display_name)
        async with self._change(ticket_id, follows=True) as (connection, ticket):
            sequence = await note_message(connection, self._database.dialect, ticket, inbound, operator)
            if sequence is None:
                return None
            now = datetime.now(UTC)
            changes: dict[str, Any] = {
                "state": "human",
                "operator_id": operator_id,
                "snoozed_until": None,
                "resolved_at": None,
                "waiting_since": None,
                "last_message_at": now,
                "last_from": "operator",
                "first_response_at": ticket.first_response_at or now,
            }
            noted = {"sequence": sequence, "channel": ticket.channel, "state": "human", "operator_id": operator_id}
            ticket = await change_ticket(connection, ticket, "replied", operator, changes, noted=noted, at=now)
        return ticket

    @unit_of_work
    async def tell(
        self,
        ticket_id: str,
        text: str,
        *,
        key: str,
        buttons: Sequence[Sequence[str]] = (),
        event: str = "",
        actor: Actor | None = None,
        as_seen: TicketRecord | None = None,
    ) -> bool:
        """Send a text of the desk to the customer, such as a reminder; False if this key was sent before.

        Args:
            ticket_id: the ticket's id.
            text: the text in the customer's language.
            key: identifies the text.
            buttons: pairs of a button's label and value.
            event: kind of the event that is stored with it; empty: none.
            actor: who sends it; None: the bot.
            as_seen: send it only if the ticket has not changed since it was seen.

        Raises:
            TicketConflict: it has changed since.
        """
        async with self._change(ticket_id, as_seen) as (connection, ticket):
            sent = await self._send(connection, ticket, None, text, (), key, buttons)
            if sent is not None and event:
                await add_event(connection, ticket.id, event, actor or BOT, changes={"sequence": sent})
        return sent is not None

    async def _take(
        self, connection: TenantConnection, ticket: TicketRecord, operator: Actor, *, force: bool
    ) -> TicketRecord:
        if operator.operator_id is None:
            raise TicketError("Only an operator can hold a ticket.")
        await require_operator(connection, operator.operator_id)
        if ticket.state == "human":
            if ticket.operator_id == operator.operator_id:
                return ticket
            if not force:
                holder = ticket.operator_name
                raise TicketConflict(f"{holder or 'A colleague'} holds ticket {ticket.number} already.", holder)
        changes: dict[str, Any] = {
            "state": "human",
            "operator_id": operator.operator_id,
            "snoozed_until": None,
            "resolved_at": None,
        }
        return await change_ticket(connection, ticket, "taken_over", operator, changes)

    async def tell_within(self, connection: TenantConnection, ticket: TicketRecord, text: str, key: str) -> None:
        """Send a text of the desk to a ticket's customer once, in a transaction that has locked the conversation."""
        await self._send(connection, ticket, None, text, (), key)

    async def _send(
        self,
        connection: TenantConnection,
        ticket: TicketRecord,
        operator: Actor | None,
        text: str,
        files: Sequence[Attachment],
        key: str,
        buttons: Sequence[Sequence[str]] = (),
    ) -> int | None:
        if not ticket.is_reachable:
            if operator is None:
                return None
            raise TicketError(
                f"Ticket {ticket.number} was imported, and nothing can be sent to its customer from here: answer where "
                "the customer writes, or import with --reply-by-mail."
            )
        outgoing = OutgoingMessage(text, key, operator, tuple(files), buttons)
        return await send_message(connection, self._database.dialect, self._enqueue, ticket, outgoing)

    @asynccontextmanager
    async def _change(
        self, ticket_id: str, as_seen: TicketRecord | None = None, *, spared: str = "", follows: bool = False
    ) -> AsyncIterator[tuple[TenantConnection, TicketRecord]]:
        """Lock a ticket for a change; afterwards, stop the bot's turn if the bot is to be silent now.

        Args:
            ticket_id: the ticket's id.
            as_seen: the ticket as the caller has seen it; None: it may have changed since.
            spared: id of a message whose turn goes on.
            follows: change the ticket into which it was merged meanwhile, if it was.

        Raises:
            TicketConflict: it has changed since it was seen, or its customer has written.
            TicketError: it was merged into another one.
        """
        stopped: list[str] = []
        async with self._database.write() as connection:
            before = await lock_ticket(connection, ticket_id, with_conversation=True)
            while before.merged_into_id:
                other = await lock_ticket(connection, before.merged_into_id)
                if not follows:
                    raise TicketError(f"Ticket {before.number} was merged into ticket {other.number}; use that one.")
                before = other
            if as_seen and (before.version, before.last_message_at) != (as_seen.version, as_seen.last_message_at):
                raise TicketConflict(f"Ticket {before.number} has changed meanwhile; look at it again.")
            yield connection, before
            stopped = await stop_bot(connection, before, spared) if before.bot_answers else []
            if before.state in ("bot", "snoozed"):
                await drop_unless_bot_answers(connection, before.id)
        self._stop_turns(stopped)


def _handed_over_by(message: ClaimedMessage | None, reason: str, keeps_answer: bool) -> dict[str, Any] | None:
    return {"message": message.id, "reason": reason, "keeps_answer": keeps_answer} if message else None


def _are_set(ticket: TicketRecord, changes: Mapping[str, Any]) -> bool:
    """Return whether a ticket has these values already."""
    values = {name: getattr(ticket, name) for name in changes}
    if "priority" in values:
        values["priority"] = PRIORITIES.index(ticket.priority)
    if "tags" in values:
        values["tags"] = list(ticket.tags)
    return values == dict(changes)


def _room(channel: str) -> dict[str, str]:
    """Return what an event notes of the operators' room that its text was written in."""
    return {"room": channel} if channel else {}


def _tags(tags: Collection[str]) -> list[str]:
    return [cleaned for tag in tags if (cleaned := " ".join(tag.split()).casefold())]
