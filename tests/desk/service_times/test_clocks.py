"""Service times against a reference that counts minute by minute, and what they say at certain moments."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwendesk.desk.hours.desk_hours import DeskHours
from qwendesk.desk.service_times.clocks import Clock, ServiceTimes, sla_of
from qwendesk.desk.tickets.records import DeliveryAddress, TicketEventRecord, TicketRecord, TicketState
from qwendesk.hours_settings import HoursSettings
from qwendesk.service_times_settings import ServiceTimesSettings
from tests.examples import examples

MINUTE = timedelta(minutes=1)
BEGIN = datetime(2026, 10, 23, 6, tzinfo=UTC)  # a Friday; the clock changes in the second night
HOURS = DeskHours(
    HoursSettings(zone="Europe/Berlin", week={"mon-fri": ("09:00-12:00", "13:00-17:00"), "sat": ("22:00-04:00",)})
)
STATES = {
    "handed_over": "waiting",
    "taken_over": "human",
    "snoozed": "snoozed",
    "woken": "waiting",
    "handed_back": "bot",
    "resolved": "resolved",
    "reopened": "waiting",
}
MINUTES = 12 * 24 * 60


def event(number: int, kind: str, at: datetime, **changes: Any) -> TicketEventRecord:
    if kind in STATES:
        changes["state"] = STATES[kind]
    return TicketEventRecord(f"{number:06}", "t", kind, "operator", None, "", "", changes, at)


def ticket(events: list[TicketEventRecord], **values: Any) -> TicketRecord:
    state: TicketState = next((each.changes["state"] for each in reversed(events) if "state" in each.changes), "bot")
    made = TicketRecord(
        id="t",
        number=1,
        conversation_id="c",
        channel="test",
        person_id=None,
        delivery=DeliveryAddress(),
        state=state,
        operator_id=None,
        operator_name="",
        subject="",
        priority="normal",
        tags=(),
        fields={},
        team=None,
        language=None,
        reason=None,
        signals={},
        version=1,
        merged_into_id=None,
        snoozed_until=None,
        waiting_since=None,
        first_response_at=None,
        resolved_at=None,
        last_message_at=BEGIN,
        last_from="customer",
        created_at=BEGIN,
        updated_at=BEGIN,
    )
    return replace(made, **values)


def targets(**values: Any) -> ServiceTimesSettings:
    return ServiceTimesSettings.model_validate(values)


def after(**duration: int) -> datetime:
    return BEGIN + timedelta(**duration)


def history(*steps: tuple[str, datetime]) -> list[TicketEventRecord]:
    return [event(number, kind, at) for number, (kind, at) in enumerate(steps)]


@cache
def open_minutes() -> list[bool]:
    hours = HOURS.of()
    return [hours.is_open(BEGIN + number * MINUTE) for number in range(MINUTES)]


class Reference:
    """Counts the minutes of one clock."""

    def __init__(self, events: list[TicketEventRecord], name: str, target: int, now: int) -> None:
        state, was_answered, awaits_customer = "bot", False, False
        self.elapsed, self.due, self.is_running, count = 0, None, False, 0
        waiting = list(events)
        for minute in range(MINUTES):
            while waiting and waiting[0].at <= BEGIN + minute * MINUTE:
                happened = waiting.pop(0)
                state = happened.changes.get("state", state)
                was_answered |= happened.kind == "replied"
                awaits_customer = happened.kind == "replied" or (awaits_customer and happened.kind != "message")
            runs = state in ("waiting", "human")
            runs &= not was_answered if name == "first_response" else not awaits_customer
            if minute == now:
                self.is_running = runs
            if not runs:
                continue
            if count == target and self.due is None:
                self.due = BEGIN + minute * MINUTE
            count += open_minutes()[minute]
            if minute < now:
                self.elapsed = count


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5 * 24 * 60), st.sampled_from([*STATES, "message", "replied"])), max_size=12),
    st.integers(1, 900),
    st.integers(0, 6 * 24 * 60),
    st.randoms(),
)
def test_it_agrees_with_a_count_of_minutes(steps: list[tuple[int, str]], target: int, now: int, random: Any) -> None:
    at = BEGIN + now * MINUTE
    past = [step for step in sorted(steps) if step[0] <= now]
    events = [event(number, kind, BEGIN + minute * MINUTE) for number, (minute, kind) in enumerate(past)]
    known = ticket(events)
    asked = targets(first_response=target * MINUTE, resolution=target * MINUTE)
    random.shuffle(shuffled := list(events))
    times = sla_of(known, shuffled, asked, HOURS, at)
    for clock in times.clocks:
        reference = Reference(events, clock.name, target, now)
        assert clock.elapsed == reference.elapsed * MINUTE and clock.remaining == (target - reference.elapsed) * MINUTE
        assert clock.is_paused == (not clock.is_done and not reference.is_running)
        is_known = clock.due is None or clock.due < BEGIN + MINUTES * MINUTE
        assert not is_known or clock.due == reference.due
        assert clock.is_breached == (reference.due is not None and reference.due <= at)
        quick = sla_of(known, events, asked, HOURS, at, with_due=False)
        assert [each.is_breached for each in quick.clocks] == [each.is_breached for each in times.clocks]
    assert not times.clocks or any("state" in each.changes for each in events)


def friday(hour: int, minute: int = 0) -> datetime:
    """Return a time on Friday by the clock of Berlin."""
    return BEGIN.replace(hour=hour - 2, minute=minute)


RESPONSE = targets(first_response="2h", resolution={"normal": "8h"})


def looked_at(events: list[TicketEventRecord], now: datetime, **values: Any) -> ServiceTimes:
    return sla_of(ticket(events, **values), events, RESPONSE, HOURS, now)


def response(times: ServiceTimes) -> Clock:
    assert times.first_response
    return times.first_response


def test_a_break_and_a_weekend_do_not_count() -> None:
    asked = history(("handed_over", friday(11, 30)))
    clock = response(looked_at(asked, friday(11, 45)))
    assert clock.due == friday(14, 30) and clock.remaining == timedelta(hours=1, minutes=45)
    assert not clock.is_warned and not clock.is_breached
    assert not response(looked_at(asked, friday(13, 59))).is_warned and response(looked_at(asked, friday(14))).is_warned
    late = history(("handed_over", friday(16, 30)))
    # Saturday night, 22:00 to 04:00 with the hour that is repeated
    assert response(looked_at(late, friday(16, 45))).due == datetime(2026, 10, 24, 21, 30, tzinfo=UTC)


def test_a_ticket_that_no_person_was_asked_for_has_no_times() -> None:
    assert looked_at(history(("message", friday(9))), friday(16)) == ServiceTimes()
    assert looked_at([], friday(16)).next_due is None


def test_an_answer_ends_the_first_response_and_awaits_the_customer() -> None:
    events = history(("handed_over", friday(9)), ("taken_over", friday(9, 30)), ("replied", friday(10)))
    times = looked_at(events, friday(16))
    assert response(times).is_done and not response(times).is_breached and response(times).elapsed == timedelta(hours=1)
    assert times.resolution and times.resolution.is_paused and times.resolution.due is None
    assert times.resolution.remaining == timedelta(hours=7) and times.next_due is None
    again = looked_at([*events, event(9, "message", friday(14))], friday(16))
    assert again.resolution and again.next_due == again.resolution and again.resolution.remaining == timedelta(hours=5)


def test_a_snooze_pauses_and_the_due_time_moves() -> None:
    events = history(("handed_over", friday(9)), ("snoozed", friday(10)))
    clock = response(looked_at(events, friday(14)))
    assert clock.is_paused and clock.due is None and clock.remaining == timedelta(hours=1) and not clock.is_breached
    woken = response(looked_at([*events, event(9, "woken", friday(15))], friday(15)))
    assert woken.due == friday(16) and not woken.is_paused


def test_a_late_answer_stays_a_broken_promise() -> None:
    events = history(("handed_over", friday(9)), ("replied", friday(15)), ("resolved", friday(15)))
    times = looked_at(events, friday(16))
    assert response(times).is_breached and response(times).due == friday(11) and response(times).is_done
    assert times.is_breached and times.resolution and not times.resolution.is_breached
    in_time = history(("handed_over", friday(9)), ("replied", friday(11)))
    assert not response(looked_at(in_time, friday(16))).is_breached, "in the last moment"


def test_priority_and_team_choose_the_target() -> None:
    settings_ = targets(first_response={"urgent": "30m", "normal": "4h"}, night={"first_response": "1h"})
    hours = DeskHours(
        HoursSettings.model_validate({"zone": "Europe/Berlin", "week": {"fri": "9-17"}, "night": {"week": "always"}})
    )
    events = history(("handed_over", friday(9)))

    def due(**values: Any) -> datetime | None:
        times = sla_of(ticket(events, **values), events, settings_, hours, friday(9))
        return times.first_response.due if times.first_response else None

    assert due() == friday(13) and due(priority="urgent") == friday(9, 30)
    assert due(priority="low") is None
    assert due(team="night", priority="low") == friday(10)


def test_a_ticket_without_events_has_the_times_of_its_columns() -> None:
    times = looked_at([], friday(11), state="waiting", waiting_since=friday(9, 30))
    assert response(times).elapsed == timedelta(hours=1, minutes=30)
    assert looked_at([], friday(11), state="resolved", resolved_at=friday(10)) == ServiceTimes()


@pytest.mark.parametrize("week", ["always", "closed"])
def test_without_hours_it_is_the_clock_and_without_openings_nothing_is_due(week: str) -> None:
    hours = DeskHours(HoursSettings.model_validate({"zone": "UTC", "week": week}))
    events = history(("handed_over", friday(20)))
    clock = response(sla_of(ticket(events), events, RESPONSE, hours, friday(21)))
    assert clock.due == (friday(22) if week == "always" else None) and not clock.is_breached
