"""CPU time that the framework adds to a turn: scripted engine, SQLite file, routing and receipt included.

python -m benchmarks.turn [--json].
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine

LIMIT_MS = 25.0
ROUNDS = 7
TURNS = 40
QUESTION = "Where can I read more about the history of the bicycle?"
ANSWER = "In the museum's catalogue, and in any good library of the town."


def spin() -> int:
    """A fixed piece of work, to tell how fast this machine is at the moment."""
    return sum(i * i for i in range(100_000))


async def measure() -> dict[str, float]:
    """Return milliseconds of CPU a turn, and the same as a multiple of a fixed piece of Python work."""
    engine = ScriptedEngine(lambda messages: ANSWER)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), engine="scripted")
        async with Desk(settings, engines={"scripted": engine}) as desk:
            await run(desk, "warm", 5)
            costs, ratios = [], []
            for round_ in range(ROUNDS):
                begun = time.process_time()
                await run(desk, f"round-{round_}", TURNS)
                cost = (time.process_time() - begun) / TURNS
                begun = time.process_time()
                spin()
                ratios.append(cost / (time.process_time() - begun))
                costs.append(cost * 1e3)
    return {
        "turn_cpu_ms": round(statistics.median(costs), 2),
        "turn_over_spin": round(statistics.median(ratios), 2),
        "limit_ms": LIMIT_MS,
    }


async def run(desk: Desk, name: str, turns: int) -> None:
    """Ask a few questions in each of several conversations."""
    for turn in range(turns):
        await desk.ask(QUESTION, conversation=f"{name}-{turn // 5}")


def main() -> None:
    result = asyncio.run(measure())
    if "--json" in sys.argv:
        print(json.dumps(result))
    else:
        print("| what | measured |\n|---|---|")
        print(f"| framework's CPU in one turn | {result['turn_cpu_ms']:.1f} ms |")
        print(f"| the same, over a loop of 100,000 multiplications | {result['turn_over_spin']:.1f} |")


if __name__ == "__main__":
    main()
