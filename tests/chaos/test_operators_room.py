"""A desk with an operators' room is killed while it posts there; the platform goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qwendesk import Settings
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.operators import Operators
from qwendesk.memory.memory import Memory
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.slack import SlackSimulator
from tests.databases import put_migrated
from tests.desk.tickets.operators import add_operator

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

ROOM = "C77"
PROCESS = """
import asyncio, json, sys
from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.service import Service

async def main():
    settings = Settings(**json.loads(sys.argv[1]))
    desk = Desk(settings, engines={"scripted": ScriptedEngine(lambda messages: "The bot answers.")})
    async with Service(settings, desk=desk):
        await asyncio.Event().wait()

asyncio.run(main())
"""


class DeadlySlack(SlackSimulator):
    """Kills the desk at its first post in a thread of the room, before or after Slack has taken it."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment = moment
        self.process: asyncio.subprocess.Process | None = None

    def _posted(self, method: str, form: dict[str, Any]) -> Any:
        is_due = self.process is not None and bool(form.get("thread_ts"))
        if is_due and self.moment == "before":
            self._kill()
            return super()._posted("chat.update", form | {"ts": "none"})
        answer = super()._posted(method, form)
        if is_due:
            self._kill()
        return answer

    def _kill(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGKILL)
        self.process = None


@asynccontextmanager
async def running(settings: dict[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROCESS, json.dumps(settings))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_desk_is_killed_while_it_posts_into_a_thread(tmp_path: Path, moment: str) -> None:
    async with DeadlySlack(moment) as slack:
        own = {**slack.settings(), "operators_room": ROOM, "access": "open", "machine_notice": False}
        values = {"home": str(tmp_path), "engine": "scripted", "port": 0, "channels": {"slack": own}}
        settings = Settings(**values)
        put_migrated(settings.data_dir / "qwendesk.db")
        memory = Memory(settings.database)
        await memory.open()
        ann = await add_operator(memory.scope, "ann")
        operators = Operators(memory.scope)
        account = await operators.accounts.get(ann.operator_id or "")
        assert account
        code = await operators.links.make_code(account, "slack", AuditActor())
        await memory.aclose()

        def texts(word: str) -> list[str]:
            return [one.text for one in slack.messages if one.thread and word in one.text]

        async with running(values) as process:
            await slack.wait_started()
            slack.process = process
            await slack.write(UserMessage("/human my parcel is lost"))
            assert await process.wait() == -signal.SIGKILL
        await slack.write(UserMessage("are you there?"))
        async with running(values):
            await slack.wait_until(lambda _: bool(texts("are you there?")), 120)
            posted = len(texts("parcel"))
            assert posted == 1 or (moment, posted) == ("after", 2), "only what was on its way is repeated"
            assert len(texts("are you there?")) == 1
            (thread,) = {one.thread for one in slack.messages if one.thread}
            assert thread
            in_room = {"person": "2001", "chat": "77", "group": True}
            await slack.write(UserMessage(f"!link {code}", **in_room))
            await slack.write(UserMessage("I am here.", thread=thread, **in_room))
            await slack.wait_until(lambda _: any("I am here." in one.text for one in slack.messages), 60)
            heard = [one.text for one in slack.messages if one.chat == "D1001"]
            assert len([text for text in heard if "to a person" in text]) == 1
            assert len([text for text in heard if "I am here." in text]) == 1
