"""The setting for a budget of thinking reaches the model."""

import pytest

from qwendesk.messages import Role
from tests.conftest import MakeDesk


@pytest.mark.parametrize(
    ("budget", "role", "given"),
    [
        (None, "thinking", 768),
        (64, "thinking", 64),
        (5000, "thinking", 768),
        (None, "general", None),
        (64, "general", 64),
    ],
)
async def test_it_reaches_the_model(make_desk: MakeDesk, budget: int | None, role: Role, given: int | None) -> None:
    async with make_desk(["So be it."], think_budget=budget) as desk:
        await desk.ask("Well?", role=role)
        (_, _, options), *_ = desk.script.calls  # type: ignore[attr-defined]
    assert options.think_budget == given
