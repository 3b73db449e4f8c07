"""The main job, end to end, on the real starter model."""

import re
from collections.abc import AsyncIterator

import pytest

from qwendesk import Desk, Settings
from qwendesk.agents.checks.code_blocks import python_blocks
from qwendesk.settings import STARTER_MODEL
from qwendesk.tools.sandbox import PythonSandbox

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]


class Orders:
    """A shop's orders; remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def order_status(self, number: str) -> str:
        """Return where an order is. Use it for every question about an order."""
        self.asked.append(number)
        return f"Order {number} was shipped yesterday and arrives on Friday."


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
async def desk(orders: Orders) -> AsyncIterator[Desk]:
    async with Desk(Settings(model=STARTER_MODEL, seed=7, max_output_tokens=400), tools=[orders.order_status]) as desk:
        yield desk


async def test_a_tool_call_computes(desk: Desk) -> None:
    reply = await desk.ask("What is 37*91+4? Use the python tool.")
    assert "3371" in reply.text.replace(",", "")
    assert any(use.ok and "3371" in use.result for use in reply.receipt.tools)
    assert (reply.receipt.role, reply.receipt.model) == ("math", STARTER_MODEL)


async def test_code_that_it_writes_runs(desk: Desk) -> None:
    reply = await desk.ask(
        "Create a Python function that takes a list of numbers, returns the median, handles empty lists, "
        "with type hints."
    )
    assert reply.receipt.role == "coder"
    assert reply.receipt.checks[0].name == "code runs", reply.text
    code = python_blocks(reply.text)[0]
    name = re.search(r"def (\w+)\(", code)
    sandbox = PythonSandbox()
    try:
        definition = code[: code.rindex("    return ")] + code[code.rindex("    return ") :].split("\n\n")[0]
        result = await sandbox.run(f"{definition}\n[{name[1]}([3, 1, 2]), {name[1]}([4, 1, 3, 2])]")
    finally:
        await sandbox.aclose()
    assert result.value in ("[2, 2.5]", "[2.0, 2.5]"), reply.text


async def test_an_italian_question_calls_the_order_tool(desk: Desk, orders: Orders) -> None:
    reply = await desk.ask("Dove si trova il mio ordine B-77?")
    assert orders.asked == ["B-77"]
    assert reply.receipt.language == "it"
    assert reply.text


async def test_a_second_turn_remembers_the_first(desk: Desk) -> None:
    first = await desk.ask("My name is Ada.", conversation="c")
    second = await desk.ask("What is my name?", conversation="c")
    assert "Ada" in second.text
    assert first.conversation == second.conversation == "c"
