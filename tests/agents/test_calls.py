"""How a model gets tools and calls them: which are offered, repair of calls, and values that nobody gave."""

import json
from typing import Any

import pytest
from PIL import Image

from qwendesk.agents.guards.base import Sentence
from qwendesk.agents.guards.promises import claims_completion, looks_up
from qwendesk.agents.nodes.review_calls import NO_TOOL
from qwendesk.agents.phrases import phrase
from qwendesk.messages import Finished, Role, TextDelta
from qwendesk.models.card import ModelCard
from qwendesk.tools.toolbox import risky
from tests.conftest import MakeDesk

SMALL = (ModelCard(name="small", roles=("general", "coder", "math", "vision"), parameters=0.5, vision=True),)
LARGE = (ModelCard(name="large", roles=("general", "coder", "math", "vision"), parameters=8, vision=True),)
STORY = "Tom has 5 apples, buys 3 bags with 12 apples each and eats 4 apples. How many apples does he have now?"


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


async def order_status(number: str, language: str = "en") -> str:
    """Return where an order is.

    Args:
        number: The order's number, such as B-12.
        language: Language of the text.
    """
    return f"Order {number} was shipped yesterday."


async def list_orders(customer: str) -> str:
    """List the orders of a customer."""
    return "K-4711, shipped on 3 May"


def offered(desk: Any, number: int = 0) -> list[str]:
    """Return the names of the tools that a request offered."""
    return [tool["function"]["name"] for tool in desk.script.calls[number][2].tools]


@pytest.mark.parametrize("cards", [SMALL, LARGE])
@pytest.mark.parametrize("role", ["general", "coder", "math", "thinking"])
async def test_own_tools_come_first_under_every_role(make_desk: MakeDesk, cards: Any, role: Role) -> None:
    async with make_desk(["Hello."], cards=cards, tools=[order_status]) as desk:
        await desk.ask("Where is my order B-77?", role=role)
    assert offered(desk)[0] == "order_status"


async def test_own_tools_are_offered_with_a_picture(make_desk: MakeDesk, tmp_path: Any) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "label.png")
    script = [call("order_status", number="Z-999"), "It was shipped."]
    async with make_desk(script, cards=LARGE, tools=[order_status]) as desk:
        reply = await desk.ask("Where is this order?", images=[str(tmp_path / "label.png")])
    assert offered(desk) == ["order_status"]
    # the number may stand in the picture
    assert reply.receipt.tools[0].arguments == {"number": "Z-999"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Hello there", []),
        (STORY, []),
        ("Anakin ging heute mit 3 Freunden zum Strand und fing 10 Seesterne.", []),
        ("今天在体育课上，大卫做了40个俯卧撑，比他少17个。", []),
        ("Is 37*91+4 a large number?", ["python"]),
        ("Are 15% of 80 enough for two?", ["python"]),
        ("Was ist der Durchschnitt von 3, 5 und 9?", ["python"]),
        ("What time is it in Tokyo?", ["clock"]),
        ("Welcher Tag ist heute?", ["clock"]),
        ("今何時ですか", ["clock"]),
    ],
)
async def test_a_small_model_is_shown_tools_of_the_desk_that_the_message_calls_for(
    make_desk: MakeDesk, text: str, names: list[str]
) -> None:
    async with make_desk(["Fine."], cards=SMALL) as desk:
        reply = await desk.ask(text, role="general")
    assert (offered(desk), reply.text) == (names, "Fine.")


async def test_what_a_small_model_writes_in_place_of_a_call_is_the_answer(make_desk: MakeDesk) -> None:
    async with make_desk(["It is 3371, and we open at nine."], cards=SMALL, tools=[order_status]) as desk:
        events = [event async for event in desk.stream("What is 37*91+4, and when do you open?", role="general")]
    assert isinstance(events[-1], Finished) and events[-1].reply.text == "It is 3371, and we open at nine."
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "It is 3371, and we open at nine."
    assert len(desk.script.calls) == 1 and desk.script.calls[0][2].json_schema is None


async def test_a_small_model_may_call_several_tools_at_once(make_desk: MakeDesk) -> None:
    both = (
        call("order_status", number="B-77") + call("order_status", number="B-78") + call("order_status", number="B-77")
    )
    async with make_desk([both, "Both were shipped."], cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Where are my orders B-77 and B-78?")
    assert [use.arguments["number"] for use in reply.receipt.tools] == ["B-77", "B-78"]
    assert reply.text == "Both were shipped."


@pytest.mark.parametrize(
    "broken",
    [
        '<tool_call>{"name": "order_status", "arguments": [}</tool_call>',
        call("order_state", number="B-77"),
        call("order_status"),
        call("order_status", number=["B-77"]),
    ],
)
async def test_a_broken_call_of_a_small_model_is_written_again_under_a_grammar(
    make_desk: MakeDesk, broken: str
) -> None:
    good = json.dumps({"name": "order_status", "arguments": {"number": "B-77"}})
    async with make_desk([broken, good, "It was shipped."], cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Where is my order B-77?")
    assert [(use.arguments, use.ok) for use in reply.receipt.tools] == [({"number": "B-77"}, True)]
    names = [one["properties"]["name"]["const"] for one in desk.script.calls[1][2].json_schema["anyOf"]]
    assert names == ["order_status", NO_TOOL]
    assert reply.text == "It was shipped." and "written again" in reply.receipt.notes[0]


async def test_broken_parallel_calls_are_written_again_as_a_list(make_desk: MakeDesk) -> None:
    good = json.dumps([{"name": "order_status", "arguments": {"number": number}} for number in ("B-77", "B-78")])
    broken = call("order_status", number="B-77") + call("order_status")
    async with make_desk([broken, good, "Both were shipped."], cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Where are my orders B-77 and B-78?")
    assert desk.script.calls[1][2].json_schema["maxItems"] == 2
    assert [use.arguments["number"] for use in reply.receipt.tools] == ["B-77", "B-78"]


async def test_a_small_model_may_choose_to_answer_under_the_grammar(make_desk: MakeDesk) -> None:
    none = json.dumps({"name": NO_TOOL, "arguments": {}})
    async with make_desk([call("order_state"), none, "Hello."], cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Hello there")
    assert (reply.text, reply.receipt.tools) == ("Hello.", ())
    assert offered(desk, 2) == []


@pytest.mark.parametrize("cards", [SMALL, LARGE])
async def test_a_call_with_a_value_that_nobody_gave_is_not_made(make_desk: MakeDesk, cards: Any) -> None:
    script = [call("order_status", number="B-12"), "Please send me the number."]
    async with make_desk(script, cards=cards, tools=[order_status]) as desk:
        reply = await desk.ask("Where is my order?")
    assert (reply.text, reply.receipt.tools) == ("Please send me the number.", ())
    assert any("order_status was not called" in note and "B-12" in note for note in reply.receipt.notes)
    if cards == LARGE:
        assert "B-12" in desk.script.calls[1][1][-1].text
    else:
        assert offered(desk, 1) == []


@pytest.mark.parametrize("cards", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("question", "claim", "says"),
    [
        ("Cancel my order 4711.", "Done.", "Nothing has been done about it from here."),
        ("Cancel my order 4711.", "Okay, your order is cancelled!", "Nothing has been done about it from here."),
        ("Storniere bitte meine Bestellung 4711.", "Erledigt.", "Von hier aus ist dazu nichts veranlasst."),
        ("Per favore annulla il mio ordine 4711.", "Fatto.", "Da qui non è stato fatto nulla al riguardo."),
        ("请取消我的订单4711。", "已完成。", "这边还没有采取任何行动。"),
    ],
)
async def test_no_claim_of_completion_stands_after_a_dropped_call(
    make_desk: MakeDesk, question: str, claim: str, says: str, cards: Any
) -> None:
    async def cancel_order(number: str) -> str:
        """Cancel an order."""
        raise AssertionError

    script = [call("cancel_order", number="9999"), claim, claim]
    async with make_desk(script, cards=cards, tools=[cancel_order]) as desk:
        reply = await desk.ask(question)
    assert (reply.text, reply.receipt.tools) == (says, ())


@pytest.mark.parametrize(
    "text",
    [
        "It is not done yet.",
        "Nothing was done.",
        "Das ist nicht erledigt.",
        "Non è stato fatto.",
        "完了していません。",
        "It can be done.",
        "Well done!",
        "Hello! You are welcome.",
    ],
)
def test_what_claims_no_completion(text: str) -> None:
    assert not claims_completion(Sentence(text))


async def test_a_small_model_is_not_shown_its_dropped_call(make_desk: MakeDesk) -> None:
    script = ["Let me look. " + call("order_status", number="B-12"), "Which number is it?"]
    async with make_desk(script, cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Where is my order?")
    assert [message.type for message in desk.script.calls[1][1]] == ["system", "human", "human"]
    assert "number" in desk.script.calls[1][1][-1].text
    assert reply.text == "Let me look.\n\nWhich number is it?"


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Hello there", False),
        ("Guten Morgen, wie geht es dir?", False),
        ("Who painted the Mona Lisa?", False),
        ("Where is my order?", True),
        ("Wo ist meine Bestellung?", True),
        ("注文はどこですか", True),
    ],
)
async def test_a_value_is_asked_for_unless_the_message_is_about_something_else(
    make_desk: MakeDesk, text: str, asks: bool
) -> None:
    async with make_desk([call("order_status", number="B-12"), "Hi."], cards=SMALL, tools=[order_status]) as desk:
        await desk.ask(text, role="general")
    assert [message.text for message in desk.script.calls[1][1][1:2]] == [text]
    assert ("number" in desk.script.calls[1][1][-1].text) is asks


async def test_a_model_that_makes_values_up_again_and_again_is_stopped(make_desk: MakeDesk) -> None:
    script = [call("order_status", number=f"B-{number}") for number in range(10, 20)]
    async with make_desk(script, cards=LARGE, tools=[order_status], max_tool_rounds=3) as desk:
        reply = await desk.ask("Where is my order?")
    assert reply.receipt.tools == () and len(desk.script.calls) == 4


async def test_a_value_may_come_from_an_earlier_message_or_a_result(make_desk: MakeDesk) -> None:
    script = [
        "Thank you.",
        call("order_status", number="B-77"),
        "It was shipped.",
        call("list_orders", customer="Ada Berg"),
        call("order_status", number="K-4711"),
        "That one too.",
    ]
    async with make_desk(script, cards=LARGE, tools=[order_status, list_orders]) as desk:
        await desk.ask("My order is B-77.", conversation="c")
        first = await desk.ask("Where is it?", conversation="c")
        second = await desk.ask("I am Ada Berg. Where is my other order?", conversation="c")
    assert [use.arguments for use in first.receipt.tools] == [{"number": "B-77"}]
    assert [use.name for use in second.receipt.tools] == ["list_orders", "order_status"]


@pytest.mark.parametrize("cards", [SMALL, LARGE])
async def test_the_right_one_of_two_calls_is_made_and_the_other_told(make_desk: MakeDesk, cards: Any) -> None:
    both = call("order_status", number="B-12") + call("order_status", number="B-77")
    async with make_desk([both, "It was shipped."], cards=cards, tools=[order_status]) as desk:
        reply = await desk.ask("Where is my order B-77?")
    assert [(use.arguments["number"], use.ok) for use in reply.receipt.tools] == [("B-77", True)]
    told = "\n".join(message.text for message in desk.script.calls[1][1])
    assert "Order B-77 was shipped" in told and "B-12" in told


async def test_one_question_of_several_knows_the_whole_message(make_desk: MakeDesk) -> None:
    def answers(messages: list[Any]) -> str:
        text = messages[-1].text
        return call("order_status", number="B-77") if "When does my order" in text else "Done."

    text = "My order number is B-77. Write a Python function that reverses a string. When does my order arrive?"
    async with make_desk(answers, cards=LARGE, tools=[order_status]) as desk:
        reply = await desk.ask(text)
    assert not any("was not called" in note for note in reply.receipt.notes)


async def test_values_of_the_desks_own_tools_are_the_models_work(make_desk: MakeDesk) -> None:
    async with make_desk([call("python", code="37*91+4"), "It is 3371."], cards=LARGE) as desk:
        reply = await desk.ask("What is thirty-seven times ninety-one, and four?")
    assert reply.receipt.tools[0].result == "3371"


@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```", "```\n{}\n```"])
async def test_a_call_of_an_unknown_tool_written_as_text_is_repaired_and_not_shown(
    make_desk: MakeDesk, fence: str
) -> None:
    written = fence.replace("{}", json.dumps({"name": "find_order", "arguments": {"id": "B-77"}}))
    good = json.dumps({"name": "order_status", "arguments": {"number": "B-77"}})
    async with make_desk([written, good, "It was shipped."], cards=SMALL, tools=[order_status]) as desk:
        events = [event async for event in desk.stream("Where is my order B-77?")]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "It was shipped."
    assert isinstance(events[-1], Finished) and events[-1].reply.receipt.tools[0].arguments == {"number": "B-77"}


@pytest.mark.parametrize(
    "text", ['{"city": "Rome"}', '```json\n{"name": "Ada"}\n```', "```python\nprint(1)\n```", "[1, 2]", "`a` is it."]
)
@pytest.mark.parametrize("cards", [SMALL, LARGE])
async def test_other_json_and_code_is_an_answer(make_desk: MakeDesk, text: str, cards: Any) -> None:
    async with make_desk([text], cards=cards, tools=[order_status]) as desk:
        events = [event async for event in desk.stream("Give me an example of that, please")]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)).strip() == text
    assert len(desk.script.calls) == 1


def listed(*numbers: str) -> str:
    return json.dumps([{"name": "order_status", "arguments": {"number": number}} for number in numbers])


async def test_a_small_model_that_calls_for_one_of_several_things_lists_them(make_desk: MakeDesk) -> None:
    script = [call("order_status", number="4711"), listed("4711", "4712", "4713", "4712"), "Both were shipped."]
    async with make_desk(script, cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Where are my orders 4711 and 4712?")
    assert desk.script.calls[1][2].json_schema["minItems"] == 2
    assert [use.arguments["number"] for use in reply.receipt.tools] == ["4711", "4712"]
    assert (reply.text, len(desk.script.calls)) == ("Both were shipped.", 3)


async def test_a_whole_list_replaces_a_call_that_mixes_several_things(make_desk: MakeDesk) -> None:
    async def price(rooms: int, city: str) -> str:
        """Tell the price of a house."""
        return f"{rooms} rooms in {city}: 300"

    right = [{"name": "price", "arguments": {"rooms": r, "city": c}} for r, c in ((31, "Rome"), (42, "Oslo"))]
    script = [call("price", rooms=42, city="Rome"), json.dumps(right), "Both cost 300."]
    async with make_desk(script, cards=SMALL, tools=[price]) as desk:
        reply = await desk.ask("What do a house of 31 rooms in Rome and one of 42 in Oslo cost?")
    assert [tuple(use.arguments.values()) for use in reply.receipt.tools] == [(31, "Rome"), (42, "Oslo")]


async def test_a_list_without_anything_new_changes_nothing(make_desk: MakeDesk) -> None:
    script = [call("order_status", number="4711"), listed("4711", "4711", "9999"), "The first was shipped."]
    async with make_desk(script, cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Where are my orders 4711 and 4712?")
    assert [use.arguments["number"] for use in reply.receipt.tools] == ["4711"]


async def test_a_larger_model_calls_for_the_rest_by_itself(make_desk: MakeDesk) -> None:
    script = [*(call("order_status", number=number) for number in ("4711", "4712")), "Both were shipped."]
    async with make_desk(script, cards=LARGE, tools=[order_status]) as desk:
        reply = await desk.ask("Where are my orders 4711 and 4712?")
    assert [use.arguments["number"] for use in reply.receipt.tools] == ["4711", "4712"]


@pytest.mark.parametrize("cards", [SMALL, LARGE])
async def test_a_second_try_does_not_repeat_what_was_done(make_desk: MakeDesk, cards: Any) -> None:
    done: list[str] = []

    async def cancel_order(number: str) -> str:
        """Cancel an order."""
        done.append(number)
        return f"Order {number} is cancelled."

    script = [call("cancel_order", number="B-77"), "You find it in our handbook [3].", "It is cancelled."]
    async with make_desk(script, cards=cards, tools=[cancel_order]) as desk:
        reply = await desk.ask("Please cancel my order B-77")
    assert reply.receipt.escalation and reply.text == "It is cancelled."
    assert (done, offered(desk, 2)) == (["B-77"], [])
    assert any("Order B-77 is cancelled." in message.text for message in desk.script.calls[2][1])


async def test_nothing_is_listed_where_nothing_is_left_over(make_desk: MakeDesk) -> None:
    async with make_desk([call("order_status", number="4711"), "Shipped."], cards=SMALL, tools=[order_status]) as desk:
        await desk.ask("Where is my order 4711?")
    assert offered(desk, 1) == [] and "Result of order_status" in desk.script.calls[1][1][-1].text


@pytest.mark.parametrize(
    "text", ["Dove si trova il mio ordine B-77?", "我的订单 B-77 在哪里？", "Is B-77 late, and is the A4 form with it?"]
)
async def test_a_small_model_that_answers_about_a_code_looks_it_up(make_desk: MakeDesk, text: str) -> None:
    script = ["It is the tenth order.", call("order_status", number="B-77"), "It was shipped yesterday."]
    async with make_desk(script, cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask(text)
    assert [use.arguments["number"] for use in reply.receipt.tools] == ["B-77"]
    assert "shipped" in reply.text and "tenth" not in reply.text


@pytest.mark.parametrize("written", [call(NO_TOOL), call("order_status", number="B-78"), "I would rather not."])
async def test_an_answer_about_a_code_stands_where_nothing_is_called(make_desk: MakeDesk, written: str) -> None:
    async with make_desk(["A letter has this size.", written], cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("What is the paper size A-44?")
    assert reply.text == "A letter has this size." and not reply.receipt.tools


@pytest.mark.parametrize(
    ("text", "cards"), [("Where is it?", SMALL), ("Is model B-77 good?", LARGE), ("See https://x.org/B-77", SMALL)]
)
async def test_nothing_is_looked_up_without_a_code_or_by_a_larger_model(
    make_desk: MakeDesk, text: str, cards: Any
) -> None:
    async with make_desk(["It is well."], cards=cards, tools=[order_status]) as desk:
        reply = await desk.ask(text)
    assert reply.text == "It is well." and len(desk.script.calls) == 1


async def test_a_result_stands_in_for_an_answer_that_only_repeats_the_question(make_desk: MakeDesk) -> None:
    script = [call("order_status", number="B-77"), "Where is my order B-77 now?", "Where is my order B-77 now?"]
    async with make_desk(script, cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Where is my order B-77 now?")
    assert reply.text == "Order B-77 was shipped yesterday."


async def cancel_order(number: str) -> str:
    """Cancel an order."""
    return f"Order {number} is cancelled."


async def book_table(code: str) -> str:
    """Book a table."""
    return f"The table {code} is booked."


@pytest.mark.parametrize("tool", [risky(cancel_order), cancel_order, book_table, risky(order_status)])
async def test_only_a_tool_that_looks_up_is_called_for_a_code(make_desk: MakeDesk, tool: Any) -> None:
    script = ["You can cancel it until Friday.", call(getattr(tool, "name", "cancel_order"), number="B-77")]
    async with make_desk(script, cards=SMALL, tools=[tool], approve_risky="untrusted") as desk:
        reply = await desk.ask("How long can I still cancel order B-77?")
    assert reply.text == "You can cancel it until Friday." and not reply.receipt.tools and not reply.pending


async def test_an_empty_answer_about_a_code_ends_the_turn(make_desk: MakeDesk) -> None:
    async with make_desk(lambda messages: "", cards=SMALL, tools=[order_status]) as desk:
        await desk.ask("Where is my order B-77?")
        assert len(desk.script.calls) <= 4


async def customer_status(number: str, email: str) -> str:
    """Look up an order of a customer."""
    return f"{number} of {email}"


async def test_a_withdrawn_answer_gives_no_values(make_desk: MakeDesk) -> None:
    script = [
        "Your order B-77 for anna@example.org is on its way.",
        call("customer_status", number="B-77", email="anna@example.org"),
    ]
    async with make_desk(script, cards=SMALL, tools=[customer_status]) as desk:
        reply = await desk.ask("Where is my order B-77?")
    assert not reply.receipt.tools


async def test_each_of_two_codes_is_looked_up(make_desk: MakeDesk) -> None:
    calls = call("order_status", number="B-77") + call("order_status", number="C-12")
    async with make_desk(["Both are here.", calls, "Both were shipped."], cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Where are B-77 and C-12?")
    assert [use.arguments["number"] for use in reply.receipt.tools] == ["B-77", "C-12"]


async def record_status(number: str) -> str:
    """Look up the record of an order."""
    return '{"margin": 0.31}'


async def test_a_record_does_not_stand_in_for_an_answer(make_desk: MakeDesk) -> None:
    echo = "Where is my order B-77 now?"
    async with make_desk([call("record_status", number="B-77"), echo], cards=SMALL, tools=[record_status]) as desk:
        reply = await desk.ask(echo)
    assert "margin" not in reply.text


@pytest.mark.parametrize(
    ("name", "is_look_up"),
    [
        ("order_status", True),
        ("refund_status", True),
        ("get_weather", True),
        ("update_order_status", False),
        ("checkout", False),
        ("cancel_order", False),
        ("book_table", False),
        ("set_status", False),
    ],
)
def test_a_tools_name_tells_whether_it_only_looks_up(name: str, is_look_up: bool) -> None:
    assert looks_up(name) is is_look_up


@pytest.mark.parametrize("cards", [SMALL, LARGE])
async def test_what_was_done_after_a_dropped_call_may_be_said(make_desk: MakeDesk, cards: Any) -> None:
    async def checkout(number: str) -> str:
        """Pay a cart."""
        return f"Cart {number}: paid."

    script = [call("checkout", number="9999") + call("checkout", number="4711"), "Done."]
    async with make_desk(script, cards=cards, tools=[checkout]) as desk:
        reply = await desk.ask("Please pay my cart 4711.")
    assert reply.text == "Done."


async def test_a_result_that_says_so_may_be_told_after_a_dropped_call(make_desk: MakeDesk) -> None:
    async def parcel_status(number: str) -> str:
        """Return the state of a parcel."""
        return f"Parcel {number} is completed."

    script = [call("parcel_status", number="9999") + call("parcel_status", number="4711"), "Your parcel is completed."]
    async with make_desk(script, cards=LARGE, tools=[parcel_status]) as desk:
        reply = await desk.ask("Is my parcel 4711 there yet?")
    assert reply.text == "Your parcel is completed."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wo ist denn meine Bestellung B-77 geblieben?", "de"),
        ("¿Dónde está ahora mi pedido B-77, por favor?", "es"),
        ("Où se trouve maintenant ma commande B-77 ?", "fr"),
        ("Где сейчас находится мой заказ B-77?", "ru"),
        ("我的订单 B-77 现在在哪里？", "zh"),
        ("أين طلبي رقم B-77 الآن من فضلك؟", "ar"),
    ],
)
async def test_a_result_that_is_told_in_another_language_stands_alone(
    make_desk: MakeDesk, text: str, language: str
) -> None:
    english = "The order with the number B-77 has been shipped to you yesterday, so it will be there soon."
    script = [call("order_status", number="B-77"), english, english]
    async with make_desk(script, cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask(text)
    assert english not in reply.text and reply.text.startswith(phrase("looked_up", language))
    assert "shipped" in reply.text and any("result stands" in note for note in reply.receipt.notes)


async def test_a_result_that_is_told_in_the_language_of_the_message_stays(make_desk: MakeDesk) -> None:
    german = "Die Bestellung B-77 wurde gestern verschickt und ist bald bei Ihnen zu Hause."
    async with make_desk([call("order_status", number="B-77"), german], cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask("Wo ist denn meine Bestellung B-77 geblieben?")
    assert reply.text == german


async def test_no_note_says_that_nothing_was_said_where_a_result_stands_for_an_echo(make_desk: MakeDesk) -> None:
    text = "Where is my order B-77?"
    async with make_desk([call("order_status", number="B-77"), text, text], cards=SMALL, tools=[order_status]) as desk:
        reply = await desk.ask(text)
    assert "shipped" in reply.text
    assert not any("gave no text" in note for note in reply.receipt.notes)
    assert any("result stands instead" in note for note in reply.receipt.notes)
