"""What the queue's tables say is in hand here, but is not: a note that was lost when the database broke off."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.desk.parts import running

pytestmark = pytest.mark.chaos


async def test_a_message_whose_end_was_never_noted_does_not_hold_up_its_conversation(
    tmp_path: Path, postgres_url: str
) -> None:
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}", url=postgres_url) as desk:
        await desk.say("first", event="e1")
        await desk.settle()
        engine = create_engine(postgres_url)
        with engine.begin() as connection:
            noted = connection.execute(
                text("UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = :own, output = NULL"),
                {"own": desk.office.dispatcher.executor},
            )
        engine.dispose()
        assert noted.rowcount == 1
        await desk.say("second", event="e2")
        await desk.settle()
        assert desk.outlet.texts == ["re first", "re second"]
