"""Channels that are kept running."""

from __future__ import annotations

import asyncio

from qwendesk.channels.base import Accept
from qwendesk.channels.irc.channel import IrcChannel
from qwendesk.channels.lifecycle import ChannelSupervisor
from qwendesk.messages import Admission, Inbound


class Deaf(IrcChannel):
    """Runs, and says that it does not hear all."""

    receive_error = "not in #help"

    async def start(self, accept: Accept) -> None:
        """Run until ``stop``."""
        self.stopping = asyncio.Event()
        await self.stopping.wait()

    async def stop(self) -> None:
        """End ``start``."""
        self.stopping.set()


async def test_a_channel_that_runs_and_does_not_hear_all_fails() -> None:
    async def accept(inbound: Inbound) -> Admission:
        raise AssertionError(inbound)

    supervisor = ChannelSupervisor("irc", Deaf.create(Deaf.manifest.read({"host": "h"})))
    supervisor.start(accept)
    await asyncio.sleep(0)
    assert (supervisor.state, supervisor.is_failing, supervisor.error) == ("running", True, "not in #help")
    Deaf.receive_error = ""
    assert not supervisor.is_failing and supervisor.error == ""
    await supervisor.stop()
    assert supervisor.state == "stopped"
