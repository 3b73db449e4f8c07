"""Files and functions of the project that run for one message, the second of its conversation.

python -m benchmarks.files [--json] [--list]

Measured with ``sys.setprofile`` in every thread: a call of ``desk.ask``, and a message that a simulated Telegram
delivers until its answer is shown. Simulators are not counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

from qwendesk import Desk, Settings
from qwendesk.channel_wiring import COMMON_SETTING_NAMES, make_channel
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.plugins import load
from qwendesk.service import Service
from qwendesk.testing.simulators.base import UserMessage, simulator_for

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"ask": 50, "telegram": 80}
"""Most files for one message."""
NOT_COUNTED = ("testing", "tests", "benchmarks", ".venv")


@contextmanager
def called() -> Iterator[set[CodeType]]:
    """Collect the code objects that run inside, in all threads."""
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            seen.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def counted(seen: set[CodeType]) -> dict[str, set[str]]:
    """Return the project's functions that ran, by file."""
    files: dict[str, set[str]] = {}
    for code in seen:
        file = Path(code.co_filename).resolve()
        if code.co_filename.startswith("<") or not file.is_relative_to(ROOT):
            continue
        name = file.relative_to(ROOT)
        if name.parts[0] not in NOT_COUNTED and not code.co_name.startswith("<"):
            files.setdefault(str(name), set()).add(code.co_qualname)
    return files


async def ask(folder: Path) -> dict[str, set[str]]:
    """Count one ``desk.ask``."""
    engine = ScriptedEngine(lambda messages: "Good.")
    async with Desk(Settings(home=folder, engine="scripted"), engines={"scripted": engine}) as desk:
        await desk.ask("How are you today?", conversation="one")
        with called() as seen:
            await desk.ask("And how is the weather?", conversation="one")
    return counted(seen)


async def telegram(folder: Path) -> dict[str, set[str]]:
    """Count one message on a simulated Telegram, from its delivery until the answer is shown."""
    kind = load("channels", "telegram")
    async with simulator_for(kind) as simulator:
        values = simulator.settings()
        channels = {"telegram": values | {"access": "open"}}
        settings = Settings(home=folder, engine="scripted", port=0, channels=channels)
        own = {name: value for name, value in values.items() if name not in COMMON_SETTING_NAMES}
        async with Service(settings, channels={"telegram": make_channel(kind, own, settings)}) as service:
            assert service.web
            simulator.desk_url = service.web.url
            await simulator.wait_started()
            await simulator.write(UserMessage("How are you today?"))
            await simulator.wait_until(lambda platform: len(platform.messages) >= 1)
            await asyncio.sleep(1)  # what follows the first answer
            with called() as seen:
                await simulator.write(UserMessage("And how is the weather?"))
                await simulator.wait_until(lambda platform: len(platform.messages) >= 2)
    return counted(seen)


async def measure() -> dict[str, dict[str, set[str]]]:
    """Return the functions that ran, by file, for both ways of asking."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        return {"ask": await ask(Path(one)), "telegram": await telegram(Path(other))}


def main() -> None:
    result = asyncio.run(measure())
    counts = {
        name: {"files": len(files), "functions": sum(map(len, files.values())), "limit": LIMITS[name]}
        for name, files in result.items()
    }
    if "--json" in sys.argv:
        print(json.dumps(counts))
        return
    for name, count in counts.items():
        print(f"{name}: {count['files']} files (limit {count['limit']}), {count['functions']} functions")
        if "--list" in sys.argv:
            for file, functions in sorted(result[name].items()):
                print(f"  {file}: {', '.join(sorted(functions))}")


if __name__ == "__main__":
    main()
