"""Checks of a running desk: its model, its channels, messages that were given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from qwendesk.engines.pool import ModelPool
from qwendesk.errors import QwendeskError, reason
from qwendesk.periodic import PeriodicTask

log = logging.getLogger(__name__)
EVERY_SECONDS = 30.0
_LOOK_SECONDS = 20.0
"""The longest that one look at an engine takes, in seconds."""


class ModelMonitor:
    """Asks from time to time whether a model can answer for the role ``general``.

    Args:
        pool: the models.
        every: seconds between two looks.
    """

    def __init__(self, pool: ModelPool, every: float = EVERY_SECONDS) -> None:
        self._pool = pool
        self._task = PeriodicTask(self.look, every)
        self.problem = ""
        """Why nobody can be answered now; empty where somebody can."""

    def start(self) -> None:
        """Start to look at the interval."""
        self._task.start()

    async def stop(self) -> None:
        """Stop looking."""
        await self._task.stop()

    async def look(self) -> None:
        """Look once, and log what has changed."""
        problem = await self._found()
        if problem and not self.problem:
            log.warning("Nobody can be answered: %s", problem)
        elif self.problem and not problem:
            log.warning("Messages are answered again.")
        self.problem = problem

    async def warm_up(self) -> str:
        """Load the model of the role ``general``, so that the first person need not wait for it.

        Returns:
            The model's name with its engine; empty where there is none to load yet.

        Raises:
            QwendeskError: it cannot be loaded, or its engine does not answer.
        """
        choice = await self._pool.choose("general", fetch=False)
        if choice is None:
            return ""
        await self._pool.load(choice)
        return f"{choice.card.name} on {choice.engine}"

    async def missing(self) -> str:
        """Return why the model that the settings name cannot answer, with the next step; empty where it can."""
        settings = self._pool.settings
        named = settings.roles.get("general") or settings.model
        if not named:
            return ""
        try:
            await self._pool.find(named)
        except QwendeskError as error:
            return str(error)
        return ""

    async def _found(self) -> str:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                choice = await self._pool.choose("general", fetch=False)
        except Exception as error:  # an installed engine may raise anything
            return reason(error)
        return "" if choice else "No model is there: 'qwendesk models recommend' says which to fetch."


async def problems_of(
    monitor: ModelMonitor | None,
    channels: Mapping[str, str],
    given_up: Callable[[], Awaitable[int]],
) -> dict[str, str]:
    """Return what is wrong by its name, with the next step.

    Args:
        monitor: watches the model; None where this process does not answer.
        channels: what is wrong with each channel that does not run.
        given_up: counts the messages that could not be answered or delivered.

    Raises:
        StoreError: the database is away.
    """
    found = dict(channels)
    if monitor and monitor.problem:
        found["model"] = monitor.problem
    if count := await given_up():
        found["messages"] = (
            f"{count} could not be answered or delivered: 'qwendesk messages failed' lists them, "
            "'qwendesk messages retry' or 'dismiss' settles them."
        )
    return found
