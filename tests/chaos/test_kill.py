"""Workers are killed while they answer: no message is lost, repeated or out of order."""

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.chaos.cluster import DeskCluster, Disruption
from tests.chaos.conftest import ROUNDS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]
CONVERSATIONS = int(os.environ.get("QWENDESK_CHAOS_CONVERSATIONS", "40"))
MESSAGES = 5
TOTAL = CONVERSATIONS * MESSAGES
PLAN = ("--conversations", CONVERSATIONS, "--messages", MESSAGES)
SQLITE = "sqlite+aiosqlite:///FOLDER/qwendesk.db"


def kill_one(cluster: DeskCluster, workers: list[int]) -> Disruption:
    """Kill a worker that is answering with SIGKILL, after a random share of the answers; return which and when."""
    cluster.wait_for("sent", random.randint(1, TOTAL * 3 // 4), 200)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        chosen = random.choice(workers)
        os.kill(chosen, signal.SIGSTOP)
        if cluster.is_answering(chosen):
            os.kill(chosen, signal.SIGKILL)
            return Disruption(chosen, time.time())
        os.kill(chosen, signal.SIGCONT)
        time.sleep(random.random() / 20)
    raise AssertionError("no worker was seen answering")


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_one_of_three_workers_is_killed(
    make_cluster: Callable[[str], DeskCluster], postgres_url: str, round_: int
) -> None:
    cluster = make_cluster(postgres_url)
    workers = [cluster.start("worker").pid for _ in range(3)]
    cluster.wait_for("ready", 3)
    for _ in range(2):
        cluster.start("ingress", *PLAN)
    disruption = kill_one(cluster, workers)
    cluster.keep_heartbeat_fresh(disruption.process)
    cluster.wait_until_closed(TOTAL, 200)
    cluster.check(CONVERSATIONS, MESSAGES, disruption)
    assert cluster.count("inbound_event WHERE runs > 1") > 0
    # its heartbeat never gets old, so the advisory lock alone, which PostgreSQL frees at once, shows that it is gone
    assert cluster.events("recovered")


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_the_only_worker_is_killed_and_started_again(make_cluster: Callable[[str], DeskCluster], round_: int) -> None:
    cluster = make_cluster(SQLITE)
    worker = cluster.start("worker").pid
    cluster.wait_for("ready")
    for _ in range(2):
        cluster.start("ingress", *PLAN)
    disruption = kill_one(cluster, [worker])
    cluster.start("worker")
    cluster.wait_until_closed(TOTAL, 200)
    cluster.check(CONVERSATIONS, MESSAGES, disruption)
    assert cluster.count("inbound_event WHERE runs > 1") > 0
