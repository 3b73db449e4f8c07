"""Keep a channel running: restart it after errors with a growing delay, and report its state."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from typing import Literal

from qwendesk.channels.base import Accept, Channel
from qwendesk.channels.retry import Backoff, sleep_unless_stopped
from qwendesk.errors import ChannelError, ConfigError, reason
from qwendesk.redaction import redact

ChannelState = Literal["running", "waiting", "refused", "stopped"]
log = logging.getLogger(__name__)


class ChannelSupervisor:
    """Runs ``start`` of one channel until the desk stops."""

    def __init__(self, name: str, channel: Channel) -> None:
        self.state: ChannelState = "stopped"
        self._problem = ""
        self._name = name
        self._channel = channel
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def problem(self) -> str:
        """Why the channel does not run or misses messages; the log has unexpected errors."""
        return self._trouble or self._problem

    @property
    def fails(self) -> bool:
        """Whether a problem keeps the channel from running or from receiving all messages."""
        return self.state in ("waiting", "refused") or bool(self._trouble)

    @property
    def _trouble(self) -> str:
        return self._channel.trouble if self.state == "running" else ""

    def start(self, accept: Accept) -> None:
        """Start the channel."""
        self._task = asyncio.create_task(self._keep(accept))

    async def stop(self) -> None:
        """Stop the channel from receiving."""
        self._stopping.set()
        with suppress(ChannelError):
            await self._channel.stop()
        if self._task:
            done, _ = await asyncio.wait([self._task], timeout=10)
            if not done:
                self._task.cancel()
                await asyncio.wait([self._task])
        self.state = "stopped"

    async def _keep(self, accept: Accept) -> None:
        pauses = Backoff()
        while not self._stopping.is_set():
            self.state, begun = "running", monotonic()
            try:
                await self._channel.start(accept)
                return
            except (ChannelError, ConfigError) as error:
                self._problem = told = str(error)
                if isinstance(error, ConfigError) or error.permanent:
                    log.error("The channel %s is not restarted: %s", self._name, error)
                    self.state = "refused"
                    return
            except Exception as error:  # a fault in a library, perhaps caused by one message
                log.debug("The channel %s raised this error.", self._name, exc_info=error)
                self._problem, told = "an unexpected error, which the log names", redact(reason(error))
            log.warning("The channel %s stopped (%s) and is restarted.", self._name, told)
            self.state = "waiting"
            await sleep_unless_stopped(self._stopping, pauses.after(begun))
