"""Workers are killed while they answer: nothing is lost, doubled or out of order."""

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.chaos.conftest import ROUNDS
from tests.chaos.town import Hurt, Town

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]
CONVERSATIONS = int(os.environ.get("QWENDESK_CHAOS_CONVERSATIONS", "40"))
MESSAGES = 5
TOTAL = CONVERSATIONS * MESSAGES
PLAN = ("--conversations", CONVERSATIONS, "--messages", MESSAGES)
SQLITE = "sqlite+aiosqlite:///FOLDER/qwendesk.db"


def kill_one(town: Town, workers: list[int]) -> Hurt:
    """Kill -9 one of the workers once a random share of the answers is there; return which and when."""
    town.wait_for("sent", random.randint(1, TOTAL * 3 // 4), 200)
    killed = random.choice(workers)
    os.kill(killed, signal.SIGKILL)
    return Hurt(killed, time.time())


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_one_of_three_workers_is_killed(make_town: Callable[[str], Town], postgres_url: str, round_: int) -> None:
    town = make_town(postgres_url)
    workers = [town.start("worker").pid for _ in range(3)]
    town.wait_for("ready", 3)
    for _ in range(2):
        town.start("ingress", *PLAN)
    hurt = kill_one(town, workers)
    town.wait_until_closed(TOTAL, 200)
    town.check(CONVERSATIONS, MESSAGES, hurt)
    # PostgreSQL lets go of a dead worker's lock at once, and the others look every second
    taken_over = town.rows("SELECT count(*) FROM inbound_event WHERE runs > 1")[0][0]
    recoveries = [line["at"] - hurt.at for line in town.diary("recovered")]
    assert not taken_over or (recoveries and min(recoveries) <= 5.0), (taken_over, recoveries)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_the_only_worker_is_killed_and_started_again(make_town: Callable[[str], Town], round_: int) -> None:
    town = make_town(SQLITE)
    worker = town.start("worker").pid
    town.wait_for("ready")
    for _ in range(2):
        town.start("ingress", *PLAN)
    hurt = kill_one(town, [worker])
    town.start("worker")
    town.wait_until_closed(TOTAL, 200)
    town.check(CONVERSATIONS, MESSAGES, hurt)
