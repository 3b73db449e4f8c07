"""CPU time of the command line and of imports, each as a multiple of its lower bound.

python -m benchmarks.startup [--json]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence

ROUNDS = 11
LIBRARIES = "import langgraph.graph, langchain_core.language_models, langchain_core.messages, langchain_core.tools"
OPEN_DESK = """
import asyncio
from qwendesk import Desk, Settings

async def main():
    async with Desk(Settings(engine="scripted")):
        pass

asyncio.run(main())
"""
COMMANDS = {
    "bare": ["-c", "pass"],
    "typer": ["-c", "import typer"],
    "help": ["-m", "qwendesk", "--help"],
    "libraries": ["-c", LIBRARIES],
    "import": ["-c", "from qwendesk import Desk"],
    "open": ["-c", OPEN_DESK],
}
SHORT = ("bare", "typer", "help")
RATIOS = {
    "help_ratio": ("help", "bare", "`qwendesk --help`, over a bare interpreter", 6.0),
    "typer_ratio": ("typer", "bare", "`import typer`, over a bare interpreter", None),
    "import_ratio": ("import", "libraries", "`from qwendesk import Desk`, over importing its libraries", 1.5),
    "open_ratio": ("open", "libraries", "import, open and close a desk, over importing its libraries", None),
}
"""Figure: the command, what it is compared with, its name on the page, its limit."""


def cpu_seconds(arguments: Sequence[str]) -> float:
    """Return user and system time of one run of the interpreter."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def measure() -> dict[str, float]:
    """Return the medians of ratios of runs made in turn."""
    for arguments in COMMANDS.values():
        cpu_seconds(arguments)  # files into the cache, modules compiled, the database migrated
    rounds = []
    for _ in range(ROUNDS):
        # os.times() counts in hundredths of a second: several short runs together are one sample
        rounds.append({name: _mean(command, 4 if name in SHORT else 1) for name, command in COMMANDS.items()})
    return {
        figure: round(statistics.median(times[part] / max(times[whole], 0.001) for times in rounds), 2)
        for figure, (part, whole, _, _) in RATIOS.items()
    }


def _mean(arguments: Sequence[str], runs: int) -> float:
    return sum(cpu_seconds(arguments) for _ in range(runs)) / runs


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ["QWENDESK_HOME"] = home
        result = measure()
    if "--json" in sys.argv:
        print(json.dumps(result))
        return
    print("| CPU time | limit | measured |\n|---|---|---|")
    for figure, (_, _, name, limit) in RATIOS.items():
        print(f"| {name} | {f'{limit:g}' if limit else ''} | {result[figure]:.2f} |")


if __name__ == "__main__":
    main()
