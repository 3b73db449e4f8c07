"""The page of one ticket: its thread, the customer's side, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.responses import Response

from qwendesk.desk.handover.reasons import REASONS
from qwendesk.desk.handover.summary import HandoverSummary, handover_summary
from qwendesk.desk.interpreter.interpreter import OriginalMessage
from qwendesk.desk.tickets.queries import ThreadMessage, TicketThread
from qwendesk.desk.tickets.records import PRIORITIES, TicketGone, TicketRecord
from qwendesk.desk.workspace.feed import others
from qwendesk.desk.workspace.macros import MacroRecord
from qwendesk.server.pages.inbox.inbox import Inbox, audit_read, gone, presenter
from qwendesk.server.pages.inbox.presenting import deliveries, operator_names, thread_items
from qwendesk.server.pages.page import DeskPage, PageRequest

_NEWEST = 200
MAX_FIELD_CHARS = 10_000
"""Longest custom field that the page of a ticket changes."""
_ALL = 5000
_OTHERS = 10
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 2, 32
_POLLS = ("2", "4", "8", "16", "32")
"""Seconds after which a page asks again for translations that are not done; each time is twice the one before."""
_TRANSLATED = 20
"""Newest messages that are translated for an operator who opens a ticket."""


class TicketPages:
    """The page of a ticket and its live part.

    Args:
        inbox: the parts of the desk.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        path = "/desk/tickets/{number:int}"
        return [
            DeskPage(path, self._show, "viewer"),
            DeskPage(f"{path}/live", self._live, "viewer", is_background=True),
            DeskPage(f"{path}/why/{{sequence:int}}", self._why, "viewer"),
            DeskPage(f"{path}/suggestions", self._suggest, "viewer"),
            DeskPage(f"{path}/present", self._present, "operator", methods=("POST",), is_background=True),
        ]

    async def _show(self, request: PageRequest) -> Response:
        ticket = await self._inbox.ticket(request)
        await self._inbox.lists.mark_read([ticket.id], request.operator.id)
        return await self.render(request, ticket)

    async def render(self, request: PageRequest, ticket: TicketRecord, status: int = 200, **more: Any) -> Response:
        """Return the whole page of a ticket.

        Args:
            request: the request.
            ticket: the ticket.
            status: the HTTP status.
            more: a problem of the reply, and texts in place of the drafts.
        """
        since = datetime.now(UTC).isoformat()
        drafts = await self._inbox.drafts.of(ticket.id, request.operator.id)
        macros = await self._inbox.macros.all()
        values = {
            "since": since,
            "drafts": {"reply": "", "note": "", **drafts},
            "key": uuid4().hex,
            "problem": "",
            "holder": "",
            "macros": macros,
            "canned": await self._texts(request, macros),
            **await self._values(request, ticket),
            **more,
        }
        return request.render("inbox/ticket.jinja", status, **values)

    async def live(self, request: PageRequest, ticket: TicketRecord, said: str = "") -> Response:
        """Return the part of the page that changes: the head, the thread and the customer's side."""
        values = {**await self._values(request, ticket), "note_said": said}
        return request.render("inbox/live.jinja", **values)

    async def _live(self, request: PageRequest) -> Response:
        ticket = await self._inbox.ticket(request)
        if request.query_params.get("seen"):
            await self._inbox.lists.mark_read([ticket.id], request.operator.id)
        return await self.live(request, ticket)

    async def _values(self, request: PageRequest, ticket: TicketRecord) -> dict[str, Any]:
        await audit_read(request, ticket.number)
        # a part of a page that shows all messages shows all of them, too
        page = parse_qs(urlsplit(request.headers.get("hx-current-url", "")).query)
        show_all = bool(request.query_params.get("all") or page.get("all"))
        waited = request.query_params.get("wait", "")
        loaded_at = monotonic()
        thread = await self._thread(ticket, _ALL if show_all else _NEWEST)
        ticket = thread.ticket
        is_translated = self._translate(thread, request.operator.languages, loaded_at)
        accounts = [one for one in await request.services.accounts.all() if one.disabled_at is None]
        related = await self._related(ticket)
        facts = await self._inbox.memory.facts.known(ticket.person_id, limit=50) if ticket.person_id else []
        present = await self._inbox.lists.present([ticket.id])
        return {
            "ticket": ticket,
            "items": thread_items(thread),
            "is_cut": not show_all and len(thread.messages) >= _NEWEST,
            "poll_seconds": min(2 * int(waited), _MAX_POLL_SECONDS) if waited in _POLLS else _MIN_POLL_SECONDS,
            "is_translated": is_translated,
            "deliveries": deliveries(thread),
            "files": await self._inbox.details.files([one.id for one in thread.messages if one.attachments]),
            "operators": operator_names(one for one in accounts if one.role != "viewer"),
            "names": operator_names(accounts),
            "teams": sorted({*(team for one in accounts for team in one.teams), ticket.team or ""} - {""}),
            "colleagues": others(present.get(ticket.id, ()), request.operator.id),
            "related": related,
            "approvals": thread.approvals,
            "verified": await self._inbox.details.verified_customer(ticket.conversation_id),
            "same_chat": [one for one in related if one.conversation_id == ticket.conversation_id],
            "facts": facts,
            "summary": await self._summary(thread),
            "priorities": PRIORITIES,
            "is_mine": ticket.operator_id == request.operator.id,
            "due": await self._inbox.due([ticket]),
            "show": presenter(request),
            "note_said": "",
            "max_field": MAX_FIELD_CHARS,
        }

    async def _summary(self, thread: TicketThread) -> HandoverSummary | None:
        """Return what an operator reads first of a ticket that was handed over; None: it was not."""
        ticket = thread.ticket
        reason = next((one for one in REASONS if one == ticket.reason), None)
        if reason is None or ticket.state not in ("waiting", "human", "snoozed"):
            return None
        asked = [message.text for message in thread.messages if message.role == "user"]
        receipts = await self._inbox.details.receipts(ticket.id)
        return handover_summary(reason, asked, receipts, language=ticket.language)

    async def _thread(self, ticket: TicketRecord, limit: int) -> TicketThread:
        try:
            return await self._inbox.queries.thread(ticket.id, limit=limit)
        except TicketGone:
            raise HTTPException(404, gone(ticket.number)) from None

    def _translate(self, thread: TicketThread, languages: Sequence[str], loaded_at: float) -> bool:
        """Begin to translate what the operator cannot read; return whether a translation is on its way."""
        if self._inbox.reader is None:
            return False
        ticket, newest = thread.ticket, thread.messages[-_TRANSLATED:]
        unread = [
            OriginalMessage(
                one.text, one.id, ticket.language, names=tuple(filter(None, [ticket.delivery.display_name]))
            )
            for one in reversed(newest)
            if one.role != "operator" and one.text and not _has_translation(one, languages)
        ]
        return self._inbox.reader.read(unread, languages, loaded_at=loaded_at)

    async def _related(self, ticket: TicketRecord) -> list[TicketRecord]:
        """Return the customer's other tickets, and those of the same conversation."""
        found = await self._inbox.queries.of_conversation(ticket.conversation_id)
        if ticket.person_id:
            found += await self._inbox.queries.of_person(ticket.person_id)
        by_id = {one.id: one for one in found if one.id != ticket.id}
        return sorted(by_id.values(), key=lambda one: -one.number)[:_OTHERS]

    async def _why(self, request: PageRequest) -> Response:
        ticket = await self._inbox.ticket(request)
        await audit_read(request, ticket.number)
        receipt = await self._inbox.details.receipt(ticket.id, request.path_params["sequence"])
        if receipt is None:
            raise HTTPException(404, "There is no receipt of this answer; a command or the desk itself wrote it.")
        template = "inbox/why.jinja" if request.is_htmx else "inbox/why_page.jinja"
        return request.render(template, ticket=ticket, receipt=receipt, show=presenter(request))

    async def _texts(self, request: PageRequest, macros: Sequence[MacroRecord]) -> list[tuple[str, str]]:
        """Return names and texts that can be used again, in the operator's language where there is one."""
        found = [(macro.name, macro.text) for macro in macros if macro.text]
        for answer in await self._inbox.canned.listed():
            usable = [text for code in request.operator.languages if (text := answer.in_language(code))]
            text = next((text for text in usable if text.is_usable), answer.source)
            found.append((answer.shortcut, text.text))
        return sorted(found, key=lambda one: one[0].casefold())

    async def _suggest(self, request: PageRequest) -> Response:
        ticket = await self._inbox.ticket(request)
        suggestions = await self._inbox.suggestions.of(ticket)
        for number in (ticket.number, *(one.number for one in suggestions if one.number)):
            await audit_read(request, number)
        template = "inbox/suggestions.jinja" if request.is_htmx else "inbox/suggestions_page.jinja"
        return request.render(template, ticket=ticket, suggestions=suggestions)

    async def _present(self, request: PageRequest) -> Response:
        ticket = await self._inbox.ticket(request)
        form = await request.form()
        await self._inbox.queries.report_presence(ticket.id, request.operator.id, is_typing=bool(form.get("typing")))
        if form.get("typing") == "reply" and self._inbox.typing_signs:
            operator = request.operator
            await self._inbox.typing_signs.show(ticket, operator.id, operator.display_name)
        return Response(status_code=204)


def _has_translation(message: ThreadMessage, languages: Sequence[str]) -> bool:
    return any(one.language in languages and one.status != "failed" for one in message.translations)
