"""The number of CPU threads for an embedded model: the cores that are idle."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

import psutil

_SAMPLE_SECONDS = 0.25


def use_passive_waiting() -> None:
    """Let idle compute threads sleep instead of spin; call this before the library is imported.

    On a busy machine spinning threads cost more than half of the speed; on an idle machine sleeping ones cost a few
    percent (measured by ``benchmarks/threads.py``).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


async def available_threads() -> int:
    """Return the number of idle cores, at least 1."""
    cores = usable_cores()
    before = psutil.cpu_times()
    await asyncio.sleep(_SAMPLE_SECONDS)
    after = psutil.cpu_times()
    busy = (sum(after) - sum(before)) - (after.idle - before.idle) - _iowait(before, after)
    busy_cores = max(0.0, busy) / _SAMPLE_SECONDS
    return max(1, min(cores, round((os.cpu_count() or 1) - busy_cores)))


def usable_cores() -> int:
    """Return the number of cores this process may use, by CPU affinity and container quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no CPU affinity
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota() or cores))


def _quota() -> int | None:
    """Return the container's CPU quota in whole cores (cgroup v2); None without a quota."""
    with suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123 - a kernel file, not a path
            limit, period = file.read().split()
        return max(1, int(limit) // int(period))
    return None


def _iowait(before: object, after: object) -> float:
    return float(getattr(after, "iowait", 0.0)) - float(getattr(before, "iowait", 0.0))
