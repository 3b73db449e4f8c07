"""The stream that keeps the pages of the inbox up to date (server-sent events)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from cachetools import LRUCache
from starlette.responses import Response, StreamingResponse

from qwendesk.desk.service_times.clocks import ServiceTimes
from qwendesk.desk.tickets.queries import TicketFilter
from qwendesk.desk.workspace.feed import FeedBatch, FeedListener, TicketChange, time_of
from qwendesk.desk.workspace.lists import ListedTicket, matches
from qwendesk.errors import StoreError
from qwendesk.server.pages.inbox.inbox import Inbox
from qwendesk.server.pages.inbox.lists import ListQuery, render_row
from qwendesk.server.pages.page import DeskPage, PageRequest

CHECK_SECONDS = 5.0
"""Time between two checks that the operator's session still exists, and two signs of life."""
_TOUCH_SECONDS = 30.0
"""Time after which the operator is noted as being there again."""
_PAUSE_SECONDS = 0.1
"""Least time between two messages to one page, in which changes are gathered."""
_CACHED_ROWS = 2000
GRACE_SECONDS = 6.0
"""Time within which an operator whose last page was closed opens another one."""


class StreamPages:
    """Tells open pages what has changed.

    Args:
        inbox: the parts of the desk.
        grace_seconds: time within which an operator whose last page was closed opens another one.
    """

    def __init__(self, inbox: Inbox, grace_seconds: float = GRACE_SECONDS) -> None:
        self._inbox = inbox
        self._grace_seconds = grace_seconds
        self._leaving: set[asyncio.Task[None]] = set()
        self._rows: LRUCache[tuple[Any, ...], str] = LRUCache(_CACHED_ROWS)
        """Rows as HTML, which all pages with the same marks show alike."""
        self._rendering = asyncio.Lock()
        """Held by the first page that needs a row; the others take what it has made."""

    def pages(self) -> list[DeskPage]:
        """Return the page."""
        return [DeskPage("/desk/stream", self._stream, "viewer", is_background=True)]

    async def _stream(self, request: PageRequest) -> Response:
        since = time_of(request.headers.get("last-event-id", "")) or _time(request.query_params.get("since", ""))
        number = request.query_params.get("ticket", "")
        ticket_id = ""
        if number.isascii() and number.isdigit() and len(number) < 10:
            ticket_id = (await self._inbox.queries.numbered(int(number))).id
        lines = self._lines(request, ticket_id, since)
        headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
        return StreamingResponse(lines, media_type="text/event-stream", headers=headers)

    async def _lines(self, request: PageRequest, ticket_id: str, since: datetime | None) -> AsyncIterator[str]:
        try:
            async with aclosing(self._open_lines(request, ticket_id, since)) as lines:
                async for line in lines:
                    yield line
        finally:
            if not self._inbox.feed.has_page_of(request.operator.id):
                task = asyncio.create_task(self._note_leaving(request, datetime.now(UTC)))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    async def _note_leaving(self, request: PageRequest, at: datetime) -> None:
        """Note after a short time that an operator has gone, if no page is open."""
        await asyncio.sleep(self._grace_seconds)
        with suppress(StoreError):
            if not self._inbox.feed.has_page_of(request.operator.id):
                await request.services.accounts.leave(request.operator.id, at, unless_page_is_open=True)

    async def _open_lines(self, request: PageRequest, ticket_id: str, since: datetime | None) -> AsyncGenerator[str]:
        filter_ = ListQuery.of(request.query_params).filter(request.operator.id)
        checked = touched = monotonic()
        yield "retry: 2000\n\n"
        async with self._inbox.feed.listen(request.operator.id, ticket_id, since) as listener:
            while not listener.is_closed:
                batch = await listener.next(CHECK_SECONDS)
                if monotonic() - checked >= CHECK_SECONDS:
                    checked = monotonic()
                    if not await _is_open(request):
                        yield "event: closed\ndata: {}\n\n"
                        return
                if monotonic() - touched > _TOUCH_SECONDS:
                    touched = monotonic()
                    await request.services.accounts.touch(request.operator.id)
                if not batch:
                    yield ": still here\n\n"
                    continue
                yield await self._message(request, listener, filter_, batch)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _message(
        self, request: PageRequest, listener: FeedListener, filter_: TicketFilter, batch: FeedBatch
    ) -> str:
        changed = {change.ticket.id: change for change in batch.changes.values() if change.ticket}
        tickets = [change.ticket for change in changed.values() if change.ticket]
        marked = await self._inbox.lists.with_marks(tickets, request.operator.id) if tickets else []
        due = await self._inbox.due(tickets)
        rows = [await self._row(request, filter_, changed[row.ticket.id], row, due) for row in marked]
        told: dict[str, Any] = {"rows": rows}
        if batch.counts is not None:
            told["counts"] = batch.counts
        if batch.colleagues is not None:
            told["colleagues"] = [{"name": one.name, "typing": one.is_typing} for one in batch.colleagues]
        if batch.is_deleted:
            told["deleted"] = True
        if batch.is_overrun:
            told["reload"] = True
        if listener.ticket_id in batch.changes:
            told["ticket"] = True
        number = f"id: {batch.last_id}\n" if batch.last_id else ""
        return f"{number}event: desk\ndata: {json.dumps(told, ensure_ascii=False)}\n\n"

    async def _row(
        self,
        request: PageRequest,
        filter_: TicketFilter,
        change: TicketChange,
        row: ListedTicket,
        due: Mapping[str, ServiceTimes],
    ) -> dict[str, Any]:
        ticket = row.ticket
        return {
            "number": ticket.number,
            "matches": matches(filter_, row),
            "html": await self._html(request, row, due),
            "notice": _notice(change, request.operator.id),
        }

    async def _html(self, request: PageRequest, row: ListedTicket, due: Mapping[str, ServiceTimes]) -> str:
        ticket = row.ticket
        of_ticket = (ticket.id, ticket.version, ticket.last_message_at, ticket.last_from, ticket.operator_name)
        key = (*of_ticket, row.snippet, row.is_unread, row.is_mentioned, row.approval, repr(due.get(ticket.id)))
        async with self._rendering:
            html = self._rows.get(key)
            if html is None:
                html = self._rows[key] = render_row(request, row, due)
        return html


def _notice(change: TicketChange, operator_id: str) -> str:
    """Return what an operator is notified of; empty: nothing."""
    ticket = change.ticket
    if ticket is None:
        return ""
    for event in change.events:
        if event.operator_id == operator_id:
            continue
        if event.kind == "noted" and operator_id in (event.changes.get("mentions") or ()):
            return "mentions you"
        if event.kind in ("assigned", "handed_over") and ticket.operator_id == operator_id:
            return "is assigned to you"
        if event.kind == "approval_needed":
            return "waits for an approval"
        if event.kind == "handed_over" and ticket.operator_id is None:
            return "waits for somebody"
        if event.kind == "not_delivered" and ticket.operator_id == operator_id:
            return "has a reply that could not be delivered"
        if event.kind == "message" and ticket.operator_id == operator_id and ticket.state in ("human", "waiting"):
            return "has a new message"
    return ""


async def _is_open(request: PageRequest) -> bool:
    try:
        return await request.is_open()
    except StoreError:  # the database is away for a while; the session is checked the next time
        return True


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
