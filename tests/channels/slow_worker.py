"""A worker whose model takes its time: ``python -m tests.channels.slow_worker``, with settings in variables."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import SCRIPTED_MODELS, ScriptedEngine
from qwendesk.models.card import ModelCard
from qwendesk.service import Service

WORDS = " ".join(f"word{number}" for number in range(60))
CARDS = (*SCRIPTED_MODELS, ModelCard(name="scripted-large", roles=("thinking",), parameters=70, thinking="hybrid"))


def script(messages: Any) -> str:
    return WORDS if "story" in messages[-1].text else f"re {messages[-1].text}"


async def main() -> None:
    settings = Settings()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    desk = Desk(settings, engines={"scripted": ScriptedEngine(script, cards=CARDS, delay=0.05)})
    async with Service(settings, "worker", desk=desk):
        sys.stdout.write("Qwendesk runs (worker)\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
