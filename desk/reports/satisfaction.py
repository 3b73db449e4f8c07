"""Ask a customer once how the help in a ticket was, and store the answer (CSAT)."""

from __future__ import annotations

import logging
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import exists, select, update
from uuid_utils import uuid7

from qwendesk.desk.commands.chat_commands import ChatCommands, Command, CommandCall, CommandResult
from qwendesk.desk.tickets.changes import select_tickets
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import OPEN_STATES, TicketError, TicketRecord, ticket_record
from qwendesk.desk.tickets.sending import event_of
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import say
from qwendesk.errors import QwendeskError
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.reports import TicketRating
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.periodic import PeriodicTask

PRESS = "csat"
"""Command that a button of the question sends, before the ticket's number and the score."""
SCORES = range(1, 6)
STARS = ("1 ★", "2 ★", "3 ★", "4 ★", "5 ★")
"""Labels of the buttons, the worst first; they read the same in every language."""
ANSWER_TIME = timedelta(days=3)
"""How long after the question a bare number is taken for its answer."""
CORRECTION_TIME = timedelta(minutes=10)
"""How long after an answer a bare number corrects it."""
ASKED_AFTER = timedelta(hours=1)
"""How long after its resolution a ticket's customer is asked, such as after the desk was started again."""
_INTERVAL_SECONDS = 30.0
_KEY = "csat"
_PRESSED = re.compile(r"(?P<number>[0-9]{1,9}):(?P<score>[1-5])(?:\s+(?P<comment>.*))?", re.DOTALL)
_MAX_COMMENT_CHARS = 2000
_MAX_ANSWERS = 20
"""Messages after the question from which a number is not looked at any more."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SatisfactionScore:
    """A customer's answer to the question."""

    score: int
    """1 (bad) to 5 (very good)."""
    comment: str = ""


def read_score(text: str) -> SatisfactionScore | None:
    """Return the score of a text such as ``4``, ``٤``, ``★★★★`` or ``5 Thanks!``; None: it is something else.

    A text whose number may belong to something else, such as ``4 weeks``, is no score: a comment begins after a stop or
    on a new line.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    if stars := re.fullmatch(r"[★⭐]{1,5}(?:\ufe0f)?", plain):
        return SatisfactionScore(len(stars[0].replace("\ufe0f", "")))
    found = re.fullmatch(r"(\d)(?:\s*/\s*(\d))?(?:\s*[.,!:;\n-](?!\d)\s*(.*))?", plain, re.DOTALL)
    if found is None or unicodedata.digit(found[1]) not in SCORES:
        return None
    if found[2] and unicodedata.digit(found[2]) != SCORES[-1]:
        return None
    return SatisfactionScore(unicodedata.digit(found[1]), (found[3] or "").strip()[:_MAX_COMMENT_CHARS])


class Satisfaction:
    """The ratings of one tenant's tickets.

    Args:
        database: the tenant's view of the database.
        tickets: changes tickets and sends the question.
    """

    def __init__(self, database: TenantDatabase, tickets: Tickets) -> None:
        self._database = database
        self._tickets = tickets
        self._queries = TicketQueries(database)
        self._task = PeriodicTask(self.ask_due, _INTERVAL_SECONDS, "asking for ratings")

    async def start(self) -> None:
        """Start to ask the customers of resolved tickets."""
        self._task.start()

    async def stop(self) -> None:
        """Stop to ask."""
        await self._task.stop()

    def register(self, commands: ChatCommands) -> None:
        """Add the handler of the question's buttons."""
        commands.add_hidden(PRESS, self._pressed)

    async def ask(self, ticket: TicketRecord) -> bool:
        """Ask the customer of a resolved ticket, once; False if that was done before.

        Raises:
            TicketError: the ticket has changed since it was read, such as reopened, or was deleted.
        """
        buttons = [[label, f"{PRESS}:{ticket.number}:{score}"] for label, score in zip(STARS, SCORES, strict=True)]
        text = say("csat_question", ticket.language or ticket.delivery.locale)
        # the key sends it once: a process that ends before the row is stored asks no second time
        is_new = await self._tickets.tell(ticket.id, text, key=_KEY, buttons=buttons, as_seen=ticket)
        await self._database.shield(self._add(ticket))
        return is_new

    async def command_of(self, text: str, conversation_id: str, sequence: int | None = None) -> Command | None:
        """Return the command that a bare score in a conversation stands for; None: the text is something else.

        It is the answer to the newest question there; for some minutes, a further score corrects it. A number answers
        something else where anybody has written since the question, or where another ticket is open.

        Args:
            text: the customer's message.
            conversation_id: the conversation.
            sequence: the message's number there; None: it comes next.
        """
        given = read_score(text)
        if given is None:
            return None
        now = datetime.now(UTC)
        is_open = TicketRating.score.is_(None) | (TicketRating.answered_at >= now - CORRECTION_TIME)
        statement = (
            select(Ticket.id, Ticket.number)
            .join(TicketRating, TicketRating.ticket_id == Ticket.id)
            .where(Ticket.conversation_id == conversation_id, Ticket.state == "resolved")
            .where(is_open, TicketRating.asked_at >= now - ANSWER_TIME)
            .order_by(TicketRating.asked_at.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            asked = (await connection.execute(statement)).one_or_none()
            if asked is None or await _is_about_something_else(connection, asked.id, conversation_id, sequence):
                return None
        return Command(PRESS, f"{asked.number}:{given.score} {given.comment}".strip())

    async def ask_due(self, now: datetime | None = None) -> int:
        """Ask the customers of tickets that an operator helped with and that were resolved lately; return how many."""
        rated = select(TicketRating.ticket_id)
        since = (now or datetime.now(UTC)) - ASKED_AFTER
        statement = select_tickets().where(
            Ticket.state == "resolved",
            Ticket.resolved_at >= since,
            Ticket.first_response_at.is_not(None),
            Ticket.merged_into_id.is_(None),
            ~Ticket.is_untouched,  # closed before it came here
            Ticket.id.not_in(rated),
        )
        async with self._database.read() as connection:
            tickets = [ticket_record(row) for row in await connection.execute(statement)]
        count = 0
        for ticket in tickets:
            try:
                count += ticket.is_reachable and not ticket.delivery.group and await self.ask(ticket)
            except TicketError as error:  # reopened or deleted meanwhile
                log.debug("The customer of ticket %s is not asked for a rating: %s", ticket.number, error)
        return count

    @unit_of_work
    async def rate(self, ticket_id: str, given: SatisfactionScore) -> bool:
        """Store a score; a newer one replaces it, and a comment stays. False: the customer was not asked."""
        values: dict[str, Any] = {"score": given.score, "answered_at": datetime.now(UTC)}
        if given.comment:
            values["comment"] = given.comment
        statement = update(TicketRating).where(TicketRating.ticket_id == ticket_id).values(**values)
        async with self._database.write() as connection:
            return bool((await connection.execute(statement)).rowcount)

    async def _add(self, ticket: TicketRecord) -> None:
        row = {
            "id": str(uuid7()),
            "ticket_id": ticket.id,
            "operator_id": ticket.operator_id,
            "asked_at": datetime.now(UTC),
        }
        statement = upsert(self._database.dialect, TicketRating).on_conflict_do_nothing(index_elements=["ticket_id"])
        async with self._database.write() as connection:
            await connection.execute(statement, row)

    async def _pressed(self, call: CommandCall) -> CommandResult | str | None:
        found = _PRESSED.fullmatch(call.command.argument)
        if found is None:
            return None
        try:
            ticket = await self._queries.numbered(int(found["number"]))
        except QwendeskError:
            return CommandResult()
        if ticket.conversation_id != call.claimed.conversation_id:
            return CommandResult()  # a number of another customer's ticket
        given = SatisfactionScore(int(found["score"]), (found["comment"] or "")[:_MAX_COMMENT_CHARS])
        return say("csat_thanks", call.language) if await self.rate(ticket.id, given) else CommandResult()


async def _is_about_something_else(
    connection: TenantConnection, ticket_id: str, conversation_id: str, sequence: int | None
) -> bool:
    """Return whether a ticket of the conversation is open, or somebody has written since the question of a ticket."""
    has_open = select(exists(Ticket.id).where(Ticket.conversation_id == conversation_id, Ticket.state.in_(OPEN_STATES)))
    if (await connection.execute(has_open)).scalar_one():
        return True
    here = InboundEvent.conversation_id == conversation_id
    question = select(InboundEvent.sequence).where(here, InboundEvent.event == event_of(ticket_id, _KEY))
    since = (await connection.execute(question)).scalar_one_or_none()
    if since is None:
        return True
    later = select(InboundEvent.source, InboundEvent.payload).where(here, InboundEvent.sequence > since)
    if sequence is not None:
        later = later.where(InboundEvent.sequence < sequence)
    written = (await connection.execute(later.limit(_MAX_ANSWERS))).all()
    return len(written) == _MAX_ANSWERS or any(
        source != "customer" or not _is_answer(str(payload.get("text", ""))) for source, payload in written
    )


def _is_answer(text: str) -> bool:
    """Return whether a message has answered the question: a score, or a button of it."""
    return read_score(text) is not None or text.strip().lstrip("/").startswith((f"{PRESS}:", f"{PRESS} "))
