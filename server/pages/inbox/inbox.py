"""What the pages of the inbox work with, and what they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from qwendesk.desk.delivery.typing_signs import TypingSigns
from qwendesk.desk.interpreter.canned import CannedAnswers
from qwendesk.desk.interpreter.reading import BackgroundReader
from qwendesk.desk.service_times.clocks import ServiceTimes, ServiceTimesReader
from qwendesk.desk.tickets.approvals import TicketApprovals
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import Actor, TicketError, TicketGone, TicketRecord
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.workspace.bulk import BulkChanges
from qwendesk.desk.workspace.details import MessageDetails
from qwendesk.desk.workspace.drafts import MAX_DRAFT_CHARS, Drafts
from qwendesk.desk.workspace.feed import TicketFeed
from qwendesk.desk.workspace.lists import InboxLists
from qwendesk.desk.workspace.macros import Macros
from qwendesk.desk.workspace.suggestions import ReplySuggestions, SearchDocuments
from qwendesk.desk.workspace.views import SavedViews
from qwendesk.memory.memory import Memory
from qwendesk.messages import storable_text
from qwendesk.server.pages.inbox.presenting import Presenter
from qwendesk.server.pages.page import PageRequest

LIST = "/desk/tickets"
MAX_TEXT_BODY_BYTES = 12 * MAX_DRAFT_CHARS + 64 * 1024
"""Maximum size of a form with a text of operators: a character has up to twelve bytes in it."""
_MAX_NUMBER = 999_999_999
"""Largest number of a ticket or a message that is looked up."""


@dataclass(frozen=True)
class Inbox:
    """The parts of the desk that the inbox shows and changes."""

    memory: Memory
    tickets: Tickets
    queries: TicketQueries
    lists: InboxLists
    feed: TicketFeed
    views: SavedViews
    macros: Macros
    drafts: Drafts
    bulk: BulkChanges
    details: MessageDetails
    suggestions: ReplySuggestions
    approvals: TicketApprovals
    canned: CannedAnswers
    service_times: ServiceTimesReader | None = None
    """Tells how much time is left; None: nothing is promised."""
    reader: BackgroundReader | None = None
    """Translates messages for the operators who look at them; None: only stored translations are shown."""
    typing_signs: TypingSigns | None = None
    """Shows customers that an operator writes; None: this process has no channels."""

    @classmethod
    def of(
        cls,
        memory: Memory,
        tickets: Tickets,
        approvals: TicketApprovals,
        reader: BackgroundReader | None = None,
        search: SearchDocuments | None = None,
        service_times: ServiceTimesReader | None = None,
        typing_signs: TypingSigns | None = None,
    ) -> Inbox:
        """Return the inbox over one tenant's memory.

        Args:
            memory: the memory.
            tickets: changes tickets.
            approvals: operators' decisions on risky calls.
            reader: translates messages for operators; None: only stored translations are shown.
            search: searches the documents for suggested replies; None: there are none in this process.
            service_times: tells how much time is left; None: nothing is promised.
            typing_signs: shows customers that an operator writes; None: this process has no channels.
        """
        database = memory.scope
        return cls(
            memory,
            tickets,
            TicketQueries(database),
            InboxLists(database),
            TicketFeed(database),
            SavedViews(database),
            Macros(database, tickets),
            Drafts(database),
            BulkChanges(database, tickets),
            MessageDetails(database),
            ReplySuggestions(database, search),
            approvals,
            CannedAnswers(database),
            service_times,
            reader,
            typing_signs,
        )

    async def due(self, tickets: Sequence[TicketRecord]) -> dict[str, ServiceTimes]:
        """Return the promised times of tickets that wait or are held, by the ticket's id."""
        running = [ticket for ticket in tickets if ticket.state in ("waiting", "human")]
        return await self.service_times.of(running) if self.service_times and running else {}

    async def ticket(self, request: PageRequest) -> TicketRecord:
        """Return the ticket of a request's address.

        Raises:
            HTTPException: there is none, or it was deleted (404).
        """
        number = request.path_params["number"]
        if max(number, request.path_params.get("sequence", 0)) > _MAX_NUMBER:
            raise HTTPException(404, "There is nothing with this number.")
        try:
            return await self.queries.numbered(number)
        except TicketGone:
            raise HTTPException(404, gone(number)) from None


def gone(number: int) -> str:
    """Return the sentence that there is no such ticket."""
    return f"There is no ticket {number}; it may have been deleted with its customer."


def actor_of(request: PageRequest) -> Actor:
    """Return the operator as the one who changes a ticket."""
    return Actor.operator(request.operator.id, request.operator.display_name)


def presenter(request: PageRequest) -> Presenter:
    """Return what the templates ask for words."""
    return Presenter(request.operator.languages)


def ticket_path(ticket: TicketRecord | int, part: str = "") -> str:
    """Return the address of a ticket's page or of a part of it."""
    number = ticket if isinstance(ticket, int) else ticket.number
    return f"{LIST}/{number}/{part}" if part else f"{LIST}/{number}"


async def audit(request: PageRequest, action: str, ticket: TicketRecord, **details: Any) -> None:
    """Add an entry to the audit log that an operator has changed a ticket."""
    await request.services.audit.add(request.actor, f"ticket.{action}", f"ticket:{ticket.number}", details)


async def audit_read(request: PageRequest, number: int) -> None:
    """Add an entry to the audit log that an operator has read a ticket, or a part of it."""
    await request.services.audit.add_read(request.actor, "ticket.read", f"ticket:{number}")


def form_text(form: Mapping[str, Any], name: str) -> str:
    """Return a text of a form; a file or nothing is an empty one."""
    value = form.get(name)
    return storable_text(value) if isinstance(value, str) else ""


def words(text: str) -> list[str]:
    """Return the words of a field with words between commas."""
    return [word for part in text.replace("،", ",").replace("、", ",").split(",") if (word := " ".join(part.split()))]


def number_of(form: Mapping[str, Any], name: str) -> int:
    """Return a number of a form.

    Raises:
        TicketError: it is none.
    """
    text = form_text(form, name).removeprefix("#")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise TicketError(f"{text[:20]!r} is no number.")
    return int(text)
