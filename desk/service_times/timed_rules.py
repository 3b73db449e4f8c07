"""What happens to tickets by the clock: snoozes end, promises are watched, customers reminded, operators relieved."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import exists, select

from qwendesk.desk.handover.texts import handed_back_text, resolved_text
from qwendesk.desk.hours.desk_hours import DeskHours
from qwendesk.desk.inbox.repository import OPEN
from qwendesk.desk.service_times.clocks import sla_of
from qwendesk.desk.service_times.history import TicketHistories, of_kind, silent_since, waits_since
from qwendesk.desk.tickets.approval_records import WAITING
from qwendesk.desk.tickets.changes import select_tickets
from qwendesk.desk.tickets.placement import IDLE
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import Actor, TicketError, TicketEventRecord, TicketRecord, ticket_record
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import say
from qwendesk.memory.tables.conversations import Message
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import Ticket, TicketApproval
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.periodic import PeriodicTask
from qwendesk.service_times_settings import FollowUpSettings, ServiceTimesSettings

_INTERVAL_SECONDS = 30.0
_BATCH = 500
"""Tickets of which one query tells whether they have other events than in the last round."""
_IDLE_AT_ONCE = 200
"""Tickets of the bot that a round closes at most."""
_CHANGED_LATELY = timedelta(minutes=30)
"""For how long a ticket is still looked at after its last change, whatever its state: a promise may have been broken
just before it was resolved."""
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S*[\w/=&#]")
_MARK = re.compile("[?？؟⁇⁈⁉‽¿՞፧⸮꘏꛷\u037e]")
_GREEK_MARK = re.compile(r"[\u0370-\u03ff][^.!\n]*;\s*(?:\n|\Z)")
"""Greek asks with a semicolon, which is written as the ASCII one."""
_ENDINGS = re.compile(
    r"(?:か|かな|の)[\s。」）]*(?:\n|\Z)"  # Japanese
    r"|[吗嗎呢][\s。」）]*(?:\n|\Z)"
    r"|(?:까|나요|가요|는지요)[\s.]*(?:\n|\Z)"
    r"|(?:ไหม|มั้ย|หรือยัง|หรือเปล่า|หรือไม่)(?:ครับ|คะ|ค่ะ)?\s*(?:\n|\Z)"
    r"|(?:ទេ|ឬ)[\s។]*(?:\n|\Z)|ບໍ[່]?\s*(?:\n|\Z)|လား[\s။]*(?:\n|\Z)"
)
"""Ends of questions of the languages that often write no question mark."""
Events = Sequence[TicketEventRecord]
Step = Callable[[TicketRecord, Events, datetime], Awaitable[bool]]
WARNING, BREACH, REMINDED = "sla_warning", "sla_breached", "reminded"
log = logging.getLogger(__name__)


class TimedRules:
    """Applies the rules of time to all tickets, in rounds.

    Each effect happens once: a ticket is changed only as it was seen, in the transaction that stores the event by which
    the next round knows of it. So several processes may run rounds at the same time.

    Args:
        database: the tenant's view of the database.
        tickets: changes tickets.
        hours: the opening hours.
        service_times: the promised times.
        follow_ups: which rules apply.
        idle_after: silence after which a ticket of the bot is closed.
        interval_seconds: time between two rounds.
    """

    def __init__(
        self,
        database: TenantDatabase,
        tickets: Tickets,
        hours: DeskHours,
        service_times: ServiceTimesSettings,
        follow_ups: FollowUpSettings,
        idle_after: timedelta,
        interval_seconds: float = _INTERVAL_SECONDS,
    ) -> None:
        self._database = database
        self._tickets = tickets
        self._histories = TicketHistories(TicketQueries(database))
        self._hours = hours
        self._service_times = service_times
        self._follow_ups = follow_ups
        self._idle_after = idle_after
        self._task = PeriodicTask(self._round, interval_seconds, "the rules of time")
        # the first step that changes a ticket is the last one of the round
        self._steps: tuple[Step, ...] = (
            self._note_service_times,
            self._wake,
            self._give_back_to_bot,
            self._escalate,
            self._relieve_holder,
            self._remind,
        )

    async def start(self) -> None:
        """Start the rounds."""
        self._task.start()

    async def stop(self) -> None:
        """Stop the rounds."""
        await self._task.stop()

    async def once(self, now: datetime | None = None) -> None:
        """Apply the rules to all tickets.

        Args:
            now: the time that counts; None: the clock's.
        """
        now = now or datetime.now(UTC)
        tickets = [ticket for ticket in await self._candidates(now) if self._may_be_due(ticket, now)]
        self._histories.keep_only([ticket.id for ticket in tickets])
        for batch in _batches(tickets):
            events = await self._histories.of([ticket.id for ticket in batch])
            for ticket in batch:
                await self._apply(ticket, events[ticket.id], now)
        await self._close_idle(now)

    async def _round(self) -> None:
        if await self._tickets.are_kept():
            await self.once()

    async def _candidates(self, now: datetime) -> list[TicketRecord]:
        of_people = Ticket.state.in_(["waiting", "human", "snoozed"])
        # what another help desk promised or left waiting does not count before somebody here has touched it
        is_untouched = Ticket.is_untouched & (Ticket.state != "snoozed")
        statement = select_tickets().where(of_people | (Ticket.updated_at >= now - _CHANGED_LATELY), ~is_untouched)
        async with self._database.read() as connection:
            return [ticket_record(row) for row in await connection.execute(statement.order_by(Ticket.id))]

    def _may_be_due(self, ticket: TicketRecord, now: datetime) -> bool:
        """Return whether a rule may apply to a ticket; its events tell whether one does."""
        rules, targets = self._follow_ups, self._service_times.of(ticket.team)
        if ticket.priority in targets.first_response or ticket.priority in targets.resolution:
            return True
        awaits_customer = ticket.last_from == "operator"
        return {
            "snoozed": (ticket.snoozed_until or now) <= now,
            "waiting": bool(rules.escalate_after or rules.waiting_timeout),
            # of two merged tickets, the last message may answer only one
            "human": bool(rules.holder_timeout or (awaits_customer and rules.reminders)),
        }.get(ticket.state, False)

    async def _apply(self, ticket: TicketRecord, events: Events, now: datetime) -> None:
        for step in self._steps:
            try:
                if await step(ticket, events, now):
                    return
            except TicketError as error:  # somebody was faster; the next round looks at it again
                log.debug("A rule of time is not applied to ticket %s: %s", ticket.number, error)
                return

    async def _close_idle(self, now: datetime) -> None:
        """Resolve tickets of the bot after a long silence: their matter ended with the last message."""
        waits = exists(InboundEvent.id).where(InboundEvent.conversation_id == Ticket.conversation_id, OPEN)
        asks = exists(TicketApproval.id).where(TicketApproval.ticket_id == Ticket.id, WAITING)
        silent = (Ticket.state == "bot") & (Ticket.last_message_at < now - self._idle_after) & ~waits & ~asks
        statement = select_tickets().where(silent).order_by(Ticket.last_message_at).limit(_IDLE_AT_ONCE)
        async with self._database.read() as connection:
            tickets = [ticket_record(row) for row in await connection.execute(statement)]
        for ticket in tickets:
            try:
                await self._tickets.resolve(ticket.id, IDLE, as_seen=ticket, resolved_at=ticket.last_message_at)
            except TicketError as error:
                log.debug("Ticket %s is not closed: %s", ticket.number, error)

    async def _note_service_times(self, ticket: TicketRecord, events: Events, now: datetime) -> bool:
        times = sla_of(ticket, events, self._service_times, self._hours, now, with_due=False)
        for clock in times.clocks:
            noted = {(event.kind, event.changes.get("clock")) for event in events}
            kind = BREACH if clock.is_breached else WARNING
            if (clock.is_breached or (clock.is_warned and not clock.is_done)) and (kind, clock.name) not in noted:
                actor = Actor.rule("service_times")
                await self._tickets.note_event(ticket.id, actor, kind, {"clock": clock.name}, as_seen=ticket)
        return False

    async def _wake(self, ticket: TicketRecord, events: Events, now: datetime) -> bool:
        """End a snooze at the time that an operator set, whether the desk is open or not."""
        if ticket.state != "snoozed" or ticket.snoozed_until is None or ticket.snoozed_until > now:
            return False
        await self._tickets.wake(ticket.id, Actor.rule("snooze"), as_seen=ticket)
        return True

    async def _give_back_to_bot(self, ticket: TicketRecord, events: Events, now: datetime) -> bool:
        limit = self._follow_ups.waiting_timeout
        if limit is None or self._open_since(ticket, waits_since(ticket, events), now) < limit:
            return False
        told = handed_back_text(_language(ticket), nobody_came=True)
        await self._tickets.hand_back(
            ticket.id, Actor.rule("waiting_timeout"), "waiting_timeout", tell=told, as_seen=ticket
        )
        return True

    async def _escalate(self, ticket: TicketRecord, events: Events, now: datetime) -> bool:
        step = self._follow_ups.escalate_after
        if ticket.state != "waiting" or step is None:
            return False
        since = waits_since(ticket, events)
        escalated = of_kind(events, "escalated", since)
        if (escalated and ticket.priority == "urgent") or (
            self._open_since(ticket, since, now) < step * (len(escalated) + 1)
        ):
            return False
        # after a stop of the desk, it does not rise by several steps at once
        if escalated and self._open_since(ticket, escalated[-1].at, now) < step:
            return False
        await self._tickets.escalate(ticket.id, Actor.rule("escalation"), as_seen=ticket)
        return True

    async def _relieve_holder(self, ticket: TicketRecord, events: Events, now: datetime) -> bool:
        limit = self._follow_ups.holder_timeout
        if ticket.state != "human" or limit is None:
            return False
        if self._open_since(ticket, silent_since(events), now) < limit:
            return False
        actor = Actor.rule("holder_timeout")
        if self._follow_ups.holder_timeout_action == "hand_back":
            told = handed_back_text(_language(ticket), nobody_came=True)
            await self._tickets.hand_back(ticket.id, actor, "holder_timeout", tell=told, as_seen=ticket)
        else:
            await self._tickets.assign(ticket.id, actor, None, as_seen=ticket)
        return True

    async def _remind(self, ticket: TicketRecord, events: Events, now: datetime) -> bool:
        """Remind a customer of a question, or resolve the ticket after the last reminder."""
        settings, asked = self._follow_ups, of_kind(events, "replied")
        awaits_customer = ticket.state == "human" and ticket.last_from == "operator" and asked
        if not settings.reminders or not awaits_customer or not self._hours.of(ticket.team).is_open(now):
            return False
        question = asked[-1]
        sent = of_kind(events, REMINDED, question.at)
        is_last = len(sent) >= settings.reminders
        pause = settings.resolve_after if is_last else settings.remind_after
        since = now - (sent[-1] if sent else question).at
        if pause is None or since < pause or not await self._is_open_question(ticket, question):
            return False
        actor = Actor.rule("reminder")
        if is_last:
            told = resolved_text(_language(ticket))
            await self._tickets.resolve(ticket.id, actor, "no_answer", tell=told, as_seen=ticket)
        else:
            await self._tickets.tell(
                ticket.id,
                say("reminder", _language(ticket)),
                key=f"reminder:{question.id}:{len(sent) + 1}",
                event=REMINDED,
                actor=actor,
                as_seen=ticket,
            )
        return True

    async def _is_open_question(self, ticket: TicketRecord, question: TicketEventRecord) -> bool:
        """Return whether an operator's message asks something, and no message of the customer waits in the queue."""
        here = (Message.conversation_id == ticket.conversation_id) & (Message.role == "operator")
        text = select(Message.text).where(here, Message.sequence == question.changes.get("sequence"))
        waiting = (InboundEvent.conversation_id == ticket.conversation_id) & (InboundEvent.source == "customer")
        async with self._database.read() as connection:
            asked = (await connection.execute(text)).scalars().first()
            has_written = (await connection.execute(select(exists(InboundEvent.id).where(waiting, OPEN)))).scalar_one()
        return bool(asked) and asks_something(str(asked)) and not has_written

    def _open_since(self, ticket: TicketRecord, since: datetime | None, now: datetime) -> timedelta:
        return self._hours.of(ticket.team).open_time_between(since, now) if since else timedelta()


def _batches(tickets: Sequence[TicketRecord]) -> Iterator[Sequence[TicketRecord]]:
    for first in range(0, len(tickets), _BATCH):
        yield tickets[first : first + _BATCH]


def _language(ticket: TicketRecord) -> str | None:
    return ticket.language or ticket.delivery.locale


def asks_something(text: str) -> bool:
    """Return whether a text holds a question: a question mark outside addresses, or the ending of a question."""
    plain = _ADDRESS.sub("", text)
    return bool(_MARK.search(plain) or _GREEK_MARK.search(plain) or _ENDINGS.search(plain))
