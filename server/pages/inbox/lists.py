"""The pages with lists of tickets: views with counts, filters, search, pages, and saved views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from starlette.responses import Response

from qwendesk.desk.service_times.clocks import ServiceTimes
from qwendesk.desk.tickets.queries import TicketFilter
from qwendesk.desk.tickets.records import PRIORITIES
from qwendesk.desk.workspace.lists import VIEW_NAMES, ListedTicket, ViewName, filter_of
from qwendesk.server.pages.inbox.inbox import LIST, Inbox, form_text, presenter
from qwendesk.server.pages.inbox.presenting import operator_names
from qwendesk.server.pages.page import DeskPage, PageRequest

PAGE_SIZE = 50
_MAX_PAGE = 100_000
_MARKED_AT_ONCE = 500
_MAX_VALUE_CHARS = 200
_FILTERS = ("channel", "language", "team", "tag", "priority", "q")


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list's address asks for."""

    view: ViewName = "waiting"
    filters: tuple[tuple[str, str], ...] = ()
    """Names and values of the filters that are set."""
    page: int = 1

    @classmethod
    def of(cls, values: Mapping[str, str]) -> ListQuery:
        """Return the query of an address; what it does not know is left out."""
        view: Any = values.get("view")
        found = [(name, " ".join(values[name].split())[:_MAX_VALUE_CHARS]) for name in _FILTERS if values.get(name)]
        page = values.get("page", "")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
        default: ViewName = "all" if values.get("q") else "waiting"
        kept = tuple(one for one in found if one[1])
        return cls(view if view in VIEW_NAMES else default, kept, min(max(number, 1), _MAX_PAGE))

    def filter(self, operator_id: str) -> TicketFilter:
        """Return the tickets that the list shows to an operator."""
        set_ = dict(self.filters)
        priority: Any = set_.get("priority")
        return replace(
            filter_of(self.view, operator_id),
            channel=set_.get("channel"),
            language=set_.get("language"),
            team=set_.get("team"),
            tag=set_.get("tag", "").casefold() or None,
            text=set_.get("q", ""),
            min_priority=PRIORITIES.index(priority) if priority in PRIORITIES else 0,
        )

    def address(self, **changed: Any) -> str:
        """Return the address of the list, with changed parameters."""
        values = {"view": self.view, **dict(self.filters), "page": self.page, **changed}
        return f"{LIST}?{urlencode({name: value for name, value in values.items() if value not in ('', 1, None)})}"

    def stored(self) -> dict[str, str]:
        """Return what a saved view keeps."""
        return {"view": self.view, **dict(self.filters)}


class ListPages:
    """The lists of the inbox.

    Args:
        inbox: the parts of the desk.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        return [
            DeskPage(LIST, self._show, "viewer", nav="Inbox"),
            DeskPage("/desk/views", self._save, "viewer", methods=("POST",)),
            DeskPage("/desk/views/{id}/delete", self._delete, "viewer", methods=("POST",)),
            DeskPage("/desk/tickets/read", self._mark_read, "viewer", methods=("POST",)),
        ]

    async def _show(self, request: PageRequest) -> Response:
        shown_at = datetime.now(UTC)
        query = ListQuery.of(request.query_params)
        if dict(query.filters).get("q"):  # the search finds words of messages; the log does not keep them
            await request.services.audit.add_read(request.actor, "tickets.search", "tickets")
        found = await self._inbox.lists.page(
            query.filter(request.operator.id),
            request.operator.id,
            limit=PAGE_SIZE + 1,
            offset=PAGE_SIZE * (query.page - 1),
        )
        accounts = [one for one in await request.services.accounts.all() if one.disabled_at is None]
        counts = await self._inbox.lists.counts([request.operator.id])
        values: dict[str, Any] = {
            "query": query,
            "active": dict(query.filters),
            "rows": found[:PAGE_SIZE],
            "has_more": len(found) > PAGE_SIZE,
            "counts": counts[request.operator.id],
            "views": await self._inbox.views.of(request.operator.id),
            "choices": await self._inbox.lists.choices(),
            "priorities": PRIORITIES,
            "macros": await self._inbox.macros.all(),
            "operators": operator_names(one for one in accounts if one.role != "viewer"),
            "online": [one for one in accounts if one.is_online()],
            "key": uuid4().hex,
            "undo": request.query_params.get("undo", ""),
            "since": shown_at.isoformat(),
            "due": await self._inbox.due([row.ticket for row in found]),
            "show": presenter(request),
        }
        return request.render("inbox/list.jinja", **values)

    async def _save(self, request: PageRequest) -> Response:
        form = await request.form()
        query = ListQuery.of({name: value for name, value in form.items() if isinstance(value, str)})
        shared = bool(form.get("shared")) and request.operator.may("operator")
        await self._inbox.views.save(request.operator.id, form_text(form, "name"), query.stored(), is_shared=shared)
        return request.redirect(query.address(), said="The view is saved.")

    async def _delete(self, request: PageRequest) -> Response:
        deleted = await self._inbox.views.delete(request.path_params["id"], request.operator.id)
        return request.redirect(LIST, said="The view is deleted." if deleted else "You have no such view.")

    async def _mark_read(self, request: PageRequest) -> Response:
        form = await request.form()
        query = ListQuery.of({name: value for name, value in form.items() if isinstance(value, str)})
        filter_, me, marked, offset = query.filter(request.operator.id), request.operator.id, 0, 0
        while found := await self._inbox.lists.page(filter_, me, limit=_MARKED_AT_ONCE, offset=offset):
            unread = [row.ticket.id for row in found if row.is_unread or row.is_mentioned]
            await self._inbox.lists.mark_read(unread, me)
            marked, offset = marked + len(unread), offset + len(found)
        return request.redirect(query.address(), said=f"{marked} marked as read.")


def render_row(request: PageRequest, row: ListedTicket, due: Mapping[str, ServiceTimes]) -> str:
    """Return one row of a list as HTML."""
    return bytes(request.render("inbox/row.jinja", row=row, due=due, show=presenter(request)).body).decode()
