"""CPU time of ``qwendesk --help`` as a multiple of a bare interpreter's.

python -m benchmarks.startup [--json]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

LIMIT = 6.0
ROUNDS = 11


def cpu_seconds(command: Sequence[str]) -> float:
    """Return user and system time of one run."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def measure() -> dict[str, float]:
    """Return the median of the ratios of runs made in turn."""
    bare = [sys.executable, "-c", "pass"]
    help_ = [sys.executable, "-m", "qwendesk", "--help"]
    cpu_seconds(bare), cpu_seconds(help_)  # files into the cache, modules compiled
    # os.times() counts in hundredths of a second: several runs together are one sample
    ratios = []
    for _ in range(ROUNDS):
        helps = sum(cpu_seconds(help_) for _ in range(4))
        bares = sum(cpu_seconds(bare) for _ in range(4))
        ratios.append(helps / max(bares, 0.01))
    return {"help_ratio": round(statistics.median(ratios), 2), "limit": LIMIT}


def main() -> None:
    result = measure()
    if "--json" in sys.argv:
        print(json.dumps(result))
    else:
        print(f"qwendesk --help costs {result['help_ratio']}x a bare interpreter (limit {LIMIT:g}x)")


if __name__ == "__main__":
    main()
