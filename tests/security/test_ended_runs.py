"""Where a run ended its process, the next one runs no code for that message; after three, the message is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qwendesk.desk.translations import say
from qwendesk.errors import ToolError
from qwendesk.messages import Inbound
from qwendesk.tools.algebra import Algebra, algebra_tool
from qwendesk.tools.base import NOT_RERUN, ToolContext
from qwendesk.tools.python import python_tool
from qwendesk.tools.sandbox import PythonSandbox
from tests.desk.parts import Running, running

CODE = "Run this:\n\n```python\nprint(6 * 7)\n```\n"
RAN = [("code runs", "skipped", "ran without an error, compared with nothing; printed: 42")]
SUM = "So 37 * 91 = 3367."


async def begun(folder: Path, times: int, role: str = "coder") -> None:
    """Accept a message and begin it so often, as processes do that are then ended by it."""
    async with running(folder, answers=False) as desk:
        await desk.say("Write a program that prints 42.", event="e1", role=role)
        (id_,) = await desk.runtime.inbox_maintenance.open_since(datetime.now(UTC) + timedelta(days=1))
        for _ in range(times):
            assert await desk.runtime.inbox.claim(id_)


async def checks(desk: Running) -> list[tuple[str, str, str]]:
    turn = await desk.desk.last_turn("c1", channel="test")
    assert turn and turn.receipt
    return [(check["name"], check["outcome"], check["detail"]) for check in turn.receipt["checks"]]


async def test_the_first_run_runs_code(tmp_path: Path) -> None:
    await begun(tmp_path, 0)
    async with running(tmp_path, [CODE]) as desk:
        await desk.settle()
        assert await checks(desk) == RAN


async def test_the_run_after_one_that_ended_its_process_runs_none(tmp_path: Path) -> None:
    await begun(tmp_path, 1)
    async with running(tmp_path, [CODE]) as desk:
        await desk.settle()
        assert desk.outlet.texts == [CODE] or desk.outlet.texts[0].startswith("Run this")
        assert await checks(desk) == [("code runs", "skipped", NOT_RERUN)]


async def test_sums_are_not_recomputed_either(tmp_path: Path) -> None:
    await begun(tmp_path, 2, role="math")
    async with running(tmp_path, [SUM]) as desk:
        await desk.settle()
        assert "passed" not in {outcome for _, outcome, _ in await checks(desk)}


async def test_after_three_runs_the_message_is_given_up_and_the_person_told(tmp_path: Path) -> None:
    await begun(tmp_path, 3)
    async with running(tmp_path, [CODE]) as desk:
        await desk.settle()
        assert desk.outlet.texts == [say("gave_up", "en")]
        assert [ticket.error for ticket in await desk.runtime.inbox_maintenance.failed_messages()] == [
            "3 runs ended their process"
        ]


async def test_a_run_that_was_broken_off_by_a_stop_does_not_count(tmp_path: Path) -> None:
    async with running(tmp_path, answers=False) as desk:
        await desk.say("Write a program that prints 42.", event="e1", role="coder")
        (id_,) = await desk.runtime.inbox_maintenance.open_since(datetime.now(UTC) + timedelta(days=1))
        for _ in range(5):
            arrived = await desk.runtime.inbox.claim(id_)
            assert arrived
            await desk.runtime.inbox.forgive_attempt(arrived)
    async with running(tmp_path, [CODE]) as desk:
        await desk.settle()
        assert await checks(desk) == RAN


async def test_no_tool_runs_what_the_model_wrote() -> None:
    sandbox, algebra = PythonSandbox(), Algebra()
    try:
        context = ToolContext(Inbound("x", "c1", has_ended_a_run=True))
        with pytest.raises(ToolError, match="Not run"):
            await python_tool(sandbox).ainvoke({"code": "6 * 7", "context": context})
        with pytest.raises(ToolError, match="Not run"):
            await algebra_tool(algebra).ainvoke({"operation": "evaluate", "expression": "6 * 7", "context": context})
        assert algebra.worker.pid is None
        assert (await sandbox.run("6 * 7", inbound=Inbound("x", "c1"))).value == "42"
    finally:
        await sandbox.aclose()
        await algebra.aclose()
