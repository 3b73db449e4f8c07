"""How fast other people are answered while a model's answers hold escapes and bombs, in both sandboxes.

python -m benchmarks.escapes [--json] [--quick].
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

import psutil
from tests.security.hostile_code import BOMBS, ERRORS, REACHES, SOURCES, VALUES

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine

LIMIT_SECONDS = 1.0
AT_ONCE = 16
EVERY = 0.1
FULL = "import statistics\n"
"""Makes a piece of code one for the second sandbox."""


def pieces(quick: bool) -> list[str]:
    """Return all pieces of code, once for each sandbox."""
    kinds = (VALUES, ERRORS, SOURCES, REACHES) if quick else (VALUES, ERRORS, SOURCES, BOMBS, REACHES)
    codes = list(chain.from_iterable(kind.values() for kind in kinds))
    return [*codes, *(FULL + code for code in codes)]


async def measure(quick: bool) -> dict[str, Any]:
    """Return the seconds that others wait for an answer, and the processes that are left."""
    codes = pieces(quick)

    def script(messages: list[Any]) -> str:
        text = messages[-1].text
        return f"```python\n{codes[int(text.split()[-1])]}\n```" if text.startswith("Write program") else "Hello."

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), engine="scripted")
        async with Desk(settings, engines={"scripted": ScriptedEngine(script)}) as desk:
            await desk.ask("Hello?", conversation="warm")
            memory = psutil.Process().memory_info().rss
            waited: list[float] = []
            others = asyncio.create_task(ask_others(desk, waited))
            begun = time.perf_counter()
            numbers = iter(range(len(codes)))
            outcomes = await asyncio.gather(*(attack(desk, numbers) for _ in range(AT_ONCE)))
            took = time.perf_counter() - begun
            others.cancel()
            await asyncio.gather(others, return_exceptions=True)
            grown = psutil.Process().memory_info().rss - memory
        left = psutil.Process().children(recursive=True)
    checks = list(chain.from_iterable(outcomes))
    return {
        "pieces_of_code": len(codes),
        "turns_answered": len(checks),
        "outcomes": {name: checks.count(name) for name in sorted(set(checks))},
        "seconds": round(took, 1),
        "other_turns": len(waited),
        "p50_seconds": round(statistics.median(waited), 3),
        "p99_seconds": round(sorted(waited)[int(len(waited) * 0.99)], 3),
        "longest_seconds": round(max(waited), 3),
        "limit_seconds": LIMIT_SECONDS,
        "memory_grown_mb": round(grown / 2**20, 1),
        "processes_left": len(left),
    }


async def attack(desk: Desk, numbers: Iterator[int]) -> list[str]:
    """Answer with one piece of code after another; return the outcomes of the check."""
    outcomes = []
    for number in numbers:
        reply = await desk.ask(f"Write program {number}", conversation=f"attack-{number}", role="coder")
        outcomes.append(next((check.outcome for check in reply.receipt.checks), "none"))
    return outcomes


async def ask_others(desk: Desk, waited: list[float]) -> None:
    """Ask a harmless question repeatedly, each time in a new conversation."""
    async with asyncio.TaskGroup() as group:
        for number in count():
            group.create_task(ask(desk, f"other-{number}", waited))
            await asyncio.sleep(EVERY)


async def ask(desk: Desk, conversation: str, waited: list[float]) -> None:
    """Note how long one answer takes."""
    begun = time.perf_counter()
    await desk.ask("Hello?", conversation=conversation, role="general")
    waited.append(time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="without the bombs, which take their whole time")
    args = parser.parse_args()
    result = asyncio.run(measure(args.quick))
    if args.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['pieces_of_code']} pieces of hostile code in {result['seconds']} s: "
            f"{result['other_turns']} other turns, p50 {result['p50_seconds']} s, p99 {result['p99_seconds']} s "
            f"(limit {LIMIT_SECONDS:g} s), longest {result['longest_seconds']} s; the desk grew by "
            f"{result['memory_grown_mb']} MB, {result['processes_left']} processes are left"
        )
    if result["p99_seconds"] > LIMIT_SECONDS or result["turns_answered"] < result["pieces_of_code"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
