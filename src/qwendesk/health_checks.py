"""Health checks of a running desk: its model, its channels, failed messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from qwendesk.engines.pool import ModelPool
from qwendesk.errors import QwendeskError, reason
from qwendesk.periodic import PeriodicTask

log = logging.getLogger(__name__)
CHECK_INTERVAL_SECONDS = 30.0
_CHECK_TIMEOUT_SECONDS = 20.0
"""Time limit of one check of an engine, in seconds."""


class ModelMonitor:
    """Checks periodically whether a model can answer for the role ``general``.

    Args:
        pool: the models.
        interval: seconds between two checks.
    """

    def __init__(self, pool: ModelPool, interval: float = CHECK_INTERVAL_SECONDS) -> None:
        self._pool = pool
        self._task = PeriodicTask(self.check, interval, "checking the model")
        self.problem = ""
        """Why no message can be answered; empty if messages can be answered."""

    def start(self) -> None:
        """Start the periodic check."""
        self._task.start()

    async def stop(self) -> None:
        """Stop the periodic check."""
        await self._task.stop()

    async def check(self) -> None:
        """Check once and log a change."""
        problem = await self._found()
        if problem and not self.problem:
            log.warning("No message can be answered: %s", problem)
        elif self.problem and not problem:
            log.warning("Messages are answered again.")
        self.problem = problem

    async def warm_up(self) -> str:
        """Load the model of the role ``general`` before the first message.

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
        """Return why the configured model cannot answer, with the next step; empty if it can."""
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
            async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                choice = await self._pool.choose("general", fetch=False)
        except Exception as error:  # an installed engine may raise anything
            return reason(error)
        return "" if choice else "No model is available: 'qwendesk models recommend' says which to fetch."


def problems_of(monitor: ModelMonitor | None, channels: Mapping[str, str], failed: int) -> dict[str, str]:
    """Return the problems by name, each with the next step.

    Args:
        monitor: watches the model; None where this process does not answer.
        channels: what is wrong with each channel that does not run.
        failed: count of the messages that could not be answered or delivered.
    """
    found = dict(channels)
    if monitor and monitor.problem:
        found["model"] = monitor.problem
    if failed:
        found["messages"] = (
            f"{failed} could not be answered or delivered: 'qwendesk messages failed' lists them, "
            "'qwendesk messages retry' or 'dismiss' settles them."
        )
    return found
