"""A report on the tickets of a period: volume, languages, deflection, response times, ratings, open questions."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased

from qwendesk.memory.tables.conversations import Conversation, Message, Turn
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.reports import TicketRating
from qwendesk.memory.tables.tickets import Ticket, TicketEvent
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.search_terms import query_terms

ElapsedTime = Callable[[datetime, datetime, str | None], timedelta]
"""Returns the time between two moments, such as that in the opening hours of a ticket's team."""
_TO_PEOPLE = ("handed_over", "taken_over", "assigned")
"""Events after which a person deals with a ticket."""
_MAX_QUESTIONS = 10
_MAX_GROUPED = 2000
"""Unanswered questions that are looked at, the newest."""
_MAX_EXAMPLES = 3
_MAX_QUESTION_CHARS = 200
_ALIKE = 0.5
"""Share of common terms from which two questions count as one."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took, in minutes."""

    count: int
    median: float | None
    p90: float | None

    @classmethod
    def of(cls, elapsed: Iterable[timedelta]) -> Times:
        """Return the figures of some times."""
        minutes = sorted(one.total_seconds() / 60 for one in elapsed)
        if not minutes:
            return cls(0, None, None)
        at = min(len(minutes) - 1, round(0.9 * (len(minutes) - 1)))
        return cls(len(minutes), round(median(minutes), 1), round(minutes[at], 1))


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """Questions alike that the desk did not answer."""

    count: int
    examples: tuple[str, ...]
    languages: tuple[str, ...]
    tickets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OperatorFigures:
    """What an operator did in the period."""

    name: str
    replies: int
    resolved: int
    first_response: Times
    satisfaction: float | None


@dataclass(frozen=True, slots=True)
class TicketReport:
    """The figures of a period."""

    since: datetime
    until: datetime
    opened: int
    by_day: dict[str, int]
    """Tickets opened by day, as ``2026-03-01``."""
    by_language: dict[str, int]
    by_channel: dict[str, int]
    by_state: dict[str, int]
    """State of the tickets that were opened in the period, as it is now."""
    handed_over: dict[str, int]
    """Tickets by the reason of their first handover."""
    deflected: int
    """Resolved tickets that no person dealt with."""
    resolved: int
    reopened: int
    first_response: Times
    """From the handover to an operator's first answer."""
    resolution: Times
    """From the opening to the resolution."""
    broken_promises: dict[str, int]
    """Promised times that were exceeded in the period: ``first_response``, ``resolution``."""
    asked_for_rating: int
    ratings: dict[int, int]
    satisfaction: float | None
    """Share of the answers with 4 or 5."""
    answers_by_role: dict[str, int]
    operators: tuple[OperatorFigures, ...]
    open_questions: tuple[OpenQuestion, ...]

    @property
    def deflection(self) -> float | None:
        """Share of the resolved tickets that no person dealt with."""
        return self.deflected / self.resolved if self.resolved else None


async def make_report(
    database: TenantDatabase,
    since: datetime,
    until: datetime,
    *,
    zone: str = "UTC",
    elapsed: ElapsedTime = lambda begin, end, team: end - begin,
) -> TicketReport:
    """Return the report of a period.

    Args:
        database: the tenant's view of the database.
        since: begin of the period.
        until: its end, which does not belong to it.
        zone: the time zone of days.
        elapsed: the time between two moments; the default counts each minute.
    """
    read = await _read(database, since, until)
    responses, operators_responses = list[timedelta](), defaultdict[str, list[timedelta]](list)
    reasons: Counter[str] = Counter()
    deflected = 0
    resolutions = []
    for id_, ticket in read.concerned.items():
        history = read.histories[id_]
        handed = next((event for event in history if event.kind in _TO_PEOPLE), None)
        if any(event.kind == "resolved" and since <= event.at < until for event in history):
            last = [event for event in history if event.kind == "resolved" and since <= event.at < until][-1]
            resolutions.append(max(elapsed(ticket.created_at, _ended_at(last), ticket.team), timedelta()))
            deflected += not any(event.kind in (*_TO_PEOPLE, "replied") for event in history)
        first = next((event for event in history if event.kind == "replied"), None)
        if first is not None and since <= first.at < until:
            took = elapsed(handed.at if handed else ticket.created_at, first.at, ticket.team)
            responses.append(max(took, timedelta()))
            operators_responses[first.operator_id or ""].append(max(took, timedelta()))
    for event in read.first_handovers:
        reasons[event.reason or "?"] += 1
    given = [row for row in read.ratings if row.score is not None]
    return TicketReport(
        since=since,
        until=until,
        opened=len(read.opened),
        by_day=_by_day(read.opened, since, until, ZoneInfo(zone)),
        by_language=_ordered(Counter(row.language or "?" for row in read.opened)),
        by_channel=_ordered(Counter(row.channel for row in read.opened)),
        by_state=_ordered(Counter(row.state for row in read.opened)),
        handed_over=_ordered(reasons),
        deflected=deflected,
        resolved=len(resolutions),
        reopened=len({event.ticket_id for event in read.events if event.kind == "reopened"}),
        first_response=Times.of(responses),
        resolution=Times.of(resolutions),
        broken_promises=_ordered(Counter(row.changes["clock"] for row in read.events if row.kind == "sla_breached")),
        asked_for_rating=len(read.ratings),
        ratings=dict(sorted(Counter(row.score for row in given).items())),
        satisfaction=_satisfaction(given),
        answers_by_role=_ordered(Counter(row.role or "?" for row in read.turns)),
        operators=_operators(read.names, read.events, operators_responses, given),
        open_questions=await asyncio.to_thread(group_questions, _unanswered(read.turns)[-_MAX_GROUPED:]),
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a period."""

    opened: Sequence[Any]
    events: Sequence[Any]
    first_handovers: Sequence[Any]
    """The reason of the first handover of each ticket that was handed over first in the period."""
    ratings: Sequence[Any]
    turns: Sequence[Any]
    names: dict[str, str]
    """Names of operators by id."""
    concerned: dict[str, Any]
    """Tickets that were answered or resolved in the period, by id."""
    histories: dict[str, list[Any]]
    """All events of these, by the ticket's id."""


async def _read(database: TenantDatabase, since: datetime, until: datetime) -> _Rows:
    def within(column: Any) -> Any:
        return (column >= since) & (column < until)

    columns: tuple[Any, ...] = (*Ticket.__table__.columns, Conversation.channel)
    opened_in = select(*columns).join(Conversation, Conversation.id == Ticket.conversation_id)
    event, rating = TicketEvent.__table__.columns, TicketRating.__table__.columns
    asked = select(Turn.role, Turn.receipt, Message.text, Ticket.number).join(Message, Message.id == Turn.question_id)
    async with database.read() as connection:

        async def rows(statement: Any) -> Sequence[Any]:
            return (await connection.execute(statement)).all()

        events = await rows(select(*event).where(within(TicketEvent.at)))
        concerned: dict[str, Any] = {}
        histories: defaultdict[str, list[Any]] = defaultdict(list)
        for some in _batches(sorted({row.ticket_id for row in events if row.kind in ("resolved", "replied")})):
            here = Ticket.id.in_(some) & ~Ticket.is_imported
            found = await rows(select(*Ticket.__table__.columns).where(here))
            concerned |= {row.id: row for row in found}
            for row in await rows(select(*event).where(TicketEvent.ticket_id.in_(some)).order_by(TicketEvent.id)):
                histories[row.ticket_id].append(row)
        return _Rows(
            opened=await rows(opened_in.where(within(Ticket.created_at), ~Ticket.is_imported)),
            first_handovers=await rows(_first_handovers(within(TicketEvent.at))),
            events=events,
            ratings=await rows(select(*rating).where(within(TicketRating.asked_at))),
            turns=await rows(
                asked.join(Ticket, Ticket.id == Message.ticket_id)
                .where(within(Turn.started_at))
                .order_by(Turn.started_at)
            ),
            names={row.id: row.display_name for row in await rows(select(Operator.id, Operator.display_name))},
            concerned=concerned,
            histories=histories,
        )


def _first_handovers(within: Any) -> Any:
    earlier = aliased(TicketEvent)
    before = (earlier.ticket_id == TicketEvent.ticket_id) & (earlier.kind == "handed_over")
    is_first = ~exists(earlier.id).where(before, earlier.id < TicketEvent.id)
    return select(TicketEvent.reason).where(within, TicketEvent.kind == "handed_over", is_first)


def _ended_at(resolved: Any) -> datetime:
    """Return when the matter of a resolved ticket ended; a silent one ended with its last message."""
    ended = resolved.changes.get("resolved_at")
    return datetime.fromisoformat(ended) if ended else resolved.at


@dataclass(frozen=True, slots=True)
class UnansweredQuestion:
    """A question without a good answer."""

    text: str
    language: str | None
    ticket: int


def group_questions(questions: Sequence[UnansweredQuestion], limit: int = _MAX_QUESTIONS) -> tuple[OpenQuestion, ...]:
    """Return groups of questions that share at least half of their terms, the largest first."""
    groups: list[tuple[set[str], list[UnansweredQuestion]]] = []
    with_term: defaultdict[str, list[int]] = defaultdict(list)
    for question in questions:
        terms = set(query_terms(question.text))
        common = Counter(group for term in terms for group in with_term[term])
        sizes = {group: count / (len(terms) + len(groups[group][0]) - count) for group, count in common.items()}
        near = max(sorted(sizes), key=sizes.__getitem__, default=None)
        if near is not None and sizes[near] >= _ALIKE:
            groups[near][1].append(question)
        else:
            for term in terms:
                with_term[term].append(len(groups))
            groups.append((terms, [question]))
    groups.sort(key=lambda group: -len(group[1]))
    return tuple(_open_question(members) for _, members in groups[:limit])


def _open_question(members: Sequence[UnansweredQuestion]) -> OpenQuestion:
    texts = dict.fromkeys(" ".join(one.text.split())[:_MAX_QUESTION_CHARS] for one in members)
    languages = Counter(one.language for one in members if one.language)
    return OpenQuestion(
        len(members),
        tuple(texts)[:_MAX_EXAMPLES],
        tuple(_ordered(languages)),
        tuple(dict.fromkeys(one.ticket for one in members)),
    )


def _unanswered(turns: Sequence[Any]) -> list[UnansweredQuestion]:
    """Return the questions whose documents do not answer them, or whose answer failed a check."""
    found = []
    for row in turns:
        receipt = row.receipt or {}
        searches = receipt.get("searches") or ()
        outcomes = {search.get("outcome") for search in searches}
        failed = any(check.get("outcome") == "failed" for check in receipt.get("checks") or ())
        if ("unknown" in outcomes and not outcomes & {"answered", "found"}) or failed:
            found.append(UnansweredQuestion(row.text, receipt.get("language"), row.number))
    return found


def _by_day(opened: Sequence[Any], since: datetime, until: datetime, zone: ZoneInfo) -> dict[str, int]:
    count = Counter(row.created_at.astimezone(zone).date() for row in opened)
    first, last = since.astimezone(zone).date(), (until - timedelta(microseconds=1)).astimezone(zone).date()
    days = (first + timedelta(days=day) for day in range((last - first).days + 1))
    return {day.isoformat(): count[day] for day in days}


def _operators(
    names: dict[str, str],
    events: Sequence[Any],
    responses: dict[str, list[timedelta]],
    given: Sequence[Any],
) -> tuple[OperatorFigures, ...]:
    replies = Counter(event.operator_id for event in events if event.kind == "replied")
    resolved = Counter(event.operator_id for event in events if event.kind == "resolved" and event.operator_id)
    made = [
        OperatorFigures(
            name,
            replies[id_],
            resolved[id_],
            Times.of(responses.get(id_, ())),
            _satisfaction([row for row in given if row.operator_id == id_]),
        )
        for id_, name in names.items()
        if replies[id_] or resolved[id_]
    ]
    return tuple(sorted(made, key=lambda figures: (-figures.replies, figures.name)))


def _satisfaction(given: Sequence[Any]) -> float | None:
    return round(sum(row.score >= 4 for row in given) / len(given), 3) if given else None


def _ordered(counter: Counter[Any]) -> dict[Any, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], str(item[0]))))


def _batches(ids: Sequence[str], size: int = 5000) -> Iterable[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
