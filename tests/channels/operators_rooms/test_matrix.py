"""An operators' room in a Matrix room with threads, on a real homeserver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from qwendesk.channels.matrix.channel import MatrixChannel
from qwendesk.errors import ChannelError
from qwendesk.testing.simulators.base import UserMessage
from tests.channels.operators_rooms.behaviour import RoomBehaviour
from tests.channels.operators_rooms.room import ANN, BO, CUSTOMER, STRANGER, RoomDesk, room_desk
from tests.channels.synapse import Homeserver, MatrixPlatform, running_synapse

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

PEOPLE = {CUSTOMER: "anna", ANN: "ann", BO: "bo", STRANGER: "sue"}


class MatrixRoomPlatform(MatrixPlatform):
    """A room of operators, and a private room of each person with the desk."""

    people = tuple(PEOPLE.values())

    def __init__(self, homeserver: Homeserver, folder: Path) -> None:
        super().__init__(homeserver, folder)
        self.room = ""
        """The operators' room."""

    async def wait_started(self) -> None:
        """Wait until the desk has joined the operators' room."""
        async with asyncio.timeout(60):
            while not await self._is_in(self._clients["ann"], self.room):  # noqa: ASYNC110 - the homeserver has to be asked
                await asyncio.sleep(0.05)

    async def write(self, written: UserMessage) -> str:
        role = PEOPLE[written.person]
        if not written.group and role not in self._rooms:
            self._rooms[role] = await self._room([role])
        room = self.room if written.group else self._rooms[role]
        content: dict[str, Any] = {"msgtype": "m.text", "body": written.text}
        if written.thread:
            content["m.relates_to"] = {"rel_type": "m.thread", "event_id": written.thread, "is_falling_back": True}
        async with asyncio.timeout(60):
            while room not in self._clients[role].rooms:  # noqa: ASYNC110 - the person's client learns of it by a sync
                await asyncio.sleep(0.05)
        answer = await self._clients[role].room_send(room, "m.room.message", content)
        self._last = room, {"msgtype": "m.text"}, answer.event_id
        self._writer = self._clients[role]
        return str(answer.event_id)

    async def edit(self, text: str) -> None:
        room, content, event = self._last
        now = content | {"body": text}
        relation = {"m.relates_to": {"rel_type": "m.replace", "event_id": event}}
        await self._writer.room_send(room, "m.room.message", now | {"m.new_content": now} | relation)

    async def delete_thread(self, chat: str, thread: str) -> None:
        await self._clients["ann"].room_redact(chat, thread)

    async def _start(self, stack: AsyncExitStack) -> None:
        await super()._start(stack)
        others = [f"@{self._names[role]}:here.example" for role in ("bo", "sue")]
        made = await self._clients["ann"].room_create(invite=[*others, self.desk_user])
        self.room = str(made.room_id)
        for role in ("bo", "sue"):
            await self._clients[role].join(self.room)
        for role in ("ann", "bo", "sue"):
            watching = asyncio.create_task(self._watch(self._clients[role]))
            stack.push_async_callback(_ended, watching)

    def _see(self, room: str, event: dict[str, Any]) -> None:
        if not any(one.id == event.get("event_id") for one in self.messages):  # several people watch the room
            super()._see(room, event)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(scope="module")
def homeserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homeserver]:
    with running_synapse(tmp_path_factory.mktemp("synapse")) as server:
        yield server


class TestMatrixRoom(RoomBehaviour):
    @pytest.fixture
    async def desk(self, homeserver: Homeserver, tmp_path: Path) -> AsyncIterator[RoomDesk]:
        async with (
            MatrixRoomPlatform(homeserver, tmp_path) as platform,
            room_desk(platform, "matrix", platform.room, platform.room, tmp_path) as desk,
        ):
            yield desk

    async def test_a_reply_of_a_client_without_threads_belongs_to_the_ticket(self, desk: RoomDesk) -> None:
        await desk.hire("ann", ANN)
        thread = await desk.handed_over()
        assert isinstance(desk.platform, MatrixRoomPlatform)
        relation = {"m.relates_to": {"m.in_reply_to": {"event_id": thread}}}
        content = {"msgtype": "m.text", "body": "Without a thread."} | relation
        await desk.platform._clients["ann"].room_send(desk.room, "m.room.message", content)
        await desk.until(lambda: any("Without a thread." in text for text in desk.answers()))


async def test_a_room_that_the_account_is_not_in_is_named(homeserver: Homeserver, tmp_path: Path) -> None:
    async with MatrixRoomPlatform(homeserver, tmp_path) as platform:
        values = platform.settings() | {"operators_room": platform.room}
        channel = MatrixChannel.create(MatrixChannel.manifest.read(values))
        with pytest.raises(ChannelError, match="not in the operators' room"):
            await channel.check()
        await (await channel.connect()).join(platform.room)
        assert platform.room in await channel.check()
        await channel.aclose()
