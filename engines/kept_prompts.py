"""Drop what engines keep of prompts once a person is forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from qwendesk.engines.base import Engine
from qwendesk.held_words import Forgotten

log = logging.getLogger(__name__)


class KeptPrompts:
    """What the engines keep of prompts, to make the next turn of a conversation faster.

    Args:
        engines: the engines that were made, by name.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines
        self._dropping: set[asyncio.Task[None]] = set()

    async def drop(self, _: Forgotten) -> None:
        """Begin to drop it; an engine that answers drops it afterwards."""
        for engine in self._engines.values():
            task = asyncio.create_task(engine.forget_prompts())
            self._dropping.add(task)
            task.add_done_callback(self._dropped)

    async def aclose(self) -> None:
        """Wait for nothing more."""
        tasks = list(self._dropping)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _dropped(self, task: asyncio.Task[None]) -> None:
        self._dropping.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("The prompts that an engine keeps were not dropped: %s.", type(error).__name__)
