"""The overview at ``/desk/overview`` and the drafts for the knowledge base at ``/desk/drafts``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import Response

from qwendesk.desk.operators.accounts import OperatorRecord
from qwendesk.desk.reports.drafts import AddDocument, KnowledgeDrafts
from qwendesk.desk.reports.ticket_report import ElapsedTime, Times, make_report
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import Actor
from qwendesk.errors import StoreError
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.server.pages.page import DeskPage, PageRequest

OVERVIEW, DRAFTS = "/desk/overview", "/desk/drafts"
PERIODS = (7, 30, 90)
"""Days that the overview can look back."""
_DRAFTS_SINCE = timedelta(days=30)
_CHART_WIDTH, _CHART_HEIGHT = 600, 120
Health = Callable[[], Awaitable[Mapping[str, Any]]]
"""Returns the health report of the process."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the chart of days, in units of its drawing."""

    x: float
    y: float
    width: float
    height: float
    day: str
    count: int


@dataclass(frozen=True, slots=True)
class OverviewPages:
    """What waits, who is there, how fast and how well customers are helped; and what could be answered from now on."""

    database: TenantDatabase
    queries: TicketQueries
    health: Health
    add_document: AddDocument | None
    """Adds a document to the knowledge base; None: this process has none."""
    zone: str
    """Time zone of days."""
    elapsed: ElapsedTime
    """The time between two moments, in opening hours."""

    def pages(self) -> list[DeskPage]:
        """Return the pages."""
        return [
            DeskPage(OVERVIEW, self._show, "viewer", nav="Overview"),
            DeskPage(DRAFTS, self._list_drafts, "operator", nav="Drafts"),
            DeskPage(f"{DRAFTS}/{{id}}/approve", self._approve, "operator", methods=("POST",)),
            DeskPage(f"{DRAFTS}/{{id}}/dismiss", self._dismiss, "operator", methods=("POST",)),
        ]

    async def _show(self, request: PageRequest) -> Response:
        days = _days(request.query_params.get("days"))
        now = datetime.now(UTC)
        report = await make_report(self.database, now - timedelta(days=days), now, zone=self.zone, elapsed=self.elapsed)
        return request.render(
            "overview.jinja",
            days=days,
            periods=PERIODS,
            report=report,
            counts=await self.queries.counts(),
            online=_online(await request.services.accounts.all()),
            bars=bars(report.by_day),
            width=_CHART_WIDTH,
            height=_CHART_HEIGHT,
            health=await self._health(),
            minutes=minutes,
            tables=[
                ("Languages", report.by_language),
                ("Channels", report.by_channel),
                ("Handed over because", report.handed_over),
                ("Answers by role", report.answers_by_role),
            ],
        )

    async def _health(self) -> Mapping[str, Any]:
        try:
            return await self.health()
        except StoreError as error:
            return {"status": "failing", "problems": [str(error)], "failed": 0, "channels": {}}

    async def _list_drafts(self, request: PageRequest) -> Response:
        drafts = KnowledgeDrafts(self.database)
        await drafts.collect(datetime.now(UTC) - _DRAFTS_SINCE)
        listed = await drafts.listed()
        return request.render("drafts.jinja", drafts=listed, can_approve=self.add_document is not None)

    async def _approve(self, request: PageRequest) -> Response:
        form, drafts, id_ = await request.form(), KnowledgeDrafts(self.database), request.path_params["id"]
        draft = await drafts.get(id_)
        await drafts.edit(id_, question=str(form.get("question", "")), answer=str(form.get("answer", "")))
        if self.add_document is None:
            return request.redirect(DRAFTS, said="This process has no knowledge base; the text is saved.")
        name = await drafts.approve(id_, _actor(request), self.add_document)
        await request.services.audit.add(request.actor, "draft.approve", f"ticket:{draft.ticket}")
        return request.redirect(DRAFTS, said=f"The knowledge base has it as {name}.")

    async def _dismiss(self, request: PageRequest) -> Response:
        drafts, id_ = KnowledgeDrafts(self.database), request.path_params["id"]
        draft = await drafts.get(id_)
        await drafts.dismiss(id_, _actor(request))
        await request.services.audit.add(request.actor, "draft.dismiss", f"ticket:{draft.ticket}")
        return request.redirect(DRAFTS, said="The draft is dismissed.")


def bars(by_day: Mapping[str, int]) -> list[Bar]:
    """Return the bars of a chart of days; a day without tickets has a bar of no height."""
    highest = max(by_day.values(), default=0) or 1
    step = _CHART_WIDTH / max(len(by_day), 1)
    made = []
    for number, (day, count) in enumerate(by_day.items()):
        height = round(_CHART_HEIGHT * count / highest, 1)
        x, y = round(number * step + step * 0.1, 1), round(_CHART_HEIGHT - height, 1)
        made.append(Bar(x, y, round(step * 0.8, 1), height, day, count))
    return made


def minutes(times: Times) -> str:
    """Return a median in words, such as ``4 min`` or ``2 h 5 min``; a dash without any time."""
    if times.median is None:
        return "–"
    whole = round(times.median)
    hours, rest = divmod(whole, 60)
    return f"{hours} h {rest} min" if hours else f"{whole} min"


def _days(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and int(text) in PERIODS else PERIODS[0]


def _online(accounts: Sequence[OperatorRecord]) -> list[OperatorRecord]:
    return [account for account in accounts if account.is_online()]


def _actor(request: PageRequest) -> Actor:
    return Actor.operator(request.operator.id, request.operator.display_name)
