"""Support conversations with scripted customers: the right changes were made, and what had to be said was said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool

from qwendesk.testing.quality.base import Answer, Question, Score, ScriptedConversation, Suite, ToolCall
from qwendesk.testing.quality.retail.customer import CustomerScript, ScriptedCustomer
from qwendesk.testing.quality.retail.shop import CHANGES, IDENTIFY, RetailShop
from qwendesk.testing.quality.retail.tasks import RetailWorld, find_folder, own_tasks, tau_tasks, world_of
from qwendesk.tools.sandbox import PythonSandbox

_ERROR = "Error"


class Retail(Suite):
    """Conversations about orders; the data after the agent's calls is compared with that after the listed ones."""

    name = "retail"
    summary = "Support conversations about orders: the right changes and no others, and what had to be said."

    def questions(self, data: Path | None) -> list[Question]:
        """Return the tasks of the project's own shop, or those of tau-bench's files in the folder."""
        folder = find_folder(data)
        return tau_tasks(folder) if folder else own_tasks()

    def conversation(self, question: Question) -> RetailConversation:
        """Return the customer of a task and a shop of its own."""
        return RetailConversation(CustomerScript(**question.customer), _world(question.row))

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Compare the shop after the calls with the shop after the listed actions, and look for what had to be said."""
        world, row = _world(question.row), question.row
        expected, made = RetailShop(world.data), RetailShop(world.data)
        for action in row["actions"]:
            expected.call(action["name"], action["arguments"])
        results = [made.call(call.name, _arguments(call)) for call in answer.calls]
        faults = [*_order_of_calls(answer.calls, results, made)] if row["identifies"] else []
        if made.state != expected.state:
            faults.insert(0, "the orders are not as they should be")
        said = _plain(_first_matter(answer.text, question.customer["matters"]))
        faults += [f"{text!r} was not said" for text in row["say"] if not _holds(said, _plain(text))]
        called = {call.name for call, result in zip(answer.calls, results, strict=True)}
        faults += [f"{name} was not called" for name in row["must_call"] if name not in called]
        marks = ("right data",) if made.state == expected.state else ()
        return Score(not faults, "; ".join(faults) or "right data, everything said", marks)


class RetailConversation(ScriptedConversation):
    """A customer and a shop of their own.

    Args:
        script: what the customer wants and knows.
        world: the shop.
    """

    def __init__(self, script: CustomerScript, world: RetailWorld) -> None:
        self.system = world.policy
        self.opening = script.opening
        self._shop = RetailShop(world.data)
        self._customer = ScriptedCustomer(script)

    def tools(self) -> Sequence[BaseTool]:
        """Return the tools of the shop."""
        return self._shop.tools()

    def reply(self, text: str) -> str | None:
        """Return the customer's next line; None: the customer leaves."""
        return self._customer.reply(text)


def _world(row: Mapping[str, Any]) -> RetailWorld:
    return world_of(row.get("world", ""))


def _arguments(call: ToolCall) -> Mapping[str, Any]:
    return call.arguments if isinstance(call.arguments, dict) else {"": call.arguments}


def _order_of_calls(calls: Sequence[ToolCall], results: Sequence[str], shop: RetailShop) -> Iterator[str]:
    """Yield the changes that were made before the customer was found, or to somebody else's data."""
    customer = ""
    for call, result in zip(calls, results, strict=True):
        if result.startswith(_ERROR):
            continue
        if call.name in IDENTIFY:
            customer = customer or result
        elif call.name in CHANGES:
            owner = call.arguments.get("user_id") or shop.orders[call.arguments["order_id"]]["user_id"]
            if not customer:
                yield f"{call.name} before the customer was found"
            elif owner != customer:
                yield f"{call.name} for another customer"


def _first_matter(text: str, matters: Sequence[str]) -> str:
    """Return a transcript up to the customer's second matter: what has to be said is about the first."""
    return text.partition(f"> {matters[1]}")[0] if len(matters) > 1 else text


def _holds(text: str, wanted: str) -> bool:
    """Return whether a text has words as whole ones."""
    return bool(re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text))


def _plain(text: str) -> str:
    """Return what an agent said, without the quoted lines of the customer, in small letters and plain numbers."""
    own = "\n".join(line for line in text.splitlines() if not line.startswith("> "))
    return " ".join(re.sub(r"(?<=\d),(?=\d{3})", "", own).casefold().split())
