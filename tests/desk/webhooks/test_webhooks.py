"""Events of tickets reach a real HTTP server in order, whatever it does meanwhile, and never private addresses."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from qwendesk.desk.tickets.event_deliveries import EventDeliveries
from qwendesk.desk.tickets.records import CUSTOMER, TicketRecord
from qwendesk.desk.webhooks.sender import WebhookSender, post_test
from qwendesk.desk.webhooks.signing import signed_headers
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.event_deliveries import EventDelivery, EventReader
from qwendesk.messages import Reply
from qwendesk.webhook_settings import WebhookSettings
from tests.conformance.test_memory import RECEIPT
from tests.desk.tickets.conftest import Counter
from tests.desk.webhooks.receiver import Receiver, Request, endless, hang, receiving, reset, status

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = timedelta(0)
FAST = (NOW, NOW, NOW)


def webhook(url: str, **values: Any) -> WebhookSettings:
    given = {"url": url, "secret": SECRET, "allow_private": True, "timeout": 5, **values}
    return WebhookSettings.model_validate(given)


def sender(counter: Counter, *webhooks: WebhookSettings, **values: Any) -> WebhookSender:
    return WebhookSender(counter.memory.scope, webhooks, **{"pauses": FAST, "poll_seconds": 0.02, **values})


@asynccontextmanager
async def sending(counter: Counter, *webhooks: WebhookSettings, **values: Any) -> AsyncIterator[WebhookSender]:
    """Send to webhooks that are registered already."""
    for each in webhooks:
        await EventDeliveries(counter.memory.scope).register(each.label, datetime.now(UTC) - timedelta(minutes=1))
    made = sender(counter, *webhooks, **values)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def kinds(receiver: Receiver) -> list[str]:
    return [str(json.loads(request.body)["type"]) for request in receiver.requests]


async def finished(counter: Counter, count: int, **by_status: int) -> None:
    """Wait until so many deliveries have each status."""
    deliveries = EventDeliveries(counter.memory.scope)
    async with asyncio.timeout(20):
        while True:
            found = (await deliveries.counts()).values()
            if all(sum(getattr(each, name) for each in found) == wanted for name, wanted in by_status.items()) and (
                sum(each.waiting + each.done + each.failed for each in found) == count
            ):
                return
            await asyncio.sleep(0.02)


async def write(counter: Counter, conversation: str = "c1") -> TicketRecord:
    return (await counter.write("My name is Ann, my order is 4711", conversation, display_name="Ann")).ticket


def checked(request: Request) -> dict[str, Any]:
    """Return the body of a request whose signature is right."""
    id_, at = request.header("webhook-id"), datetime.fromtimestamp(int(request.header("webhook-timestamp")), UTC)
    expected = signed_headers(id_, at, request.body, [SECRET])
    assert request.header("webhook-signature") == expected["webhook-signature"]
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    body: dict[str, Any] = json.loads(request.body)
    return body


async def test_events_arrive_signed_and_in_order(counter_on_both: Counter) -> None:
    counter = counter_on_both
    async with receiving() as receiver, sending(counter, webhook(receiver.url)):
        ticket = await write(counter)
        await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")
        await counter.tickets.resolve(ticket.id, CUSTOMER, "done")
        await receiver.until(4)
        await finished(counter, 4, done=4)
    assert kinds(receiver) == ["ticket.opened", "ticket.message", "ticket.handed_over", "ticket.resolved"]
    first = receiver.requests[0]
    assert first.head.startswith("POST /hook?x=1 HTTP/1.1\r\n") and first.header("content-type") == "application/json"
    assert len({request.header("webhook-id") for request in receiver.requests}) == 4
    body = checked(receiver.requests[2])
    assert body["version"] == 1 and body["data"]["event"]["reason"] == "asked"
    assert body["data"]["event"]["changes"]["state"] == "waiting" and body["data"]["ticket"]["number"] == ticket.number


async def test_texts_and_names_are_left_out_unless_wished(counter: Counter) -> None:
    async with receiving() as plain, receiving() as full:
        hooks = webhook(plain.url, name="plain"), webhook(full.url, name="full", include_text=True)
        async with sending(counter, *hooks):
            ada = await counter.operator("ada")
            ticket = await write(counter)
            await counter.tickets.reply(ticket.id, ada, "Blue or green?")
            claimed = await counter.accept("And my other order?", "c2", display_name="Bob")
            await counter.flow.place(claimed)
            turn = await counter.memory.turns.begin(claimed.inbound)
            await counter.memory.turns.finish(turn, Reply("It was sent.", "c2", RECEIPT))
            await counter.flow.note_answer(claimed)
            await plain.until(7)
            await full.until(7)
    told = b"".join(request.body for request in plain.requests)
    assert not any(word in told for word in (b"Ann", b"4711", b"Blue", b"Bob", b"other", b"sent."))
    posted = [json.loads(request.body)["data"] for request in full.requests]
    texts = {data["event"]["kind"]: data["text"] for data in posted if data["ticket"]["customer"] == "Ann"}
    assert texts["message"] == "My name is Ann, my order is 4711" and texts["replied"] == "Blue or green?"
    assert texts["opened"] is None
    texts = {data["event"]["kind"]: data["text"] for data in posted if data["ticket"]["customer"] == "Bob"}
    assert texts == {"opened": None, "message": "And my other order?", "answered": "It was sent."}


async def test_only_the_chosen_kinds_from_now_on(counter: Counter) -> None:
    ticket = await write(counter)
    async with receiving() as receiver:
        hook = webhook(receiver.url, events=["resolved"])
        made = sender(counter, hook)
        await made._deliveries.register(hook.label, datetime.now(UTC))
        await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")
        await counter.tickets.resolve(ticket.id, CUSTOMER)
        assert await made.send_due(hook) == 1 and await made.send_due(hook) == 0
        everything = webhook(receiver.url, name="later")
        await made._deliveries.register(everything.label, datetime.now(UTC))
        assert await made.send_due(everything) == 0
    assert kinds(receiver) == ["ticket.resolved"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (status(500, "out of order"), "the server answers 500: out of order"),
        (status(404), "the server answers 404"),
        (status(302, location="http://127.0.0.1:1/"), "the server answers 302"),
        (status(429, retry_after="0"), "the server answers 429"),
        (reset, "the server cannot be reached"),
        (hang, "the server took longer than 0.3 s"),
        (endless, None),
    ],
)
async def test_a_failure_is_tried_again_with_the_same_id(counter: Counter, answer: Any, told: str | None) -> None:
    async with receiving(answer, answer, answer) as receiver:
        hook = webhook(receiver.url, timeout=0.3, events=["opened"])
        error = await post_test(hook, "id")
        receiver.requests.clear()
        assert error is None if told is None else error and error.startswith(told)
        async with sending(counter, hook):
            await write(counter)
            await finished(counter, 1, done=1)
    bodies = [checked(request) for request in receiver.requests]
    assert len(bodies) == (3 if told else 1), "an answer that does not end has a status at its beginning"
    assert len({request.header("webhook-id") for request in receiver.requests}) == 1
    assert all(body == bodies[0] for body in bodies)


async def test_a_delivery_is_given_up_listed_and_sent_again_by_hand(counter: Counter) -> None:
    async with receiving(*[status(503, "closed")] * 4) as receiver:
        hook = webhook(receiver.url, events=["opened"])
        async with sending(counter, hook):
            await write(counter)
            await finished(counter, 1, failed=1)
            deliveries = EventDeliveries(counter.memory.scope)
            (given_up,) = await deliveries.failed()
            assert (given_up.attempts, given_up.response_status) == (4, 503)
            assert given_up.error == "the server answers 503: closed" and given_up.reader == hook.label
            assert await deliveries.retry(["no such id"]) == 0 and await deliveries.retry([given_up.id]) == 1
            await finished(counter, 1, done=1)
    assert {request.header("webhook-id") for request in receiver.requests} == {given_up.id}


async def test_a_receiver_that_is_gone_is_not_asked_again(counter: Counter) -> None:
    async with receiving(status(410)) as receiver, sending(counter, webhook(receiver.url, events=["opened"])):
        await write(counter)
        await finished(counter, 1, failed=1)
    assert len(receiver.requests) == 1


async def test_later_events_of_a_ticket_wait_for_the_earlier_ones_and_other_tickets_do_not(counter: Counter) -> None:
    async with receiving(status(500)) as receiver:
        hook = webhook(receiver.url)
        made = sender(counter, hook, pauses=(timedelta(hours=1),))
        await made._deliveries.register(hook.label, datetime.now(UTC) - timedelta(minutes=1))
        ticket = await write(counter)  # its first event fails
        assert [await made.send_due(hook) for _ in range(2)] == [1, 0]
        await counter.tickets.resolve(ticket.id, CUSTOMER)
        other = await write(counter, "c2")
        assert [await made.send_due(hook) for _ in range(3)] == [1, 1, 0]
        numbers = [json.loads(request.body)["data"]["ticket"]["number"] for request in receiver.requests]
        assert numbers == [ticket.number, other.number, other.number]
        async with counter.memory.scope.write() as connection:
            await connection.execute(update(EventDelivery).values(next_at=datetime.now(UTC)))
        assert [await made.send_due(hook) for _ in range(4)] == [1, 1, 1, 0]
    assert kinds(receiver)[3:] == ["ticket.opened", "ticket.message", "ticket.resolved"]


async def test_pauses_grow_with_jitter_and_a_receiver_may_ask_for_more(counter: Counter) -> None:
    async with receiving(
        status(500), status(500), status(503, retry_after="3600"), status(503, retry_after="9" * 9)
    ) as receiver:
        hook = webhook(receiver.url, events=["opened"])
        made = WebhookSender(counter.memory.scope, [hook])
        await made._deliveries.register(hook.label, datetime.now(UTC) - timedelta(minutes=1))
        await write(counter)
        pauses = []
        for _ in range(4):
            assert await made.send_due(hook) == 1
            async with counter.memory.scope.read() as connection:
                next_at = (await connection.execute(select(EventDelivery.next_at))).scalar_one()
            pauses.append((next_at - datetime.now(UTC)).total_seconds())
            async with counter.memory.scope.write() as connection:
                await connection.execute(update(EventDelivery).values(next_at=datetime.now(UTC)))
    assert 4 < pauses[0] <= 6 and 29 < pauses[1] <= 36 and 3590 < pauses[2] <= 3600 and 3590 < pauses[3] <= 3600


async def test_a_receiver_that_hangs_delays_no_other_one(counter: Counter) -> None:
    async with receiving(*[hang] * 50) as hanging, receiving() as good:
        async with sending(counter, webhook(hanging.url, name="hangs", timeout=60), webhook(good.url, name="good")):
            for number in range(5):
                await write(counter, f"c{number}")
            await good.until(10)
        assert len(hanging.requests) <= 4


async def test_a_receiver_that_is_down_gets_everything_after_its_start(counter: Counter) -> None:
    async with receiving() as receiver:
        await receiver.stop()
        hook = webhook(receiver.url)
        async with sending(counter, hook, pauses=[timedelta(milliseconds=50)] * 1000):
            for number in range(3):
                await write(counter, f"c{number}")
            await finished(counter, 6, waiting=6)
            await receiver.start()
            await finished(counter, 6, done=6)
    assert sorted(kinds(receiver)) == ["ticket.message"] * 3 + ["ticket.opened"] * 3


async def test_what_a_killed_process_was_sending_is_sent_again(counter_on_both: Counter) -> None:
    counter = counter_on_both
    async with receiving(hang) as receiver:
        hook = webhook(receiver.url, events=["opened"], timeout=1)
        async with sending(counter, hook, lease_margin=NOW):
            await write(counter)
            await receiver.until(1)  # and the process ends here
        async with sending(counter, hook):
            await finished(counter, 1, done=1)
    assert len({request.header("webhook-id") for request in receiver.requests}) == 1


SENDING_PROCESS = """
import asyncio, sys
from datetime import timedelta
from qwendesk.desk.webhooks.sender import WebhookSender
from qwendesk.memory.memory import Memory
from qwendesk.webhook_settings import WebhookSettings

async def main():
    memory = Memory(f"sqlite+aiosqlite:///{sys.argv[1]}")
    await memory.open()
    hook = WebhookSettings.model_validate_json(sys.argv[2])
    await WebhookSender(memory.scope, [hook], poll_seconds=0.02, lease_margin=timedelta(0)).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_kill_9_while_it_sends(counter: Counter) -> None:
    file = counter.memory.database.file
    async with receiving(hang) as receiver:
        values = {"url": receiver.url, "secret": SECRET, "allow_private": True, "timeout": 1, "events": "opened"}
        await EventDeliveries(counter.memory.scope).register(
            WebhookSettings.model_validate(values).label, datetime.now(UTC) - timedelta(minutes=1)
        )
        await write(counter)
        arguments = (sys.executable, "-c", SENDING_PROCESS, str(file), json.dumps(values))
        for run in (1, 2):
            process = await asyncio.create_subprocess_exec(*arguments)
            await receiver.until(run)
            if run == 2:
                await finished(counter, 1, done=1)
            process.kill()
            assert await process.wait() == -signal.SIGKILL
    assert len({request.header("webhook-id") for request in receiver.requests}) == 1


async def test_two_processes_send_each_event_once(counter_on_both: Counter) -> None:
    counter = counter_on_both
    async with receiving() as receiver:
        hook = webhook(receiver.url)
        async with sending(counter, hook), sending(counter, hook), sending(counter, hook):
            for number in range(5):
                await write(counter, f"c{number}")
            await finished(counter, 10, done=10)
    ids = [request.header("webhook-id") for request in receiver.requests]
    assert len(ids) == len(set(ids)) == 10


async def test_private_addresses_are_refused(counter: Counter) -> None:
    async with receiving() as receiver:
        for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost"), "http://169.254.169.254/latest"):
            error = await post_test(webhook(url, allow_private=False), "id")
            assert error and "private network" in error and "allow_private = true" in error
        redirected = status(307, location=receiver.url)
        receiver.answers.append(redirected)
        assert await post_test(webhook(receiver.url), "id") == "the server answers 307"
        assert len(receiver.requests) == 1, "a redirect is not followed"
        assert await post_test(webhook(receiver.url), "id") is None
    assert json.loads(receiver.requests[-1].body)["type"] == "webhook.test"


async def test_a_forgotten_customer_takes_the_deliveries_along(counter: Counter) -> None:
    async with receiving(*[status(500)] * 9) as receiver:
        hook = webhook(receiver.url, include_text=True)
        async with sending(counter, hook, pauses=[timedelta(hours=1)] * 9):
            ticket = await write(counter)
            await receiver.until(1)
            async with counter.memory.scope.write() as connection:
                await connection.execute(delete(Conversation).where(Conversation.id == ticket.conversation_id))
            await finished(counter, 0)


async def test_a_long_backlog_is_read_in_parts(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwendesk.desk.tickets.event_deliveries._FED_AT_ONCE", 3)
    async with receiving() as receiver:
        hook = webhook(receiver.url)
        made = sender(counter, hook)
        await made._deliveries.register(hook.label, datetime.now(UTC) - timedelta(minutes=1))
        for number in range(5):
            await write(counter, f"c{number}")
        while await made.send_due(hook):
            pass
        assert len(receiver.requests) == 10
        async with counter.memory.scope.read() as connection:
            rows = (await connection.execute(select(EventReader.read_until))).scalars().all()
        assert len(rows) == 1


async def test_old_deliveries_are_deleted(counter: Counter) -> None:
    async with receiving() as receiver, sending(counter, webhook(receiver.url)):
        await write(counter)
        await finished(counter, 2, done=2)
        deliveries = EventDeliveries(counter.memory.scope)
        await deliveries.prune(datetime.now(UTC) + timedelta(days=6))
        await finished(counter, 2, done=2)
        await deliveries.prune(datetime.now(UTC) + timedelta(days=8))
        async with counter.memory.scope.write() as connection:
            # the events are old by then
            await connection.execute(update(EventReader).values(read_until=datetime.now(UTC) + timedelta(days=8)))
        assert (await deliveries.counts()) == {}


async def test_what_waits_for_a_removed_webhook_is_deleted_in_the_end(counter: Counter) -> None:
    hook = webhook("http://127.0.0.1:9/")
    deliveries, at = EventDeliveries(counter.memory.scope), datetime.now(UTC)
    await deliveries.register(hook.label, at - timedelta(minutes=1))
    await write(counter)
    assert await deliveries.feed(hook.label, at) == 2
    await deliveries.prune(at + timedelta(days=29))
    await finished(counter, 2, waiting=2)
    await deliveries.prune(at + timedelta(days=31))
    assert (await deliveries.counts()) == {}


async def test_an_answer_that_repeats_a_customers_text_is_not_kept(
    counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(*[status(422, "my secret") for _ in range(4)]) as receiver:
        hook = webhook(receiver.url, include_text=True)
        async with sending(counter, hook, pauses=()):
            await counter.write("my secret")
            await finished(counter, 2, failed=2)
        (failed, *_) = await EventDeliveries(counter.memory.scope).failed()
        assert "422" in (failed.error or "") and "secret" not in (failed.error or "") + caplog.text
