"""The rules of time read a ticket's events again only where there are others, and never miss one."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert

from qwendesk.desk.service_times.history import TicketHistories
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import CUSTOMER, TicketEventRecord
from qwendesk.memory.tables.tickets import TicketEvent
from tests.desk.tickets.conftest import Counter


class Reads(TicketQueries):
    """Notes which tickets' events are read."""

    tickets: list[str]

    async def events_of(self, ticket_ids: Collection[str]) -> dict[str, list[TicketEventRecord]]:
        self.tickets += ticket_ids
        return await super().events_of(ticket_ids)


def reads_of(counter: Counter) -> Reads:
    made = Reads(counter.memory.scope)
    made.tickets = []
    return made


async def read(histories: TicketHistories, reads: Reads, ids: list[str]) -> list[str]:
    """Read the histories, which are complete, and return the tickets whose events were read for it."""
    reads.tickets.clear()
    found = await histories.of(ids)
    again = list(reads.tickets)
    assert found == await reads.events_of(ids)
    return again


async def test_only_tickets_with_other_events_are_read(counter_on_both: Counter) -> None:
    counter = counter_on_both
    ada = await counter.operator("ada")
    first = (await counter.write("my bill")).ticket.id
    second = (await counter.write("hello", "c2", person="bob")).ticket.id
    reads = reads_of(counter)
    histories, ids = TicketHistories(reads), [first, second]
    assert await read(histories, reads, ids) == ids
    assert await read(histories, reads, ids) == []
    seen = await counter.queries.get(first)
    assert await counter.tickets.note_event(first, CUSTOMER, "sla_warning", {"clock": "x"}, as_seen=seen)
    assert await counter.queries.get(first) == seen, "an event that changes no column"
    assert await read(histories, reads, ids) == [first]
    await counter.write("and my parcel")
    third = (await counter.tickets.split(first, ada, from_sequence=2)).id
    assert await read(histories, reads, [*ids, third]) == [first, third]
    await counter.tickets.merge(third, first, ada)
    await counter.tickets.snooze(second, CUSTOMER, datetime.now(UTC) + timedelta(hours=1))
    assert await read(histories, reads, [*ids, third]) == [*ids, third]
    assert await read(histories, reads, [*ids, third]) == []


async def add(counter: Counter, ticket: str, id_: str, kind: str = "sla_warning") -> None:
    row = {"id": id_, "ticket_id": ticket, "kind": kind, "actor": "rule", "at": datetime.now(UTC)}
    async with counter.memory.scope.write() as connection:
        await connection.execute(insert(TicketEvent), row)


async def remove(counter: Counter, id_: str) -> None:
    async with counter.memory.scope.write() as connection:
        await connection.execute(delete(TicketEvent).where(TicketEvent.id == id_))


async def test_another_event_in_the_place_of_one_that_left_is_read(counter_on_both: Counter) -> None:
    counter = counter_on_both
    ticket = (await counter.write("my bill")).ticket.id
    oldest, middle, late, newest = "0", "7", "8", "z"
    for id_ in (oldest, middle, newest):
        await add(counter, ticket, id_)
    reads = reads_of(counter)
    histories = TicketHistories(reads)
    assert await read(histories, reads, [ticket]) == [ticket]
    await remove(counter, oldest)  # as a retention does
    await add(counter, ticket, late)
    assert await read(histories, reads, [ticket]) == [ticket]
    await remove(counter, middle)  # as a split does, in a process whose clock is behind
    await add(counter, ticket, "81", "split")
    assert await read(histories, reads, [ticket]) == [ticket]
    assert await read(histories, reads, [ticket]) == []


async def test_what_is_kept_is_bounded_and_dropped(counter: Counter) -> None:
    first = (await counter.write("hi")).ticket.id
    second = (await counter.write("hello", "c2", person="bob")).ticket.id
    reads = reads_of(counter)
    histories = TicketHistories(reads, max_events=3)
    assert await read(histories, reads, [first, second]) == [first, second]
    assert await read(histories, reads, [first, second]) == [second], "two events of each, and room for three"
    histories.keep_only([second])
    assert await read(histories, reads, [second, first]) == [second, first]
    assert await read(histories, reads, [second, first]) == [first]
