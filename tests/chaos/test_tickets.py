"""Workers are killed or frozen while people take conversations over: nothing is said twice, lost or out of turn."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any

import pytest
from sqlalchemy import select

from qwendesk.desk.runtime import DeskRuntime
from qwendesk.desk.tickets.queries import TicketFilter
from qwendesk.desk.tickets.records import Actor
from qwendesk.desk.translations import say
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.operators import Operator
from tests.chaos.cluster import DeskCluster, Disruption
from tests.chaos.conftest import ROUNDS
from tests.chaos.test_faults import frozen_while_answering
from tests.desk.tickets.operators import add_operator

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]
SQLITE = "sqlite+aiosqlite:///FOLDER/qwendesk.db"
CONVERSATIONS, REPLIES = 8, 5
Make = Callable[[str], DeskCluster]


class Counter:
    """An operator at the desk, in the process of the test."""

    def __init__(self, runtime: DeskRuntime, ada: Actor) -> None:
        self.runtime = runtime
        self.ada = ada

    async def tickets(self) -> dict[str, str]:
        """Return the newest ticket of each conversation."""
        found = await self.runtime.ticket_queries.listed(TicketFilter(), limit=1000)
        return {ticket.delivery.conversation: ticket.id for ticket in reversed(found)}

    async def reply_to_all(self, text: str) -> None:
        for id_ in (await self.tickets()).values():
            await self.runtime.tickets.reply(id_, self.ada, text, key=text)


@asynccontextmanager
async def counter(cluster: DeskCluster, **operator: Any) -> AsyncIterator[Counter]:
    memory = Memory(cluster.url)
    await memory.open()
    runtime = DeskRuntime(memory.scope, cluster.url)
    try:
        await runtime.start()
        yield Counter(runtime, await known_operator(memory) or await add_operator(memory.scope, "ada", **operator))
    finally:
        await runtime.stop()
        await memory.aclose()


async def known_operator(memory: Memory) -> Actor | None:
    async with memory.scope.read() as connection:
        row = (await connection.execute(select(Operator.id, Operator.display_name))).one_or_none()
    return Actor.operator(row[0], row[1]) if row else None


def hire(cluster: DeskCluster, **operator: Any) -> None:
    """Make the tables and an operator's account, before any process starts."""

    async def work() -> None:
        async with counter(cluster, **operator):
            pass

    asyncio.run(work())


def told(cluster: DeskCluster, disruptions: Iterable[Disruption] = ()) -> dict[str, list[str]]:
    """Return what each customer has got, in order; only what was in flight at a disruption may come twice."""
    marked = {line["id"]: line["at"] for line in reversed(cluster.events("marked"))}
    texts: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for sent in cluster.shown().values():
        surely = [line for line in sent if not any(was.in_flight(line, marked) for was in disruptions)]
        assert len(surely) <= 1 and len(sent) <= 2, f"sent twice: {sent}"
        last = (surely or sent)[-1]
        texts[last["conversation"]].append((last["at"], last["text"]))
    return {name: [text for _, text in sorted(lines, key=itemgetter(0))] for name, lines in texts.items()}


@pytest.mark.parametrize("method", ["place", "hand_over"])
def test_a_worker_is_killed_in_the_middle_of_a_handover(make_cluster: Make, method: str) -> None:
    cluster = make_cluster(SQLITE)
    hire(cluster)
    first = cluster.start("worker", "--die-after", method)
    cluster.wait_for("ready")
    plan = ("--conversations", CONVERSATIONS, "--texts", "/human my parcel is lost,are you there")
    cluster.start("ingress", *plan)
    assert first.wait(120) == -signal.SIGKILL
    cluster.start("worker", "--die-after", method)
    cluster.wait_until_closed(2 * CONVERSATIONS)
    for texts in told(cluster).values():
        assert len(texts) == 1 and "to a person" in texts[0], "one handover message each, and no further word"
    assert len(told(cluster)) == CONVERSATIONS
    assert cluster.count("ticket WHERE state = 'waiting'") == cluster.count("ticket") == CONVERSATIONS
    assert cluster.count("ticket_event WHERE kind = 'handed_over'") == CONVERSATIONS
    assert cluster.count("ticket_event WHERE kind = 'message'") == 2 * CONVERSATIONS
    assert cluster.count("message WHERE role = 'user' AND ticket_id IS NOT NULL") == 2 * CONVERSATIONS
    assert cluster.count("message WHERE role = 'assistant'") == 0


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_worker_is_killed_while_operators_reply(make_cluster: Make, postgres_url: str, round_: int) -> None:
    cluster = make_cluster(postgres_url)
    hire(cluster)
    workers = [cluster.start("worker").pid for _ in range(2)]
    cluster.wait_for("ready", 2)
    cluster.start("ingress", "--conversations", CONVERSATIONS, "--texts", "hello,/human")
    cluster.wait_until_closed(2 * CONVERSATIONS)
    killed: list[Disruption] = []

    async def work() -> None:
        async with counter(cluster) as desk:
            for number in range(REPLIES):
                await desk.reply_to_all(f"reply {number}")
                if number == REPLIES // 2:
                    os.kill(workers[0], signal.SIGKILL)
                    killed.append(Disruption(workers[0], time.time()))

    asyncio.run(work())
    cluster.wait_until_closed((2 + REPLIES) * CONVERSATIONS)
    for texts in told(cluster, killed).values():
        assert texts[0] == "re hello" and "to a person" in texts[1]
        assert texts[2:] == [f"reply {number}" for number in range(REPLIES)]
    assert cluster.count("ticket WHERE state = 'human'") == CONVERSATIONS
    assert cluster.count("message WHERE role = 'operator'") == REPLIES * CONVERSATIONS


def test_a_worker_is_frozen_while_its_answer_is_taken_over(make_cluster: Make, postgres_url: str) -> None:
    ending = " and so on, word by word"
    wordy = ("--word", 0.4, "--ending", ending)
    cluster = make_cluster(postgres_url)
    hire(cluster)
    process = cluster.start("worker", *wordy).pid
    cluster.start("worker", *wordy)
    cluster.wait_for("ready", 2)
    cluster.start("ingress", "--conversations", CONVERSATIONS, "--texts", "hello")
    cluster.wait_for("edited", 2)
    taken = 0.0

    async def work() -> None:
        nonlocal taken
        async with counter(cluster) as desk:
            await desk.reply_to_all("Ada here.")
            taken = time.time()

    with frozen_while_answering(cluster, process):
        asyncio.run(work())
        cluster.wait_until_closed(2 * CONVERSATIONS)
    time.sleep(2)  # the frozen worker goes on with what it holds
    cluster.retire(process)
    shown = [*cluster.events("sent"), *cluster.events("edited")]
    late = [line for line in shown if line["at"] > taken + 1 and line["text"].endswith(ending)]
    assert not late, "an answer was completed after the takeover"
    for texts in told(cluster).values():
        assert texts[-1] == "Ada here." and texts.count("Ada here.") == 1
    assert cluster.count("ticket WHERE state = 'human'") == CONVERSATIONS


@pytest.mark.parametrize(
    ("method", "refunds", "answer"),
    [
        ("ask", 1, "re refunded 4711"),  # before the customer is told that it waits
        ("progress", 1, "re refunded 4711"),  # before the call
        ("claim", 0, say("approval_interrupted")),  # when nobody else can go on with the turn any more
        ("refund", 1, say("approval_interrupted")),  # after the call
        ("finish", 1, "re refunded 4711"),  # before the answer is sent
    ],
)
def test_a_worker_is_killed_around_an_approved_call(make_cluster: Make, method: str, refunds: int, answer: str) -> None:
    cluster = make_cluster(SQLITE)
    hire(cluster)
    first = cluster.start("worker", "--die-after", method)
    cluster.wait_for("ready")
    cluster.start("ingress", "--texts", "please refund order 4711")
    if method == "ask":
        assert first.wait(120) == -signal.SIGKILL
        cluster.start("worker", "--die-after", method)
    cluster.wait_until_closed(1)

    async def approve() -> None:
        async with counter(cluster) as desk:
            for approval in await desk.runtime.approvals.waiting():
                await desk.runtime.approvals.decide(approval.ticket_id, desk.ada, approval.id, None, True)

    asyncio.run(approve())
    if method != "ask":
        assert first.wait(120) == -signal.SIGKILL
        cluster.start("worker", "--die-after", method)
    cluster.wait_until_closed(2)
    assert len(cluster.events("refunded")) == refunds
    ((waits, answered),) = told(cluster).values()
    assert say("approval_waits") in waits or say("approval_waits_later") in waits
    assert answered == answer
    assert cluster.count("pending_turn") == 0
    is_lost = answer != "re refunded 4711"
    assert cluster.count("ticket WHERE state = 'waiting'") == is_lost
    status = "dropped" if is_lost else "done"
    assert cluster.count(f"ticket_approval WHERE status = '{status}'") == cluster.count("ticket_approval") == 1


@pytest.mark.parametrize(
    ("method", "translated"),
    [
        ("translation", 2),  # while the model writes the translation
        ("outgoing_text", 1),  # after the translation is stored, before it is sent
    ],
)
def test_a_worker_is_killed_while_an_operators_reply_is_translated(
    make_cluster: Make, method: str, translated: int
) -> None:
    german, english = "Ihr Paket ist auf dem Weg und kommt morgen an.", "Your parcel is on its way and comes tomorrow."
    cluster = make_cluster(SQLITE)
    hire(cluster, languages=["de"])
    first = cluster.start("worker", "--die-after", method, "--translation", english)
    cluster.wait_for("ready")
    cluster.start("ingress", "--texts", "Where is my parcel? It should have come to me last week.")
    cluster.wait_until_closed(1)

    async def reply() -> None:
        async with counter(cluster) as desk:
            await desk.reply_to_all(german)

    asyncio.run(reply())
    assert first.wait(120) == -signal.SIGKILL
    cluster.start("worker", "--translation", english)
    cluster.wait_until_closed(2)
    ((_, got),) = told(cluster).values()
    assert got == english
    assert len(cluster.events("translated")) == translated
    assert cluster.count("message_translation WHERE status = 'done'") == cluster.count("message_translation") == 1
    assert cluster.rows("SELECT text FROM message WHERE role = 'operator'") == [(german,)]
    assert cluster.count("ticket WHERE state = 'human'") == cluster.count("ticket") == 1
