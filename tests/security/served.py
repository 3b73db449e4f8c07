"""A served desk with one channel of a test's own, and what its people are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from qwendesk import Desk, Settings
from qwendesk.channels.base import Accept, Channel, ChannelCapabilities, Manifest
from qwendesk.engines.scripted import Script, ScriptedEngine
from qwendesk.messages import Admission, Inbound, Outbound
from qwendesk.service import Service


class Place(Channel):
    """Hands over what a test says, and keeps what is sent."""

    manifest = Manifest("place", "Place", ChannelCapabilities(max_length=100_000, groups=True))

    def __init__(self) -> None:
        self.sent: list[Outbound] = []
        self._stopped = asyncio.Event()
        self._accept: asyncio.Future[Accept] = asyncio.get_running_loop().create_future()

    async def start(self, accept: Accept) -> None:
        self._accept.set_result(accept)
        await self._stopped.wait()

    async def stop(self) -> None:
        self._stopped.set()

    async def send(self, message: Outbound) -> str | None:
        self.sent.append(message)
        return message.key

    async def hears(self, text: str, person: str, **more: Any) -> Admission:
        accept = await asyncio.wait_for(asyncio.shield(self._accept), 60)
        values = {"conversation": f"{person}'s", "person": person, "channel": "place", **more}
        return await accept(Inbound(text, **values))


class Served:
    def __init__(self, service: Service, channel: Place, engine: ScriptedEngine) -> None:
        self.service = service
        self.channel = channel
        self.engine = engine

    async def settle(self) -> None:
        await until(lambda: self.service.runtime.acceptance.open_count(), lambda count: not count)

    async def told(self, text: str, person: str = "visitor", **more: Any) -> str:
        """Return what is said to somebody who writes a text."""
        before = len(self.channel.sent)
        admission = await self.channel.hears(text, person, **more)
        if admission.text:
            return admission.text
        await self.settle()
        return "\n".join(message.text for message in self.channel.sent[before:])


async def until(look: Callable[[], Any], holds: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds(await look()):  # noqa: ASYNC110 - the desk tells nobody that it is idle
            await asyncio.sleep(0.02)


@asynccontextmanager
async def served(
    home: Path,
    script: Script | None = None,
    *,
    rules: dict[str, Any] | None = None,
    engine: ScriptedEngine | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Run a desk whose channel ``place`` has these rules; ``owner`` and ``operator`` are in charge there."""
    # what people are told is compared whole, so that a first answer says nothing else
    rights = {"access": "open", "owners": ["owner"], "operators": ["operator"]}
    own = {"machine_notice": False, **rights, **(rules or {})}
    made = Settings(home=home, engine="scripted", port=0, shutdown_timeout=5, channels={"place": own}, **settings)
    engine, channel = engine or ScriptedEngine(script), Place()
    desk = Desk(made, engines={"scripted": engine})
    async with Service(made, channels={"place": channel}, desk=desk) as service:
        yield Served(service, channel, engine)
