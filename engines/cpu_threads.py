"""How many CPU threads an embedded model gets: as many as the machine has free."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

import psutil

_SAMPLE_SECONDS = 0.25


def be_patient() -> None:
    """Let idle compute threads sleep instead of spinning; has to run before the library is loaded.

    A spinning thread that waits for a sibling on a busy core costs more than half of the speed; a sleeping one costs
    a few percent on an idle machine (``benchmarks/threads.py`` measures both).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


async def free_threads() -> int:
    """Return the number of cores that nobody uses at this moment, at least 1."""
    cores = usable_cores()
    before = psutil.cpu_times()
    await asyncio.sleep(_SAMPLE_SECONDS)
    after = psutil.cpu_times()
    busy = (sum(after) - sum(before)) - (after.idle - before.idle) - _waiting(before, after)
    busy_cores = max(0.0, busy) / _SAMPLE_SECONDS
    return max(1, min(cores, round((os.cpu_count() or 1) - busy_cores)))


def usable_cores() -> int:
    """Return the cores this process may run on, by affinity and by the container's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota() or cores))


def _quota() -> int | None:
    """Return the container's CPU quota in whole cores (cgroup v2), if there is one."""
    with suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123 - a kernel file, not a path
            limit, period = file.read().split()
        return max(1, int(limit) // int(period))
    return None


def _waiting(before: object, after: object) -> float:
    return float(getattr(after, "iowait", 0.0)) - float(getattr(before, "iowait", 0.0))
