"""Support conversations: the customers are scripted, the agents too; the data after the conversation decides."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.errors import ConfigError
from qwendesk.models.card import ModelCard
from qwendesk.testing.quality.arms import Arm, BareArm, DeskArm
from qwendesk.testing.quality.base import Answer, Question, Score, SuiteDocument, ToolCall
from qwendesk.testing.quality.retail.customer import CustomerScript, ScriptedCustomer
from qwendesk.testing.quality.retail.shop import CHANGES, RetailShop
from qwendesk.testing.quality.retail.tasks import first_person, left_out, own_tasks, tau_tasks, world_of
from qwendesk.testing.quality.suites.all_suites import chosen_suites
from qwendesk.testing.quality.suites.retail import Retail
from qwendesk.tools.sandbox import PythonSandbox
from tests.databases import put_migrated

SUITE = Retail()
TASKS = {question.id: question for question in SUITE.questions(None)}
CARD = ModelCard("agent", parameters=7)
Script = Callable[[list[BaseMessage]], str]


async def score(question: Question, answer: Answer) -> Score:
    return await SUITE.score(question, answer, PythonSandbox())


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def answered(question: Question, *calls: ToolCall, text: str = "") -> Answer:
    return Answer(question.id, question.fingerprint, text, calls)


def playing(replies: Sequence[str]) -> Script:
    """Return an agent that gives its replies in order, whatever it is told."""
    rest = iter(replies)
    return lambda messages: next(rest, "Is there anything else I can help you with?")


async def talk(kind: str, question: Question, replies: Sequence[str], home: Path) -> Answer:
    """Let a scripted agent talk with the customer of a task, asked directly or in a desk."""
    engine = ScriptedEngine(playing(replies), cards=[CARD])

    @asynccontextmanager
    async def open_desk(
        tools: Sequence[BaseTool], documents: Sequence[SuiteDocument], system: str | None = None
    ) -> AsyncIterator[Desk]:
        settings = Settings(engine="scripted", system_context=system, learn_facts="off")
        put_migrated(settings.data_dir / "qwendesk.db")
        async with Desk(settings, engines={"scripted": engine}, tools=tools) as desk:
            yield desk

    arm: Arm = BareArm(SUITE, await engine.load("agent"), 1) if kind == "bare" else DeskArm(SUITE, open_desk)
    try:
        return await arm.answer(question)
    finally:
        await arm.aclose()


RIGHT = {
    "cancel": [
        "May I have your e-mail address, please?",
        call("find_user_id_by_email", email="ada.keller@mail.example"),
        "Thank you, Ada. Shall I cancel order #W1001 because it is no longer needed?",
        call("cancel_pending_order", order_id="#W1001", reason="no longer needed"),
        "Order #W1001 is cancelled.",
    ],
    "two-matters": [
        "Please tell me your full name and your postcode.",
        call("find_user_id_by_name_zip", first_name="Dan", last_name="Silva", zip="4000-012"),
        "Shall I cancel order #W1008, which was ordered by mistake?",
        call("cancel_pending_order", order_id="#W1008", reason="ordered by mistake"),
        "That is done.",
        "Do you want me to return the bottle of #W1007 to your card?",
        call("get_order_details", order_id="#W1007"),
        call(
            "return_delivered_order_items", order_id="#W1007", item_ids=["4002"], payment_method_id="credit_card_140001"
        ),
        "The return is on its way.",
    ],
    "status-de": [
        "Wie lautet bitte Ihre E-Mail-Adresse?",
        call("find_user_id_by_email", email="clara.meier@mail.example"),
        call("get_order_details", order_id="#W1006"),
        "Die Bestellung ist zugestellt; die Sendungsnummer lautet NL700502.",
    ],
    "cancel-processed": [
        "Please tell me your full name and your postcode.",
        call("find_user_id_by_name_zip", first_name="Ben", last_name="Okafor", zip="LS1 4AP"),
        call("get_order_details", order_id="#W1003"),
        "I am sorry: the order is already processed, so it cannot be cancelled.",
    ],
}
WRONG = {
    "another order": (
        "cancel",
        [
            call("find_user_id_by_email", email="ada.keller@mail.example"),
            call("cancel_pending_order", order_id="#W1004", reason="no longer needed"),
            "Cancelled.",
        ],
    ),
    "nobody was asked who they are": (
        "cancel",
        [call("cancel_pending_order", order_id="#W1001", reason="no longer needed"), "Cancelled."],
    ),
    "another reason": (
        "cancel-reason",
        [
            call("find_user_id_by_email", email="dan.silva@mail.example"),
            call("get_order_details", order_id="#W1008"),
            call("cancel_pending_order", order_id="#W1008", reason="no longer needed"),
            "Cancelled.",
        ],
    ),
    "one of two matters": ("two-matters", [*RIGHT["two-matters"][:4], "That is done.", "We cannot do that."]),
}
SAID = {
    "cancel": ["Order #W1001 is cancelled, and the money is on its way."],
    "payment": ["Order #W1009 is now paid with your gift card."],
    "status": ["Your tent was sent yesterday."],
    "cancel-processed": ["I am sorry, it cannot be cancelled, since it is processed."],
}


@pytest.mark.parametrize("kind", ["bare", "desk"])
@pytest.mark.parametrize("task", RIGHT)
async def test_an_agent_that_does_the_right_things_is_right(kind: str, task: str, own_home: Path) -> None:
    answer = await talk(kind, TASKS[task], RIGHT[task], own_home)
    assert answer.error == ""
    found = await score(TASKS[task], answer)
    assert found.right is True, (found.detail, answer.text, answer.calls)


@pytest.mark.parametrize("kind", ["bare", "desk"])
@pytest.mark.parametrize("fault", WRONG)
async def test_an_agent_that_changes_something_else_is_wrong(kind: str, fault: str, own_home: Path) -> None:
    task, replies = WRONG[fault]
    assert (await score(TASKS[task], await talk(kind, TASKS[task], replies, own_home))).right is False


@pytest.mark.parametrize("kind", ["bare", "desk"])
@pytest.mark.parametrize("task", SAID)
async def test_an_agent_that_only_says_so_is_wrong(kind: str, task: str, own_home: Path) -> None:
    answer = await talk(kind, TASKS[task], SAID[task], own_home)
    assert answer.calls == ()
    assert (await score(TASKS[task], answer)).right is False


async def test_an_agent_that_does_nothing_is_wrong_everywhere() -> None:
    silent = [(await score(question, answered(question))).right for question in TASKS.values()]
    assert silent == [False] * len(TASKS)


async def test_the_listed_actions_after_the_identity_are_right_for_each_task() -> None:
    for question in TASKS.values():
        shop, users = RetailShop(world_of("").data), world_of("").data["users"]
        wanted = [ToolCall(action["name"], action["arguments"]) for action in question.row["actions"]]
        owners = {_owner(one.arguments, shop) for one in wanted}
        assert len(owners) <= 1, "a conversation has one customer"
        who = [ToolCall("find_user_id_by_email", {"email": users[owner]["email"]}) for owner in owners]
        looked = [ToolCall(name, {}) for name in question.row["must_call"]]
        answer = answered(question, *who, *looked, *wanted, text=" ".join(question.row["say"]))
        found = await score(question, answer)
        assert found.right is True, (question.id, found.detail)


def _owner(arguments: dict[str, Any], shop: RetailShop) -> str:
    return str(arguments.get("user_id") or shop.orders[arguments["order_id"]]["user_id"])


def test_the_tasks_are_of_many_kinds() -> None:
    kinds = {question.group for question in own_tasks()}
    assert len(TASKS) >= 12
    assert kinds >= {"cancel", "return", "exchange", "address", "status", "forbidden", "two matters"}
    assert chosen_suites(["retail"])[0].questions(None) == own_tasks()


FORBIDDEN = [
    ("cancel_pending_order", {"order_id": "#W1003", "reason": "no longer needed"}),
    ("cancel_pending_order", {"order_id": "#W1001", "reason": "found it cheaper"}),
    ("cancel_pending_order", {"order_id": "W1001", "reason": "no longer needed"}),
    ("cancel_pending_order", {"order_id": "#W1001"}),
    ("cancel_pending_order", {"order": "#W1001", "reason": "no longer needed"}),
    (
        "return_delivered_order_items",
        {"order_id": "#W1001", "item_ids": ["1001"], "payment_method_id": "credit_card_110001"},
    ),
    ("return_delivered_order_items", {"order_id": "#W1002", "item_ids": [], "payment_method_id": "credit_card_110001"}),
    (
        "return_delivered_order_items",
        {"order_id": "#W1006", "item_ids": ["1002"], "payment_method_id": "paypal_130001"},
    ),
    (
        "exchange_delivered_order_items",
        {
            "order_id": "#W1007",
            "item_ids": ["2002"],
            "new_item_ids": ["2003"],
            "payment_method_id": "credit_card_140001",
        },
    ),
    (
        "exchange_delivered_order_items",
        {
            "order_id": "#W1007",
            "item_ids": ["2002"],
            "new_item_ids": ["4001"],
            "payment_method_id": "credit_card_140001",
        },
    ),
    ("modify_pending_order_payment", {"order_id": "#W1009", "payment_method_id": "paypal_150001"}),
    ("modify_pending_order_address", {"order_id": "#W1001", "city": "Bern"}),
    ("calculate", {"expression": "__import__('os')"}),
    ("calculate", {"expression": "9**9**9"}),
    ("calculate", {"expression": "1/0"}),
    ("calculate", {"expression": "1+" * 400 + "1"}),
    ("drop_everything", {}),
]


@pytest.mark.parametrize(("name", "arguments"), FORBIDDEN)
def test_what_the_rules_forbid_changes_nothing(name: str, arguments: dict[str, Any]) -> None:
    shop, untouched = RetailShop(world_of("").data), RetailShop(world_of("").data)
    assert shop.call(name, arguments).startswith("Error")
    assert shop.state == untouched.state


def test_sums_are_calculated() -> None:
    assert RetailShop(world_of("").data).call("calculate", {"expression": "(12.50 + 3) * 2"}) == "31.0"


async def test_what_has_to_be_said_belongs_to_its_matter() -> None:
    task = TASKS["status-and-exchange"]
    [change] = [ToolCall(action["name"], action["arguments"]) for action in task.row["actions"]]
    who = ToolCall("find_user_id_by_email", {"email": "ada.keller@mail.example"})
    second = f"> {task.customer['matters'][1]}"
    told = f"> {task.text}\n\nIt is pending.\n\n{second}\n\nDone."
    assert (await score(task, answered(task, who, change, text=told))).right is True
    for text in (
        f"> {task.text}\n\nHello.\n\n{second}\n\nIt is pending.",
        f"> {task.text}\n\nIt is impending.\n\n{second}\n\nDone.",
    ):
        assert (await score(task, answered(task, who, change, text=text))).right is False


async def test_a_call_that_was_held_counts_for_nothing(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def declines(self: Desk, conversation: str, *, approve: bool) -> Any:
        return await resume(self, conversation, approve=False)

    resume = Desk.resume
    monkeypatch.setattr(Desk, "resume", declines)
    answer = await talk("desk", TASKS["cancel"], RIGHT["cancel"], own_home)
    assert "cancel_pending_order" not in [call.name for call in answer.calls]
    assert (await score(TASKS["cancel"], answer)).right is False


def test_a_gift_card_is_charged_and_paid_back() -> None:
    shop = RetailShop(world_of("").data)
    shop.call("modify_pending_order_payment", {"order_id": "#W1009", "payment_method_id": "gift_card_150002"})
    assert shop.users["eva_novak_15"]["payment_methods"]["gift_card_150002"]["balance"] == 380.5
    assert RetailShop(world_of("").data).users["eva_novak_15"]["payment_methods"]["gift_card_150002"]["balance"] == 400


def test_tools_that_change_data_are_risky() -> None:
    marked = {tool.name for tool in RetailShop(world_of("").data).tools() if (tool.metadata or {}).get("risky")}
    assert marked == set(CHANGES)


def customer(**more: Any) -> ScriptedCustomer:
    knows = {"email": "ada@mail.example", "zip": "8001", "order": "#W1"}
    return ScriptedCustomer(CustomerScript(["Cancel my order.", "And return the boots."], knows, **more))


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("What is your e-mail address?", "ada@mail.example"),
        ("Please provide your zip code and the order number.", "8001 #W1"),
        ("Which colour do you want?", "I do not know that."),
        ("Shall I cancel order #W1?", "Yes, please do that."),
        ("The order is cancelled.", "And return the boots."),
        ("Done. Is there anything else I can do for you?", "And return the boots."),
        ("Wie lautet Ihre Postleitzahl?", "8001"),
    ],
)
def test_the_customer_answers_what_is_asked_for(agent: str, said: str) -> None:
    assert customer().reply(agent) == said


def test_the_customer_leaves_at_the_end_and_out_of_a_circle() -> None:
    content = customer()
    assert [content.reply("Done.") for _ in range(3)] == ["And return the boots.", "Thank you, that is all.", None]
    circling = customer()
    asked = "What is your e-mail address?"
    assert [circling.reply(asked) for _ in range(3)] == ["ada@mail.example", "ada@mail.example", None]
    assert customer(agreement="No.").reply("Shall I cancel it?") == "No."


def tau(folder: Path, *scenarios: dict[str, Any]) -> Path:
    """Write a folder in tau-bench's form with the project's own shop."""
    world = world_of("")
    folder.mkdir()
    (folder / "db.json").write_text(json.dumps(world.data), "utf-8")
    (folder / "policy.md").write_text(world.policy, "utf-8")
    rows = [{"id": str(number), **scenario} for number, scenario in enumerate(scenarios)]
    (folder / "tasks.json").write_text(json.dumps(rows), "utf-8")
    return folder


def scenario(reason: str, instructions: str = "You are brief.", say: Sequence[str] = ()) -> dict[str, Any]:
    told = {
        "task_instructions": instructions,
        "reason_for_call": reason,
        "known_info": "You are Ada Keller in zip code 80012.",
        "unknown_info": "",
    }
    actions = [
        {"name": "get_order_details", "arguments": {"order_id": "#W1001"}},
        {"name": "cancel_pending_order", "arguments": {"order_id": "#W1001", "reason": "no longer needed"}},
    ]
    return {
        "user_scenario": {"instructions": told},
        "evaluation_criteria": {"actions": actions, "communicate_info": list(say)},
    }


async def test_files_in_tau_benchs_form_are_read(tmp_path: Path) -> None:
    folder = tau(
        tmp_path / "tau_retail",
        scenario("You want to cancel your order #W1001. If that costs anything, leave it.", say=["1,108.50"]),
        scenario("You want a refund.", "If the agent refuses, ask for a manager."),
    )
    [question] = Retail().questions(tmp_path)
    assert Retail().questions(folder) == [question] and list(left_out(folder)) == ["1"]
    assert question.text == (
        "I am Ada Keller in zip code 80012. I want to cancel my order #W1001. If that costs anything, leave it."
    )
    knows = question.customer["knows"]
    assert (knows["name"], knows["zip"], knows["order"]) == (
        "My name is Ada Keller.",
        "My zip code is 80012.",
        "Order #W1001.",
    )
    done = ToolCall("cancel_pending_order", {"order_id": "#W1001", "reason": "no longer needed"})
    assert (await score(question, answered(question, done, text="You get $1108.50 back."))).right is True
    assert (await score(question, answered(question, done, text="> 1108.50\n\nDone."))).right is False
    assert (await score(question, answered(question, text="You get $1108.50 back."))).right is False


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("You're sure that you want your money.", "I'm sure that I want my money."),
        ("They gave it to you; you were sad.", "They gave it to me; I was sad."),
    ],
)
def test_a_scenario_is_said_in_the_first_person(told: str, said: str) -> None:
    assert first_person(told) == said


@pytest.mark.parametrize("text", ["{", '[{"id": "1"}]', "[1]"])
def test_a_file_of_another_form_is_one_error(tmp_path: Path, text: str) -> None:
    folder = tau(tmp_path / "tau_retail")
    (folder / "tasks.json").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"tasks\.json"):
        tau_tasks(folder)
