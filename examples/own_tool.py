"""Give models a tool of your own, and try it on a scripted model: python examples/own_tool.py."""

import asyncio

from qwendesk import Desk, Settings, ToolError
from qwendesk.engines.scripted import ScriptedEngine

ORDERS = {"B-77": "shipped yesterday"}
CALL = '<tool_call>{"name": "order_status", "arguments": {"number": "B-77"}}</tool_call>'


async def order_status(number: str) -> str:
    """Return where an order is.

    Args:
        number: The order's number, such as B-77.
    """
    if number not in ORDERS:
        raise ToolError(f"There is no order {number!r}. Ask for the number on the invoice.")
    return f"Order {number} was {ORDERS[number]}."


async def main() -> None:
    """Ask with the tool; leave out ``settings`` and ``engines`` to ask a real model."""
    engine = ScriptedEngine([CALL, "Your order B-77 was shipped yesterday."])
    async with Desk(Settings(engine="scripted"), engines={"scripted": engine}, tools=[order_status]) as desk:
        reply = await desk.ask("Where is my order B-77?")
    print(reply.text)
    for use in reply.receipt.tools:
        print(f"{use.name}({use.arguments}) gave {use.result!r} in {use.duration_ms:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
