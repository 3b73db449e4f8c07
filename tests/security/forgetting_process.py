"""A served desk in a process of its own, which counts on SIGUSR1 how many texts it holds that contain a word.

Called with a file of JSON: the settings, and two halves of the word, so that the process itself never holds it whole.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from pathlib import Path
from typing import Any

from qwendesk import Settings
from qwendesk.service import Service


def count(left: str, right: str) -> int:
    word = left + right
    data = word.encode()
    gc.collect()
    found = 0
    for holder in gc.get_objects():
        for held in gc.get_referents(holder):
            if isinstance(held, str):
                found += word in held and held != word
            elif isinstance(held, bytes | bytearray):
                found += data in held and held != data
    return found


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(given: dict[str, Any]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    async with Service(Settings(**given["settings"])) as service:
        loop.add_signal_handler(signal.SIGUSR1, lambda: say(str(count(*given["halves"]))))
        assert service.web
        say(service.web.url)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
