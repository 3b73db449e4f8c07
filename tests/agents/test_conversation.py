"""Turns in a conversation, on the scripted engine: sticking, pictures, second tries, several questions at once."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from PIL import Image

from qwendesk import Desk, Settings
from qwendesk.agents.nodes.reply import missing_model_text
from qwendesk.agents.nodes.subquestion import StreamMerge
from qwendesk.agents.phrases import phrases
from qwendesk.desk.turns.receipt import explain
from qwendesk.engines.scripted import SCRIPTED_MODELS, ScriptedChat, ScriptedEngine
from qwendesk.errors import EngineError, InputError
from qwendesk.messages import AnswerReset, Event, Finished, Inbound, Notice, Routed, TextDelta
from qwendesk.models.card import ModelCard
from qwendesk.routing.base import Decision, Signals
from tests.conftest import MakeDesk

SMALL = ModelCard("small", roles=("general", "coder", "math"), parameters=4)
BIG = ModelCard("big", roles=("general", "coder", "math"), parameters=8, thinking="hybrid")
HYBRID = ModelCard("hybrid", roles=("general", "coder", "math"), parameters=4, thinking="hybrid")
RAN = "ran without an error, compared with nothing; printed: 42"
WRONG_SUM = "37 * 91 + 4 = 3372, but it is 3371"
THREE = "Write a Python function that reverses a string. What is 37*91+4? Where is my order B-77?"


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


@pytest.fixture
def picture(tmp_path: Any) -> str:
    file = tmp_path / "car.png"
    Image.new("RGB", (8, 8), "red").save(file)
    return str(file)


def marked(detail: str) -> str:
    """Return what stands behind an answer that failed a check."""
    return f"\n\n⚠ This answer did not pass a check: {detail}"


def small_first(make_desk: MakeDesk, script: Any, **settings: Any) -> Desk:
    """Return a desk whose small model is in memory, so that it is asked first."""
    return make_desk(["Hello.", *script], cards=(SMALL, BIG), **settings)


def shown(events: list[Event]) -> str:
    """Return what a channel shows in the end."""
    text = ""
    for event in events:
        if isinstance(event, TextDelta):
            text += event.text
        elif isinstance(event, AnswerReset):
            text = ""
    return text


async def listen(desk: Desk, text: str, **wishes: Any) -> tuple[list[Event], Any]:
    events = [event async for event in desk.stream(text, **wishes)]
    assert isinstance(events[-1], Finished)
    return events, events[-1].reply


async def test_a_follow_up_stays_and_a_new_topic_leaves(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        roles = [
            (await desk.ask(text, conversation="c")).receipt.role
            for text in ("Write a Python function that reverses a string", "and why?", "Who painted the Mona Lisa?")
        ]
        reasons = (await desk.ask("Write a Python class", conversation="c")).receipt.signals
        stayed = await desk.ask("make it faster", conversation="c")
    assert roles == ["coder", "coder", "general"]
    assert stayed.receipt.model == "scripted-coder"
    assert stayed.receipt.signals == ("stayed with coder: a short follow-up",) != reasons
    assert "stayed with coder: a short follow-up" in explain(stayed.receipt.as_dict())


async def test_the_role_is_known_after_a_restart(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        await desk.ask("Write a Python function that reverses a string", conversation="c")
    async with make_desk() as desk:
        assert (await desk.ask("make it faster", conversation="c")).receipt.role == "coder"


async def test_conversations_do_not_mix(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        await desk.ask("Write a Python function that reverses a string", conversation="a")
        assert (await desk.ask("make it faster", conversation="b")).receipt.role == "general"


async def test_a_question_about_the_last_picture_brings_it_back(make_desk: MakeDesk, picture: str) -> None:
    async with make_desk() as desk:
        await desk.ask("What is this?", conversation="c", images=[picture])
        colour = await desk.ask("what colour was it?", conversation="c")
        text = await desk.ask("Write a Python function that sorts a list", conversation="c")
        named = await desk.ask("And in the picture, what is on the left?", conversation="c")
        other = await desk.ask("what colour was it?", conversation="d")
    assert [r.receipt.role for r in (colour, text, named, other)] == ["vision", "coder", "vision", "general"]
    assert "the picture from your earlier message" in colour.receipt.signals
    given = [messages[-1].content for _, messages, _ in desk.script.calls]
    assert [isinstance(content, list) for content in given] == [True, True, False, True, False]
    assert given[1][0] == given[0][0]
    assert given[1][-1]["text"] == "what colour was it?"


async def test_the_last_of_several_pictures_is_meant(make_desk: MakeDesk, tmp_path: Any) -> None:
    async with make_desk() as desk:
        for colour in ("red", "blue"):
            Image.new("RGB", (8, 8), colour).save(tmp_path / f"{colour}.png")
            await desk.ask("What is this?", conversation="c", images=[tmp_path / f"{colour}.png"])
        await desk.ask("¿de qué color era?", conversation="c")
    contents = [messages[-1].content for _, messages, _ in desk.script.calls]
    assert contents[2][0] == contents[1][0] != contents[0][0]


async def test_a_picture_that_was_never_sent_is_asked_for(make_desk: MakeDesk) -> None:
    async with make_desk(["never"]) as desk:
        english = await desk.ask("In the picture I sent, what is on the left?")
        german = await desk.ask("Was ist auf dem Bild zu sehen?")
    assert "send it" in english.text and "schicken" in german.text
    assert english.receipt.signals == ("you speak of a picture, but none was sent",)
    assert (english.receipt.role, english.receipt.model, english.receipt.fallback) == ("vision", "", None)
    assert desk.script.calls == []


async def test_who_has_no_eyes_or_ears_says_so_in_the_persons_language(make_desk: MakeDesk, picture: str) -> None:
    async with make_desk(["Hallo."], cards=(SMALL,)) as desk:
        blind = await desk.ask("Was ist auf diesem Bild zu sehen?", images=[picture])
    assert "Ich kann das Bild nicht sehen" in blind.text
    assert "'qwendesk models pull qwen2.5-vl-3b'" in blind.text


def test_what_the_desk_says_itself_is_known_in_the_same_languages() -> None:
    languages = {name: set(texts) for name, texts in phrases().items()}
    assert all(codes == languages["missing_picture"] for codes in languages.values())
    assert all("{how}" in text for text in phrases()["can_be_added"].values())
    assert "聞く" in missing_model_text("audio", "ja") and "transformers" in missing_model_text("audio", "ja")


async def test_a_wish_for_eyes_brings_the_last_picture_back(make_desk: MakeDesk, picture: str) -> None:
    async with make_desk() as desk:
        await desk.ask("What is this?", conversation="c", images=[picture])
        reply = await desk.ask("Tell me more, please", conversation="c", role="vision")
    assert reply.receipt.role == "vision"
    assert isinstance(desk.script.calls[1][1][-1].content, list)


async def test_a_loaded_model_is_kept_unless_the_gain_is_worth_it(make_desk: MakeDesk) -> None:
    talker = ModelCard("small", roles=("general",), parameters=4)
    coder = ModelCard("coder", roles=("coder",), parameters=7)
    async with make_desk(cards=(talker, BIG, coder)) as desk:
        first = await desk.ask("Hello there", model="small")
        second = await desk.ask("Tell me about the history of the bicycle")
        third = await desk.ask("Write a Python function that reverses a string")
    assert [reply.receipt.model for reply in (first, second, third)] == ["small", "small", "coder"]
    assert "stayed with small because it is loaded" in second.receipt.signals


async def test_the_policy_file_is_read(make_desk: MakeDesk, own_home: Any) -> None:
    (own_home / "policy.toml").write_text(
        "[models]\nmodel_switch_threshold = 0\n"
        '[[rule]]\nwhen = {contains = ["bicycle*"]}\nrole = "math"\nmodel = "big"\nthink = true\n'
    )
    async with make_desk(cards=(SMALL, BIG)) as desk:
        await desk.ask("Hello there", model="small")
        swapped = await desk.ask("Tell me about the history of cars")
        ruled = await desk.ask("Tell me about bicycles")
    assert swapped.receipt.model == "big"
    assert (ruled.receipt.role, ruled.receipt.model, ruled.receipt.thinking) == ("math", "big", True)
    assert "your rule 1: the message holds 'bicycle*'" in ruled.receipt.signals


async def test_the_model_of_a_rule_that_is_gone_is_passed_over(make_desk: MakeDesk, own_home: Any) -> None:
    (own_home / "policy.toml").write_text('[[rule]]\nwhen = {contains = ["bicycle*"]}\nmodel = "poet"\n')
    async with make_desk(cards=(SMALL,)) as desk:
        reply = await desk.ask("Tell me about bicycles")
    assert reply.receipt.model == "small"
    assert "the model of your rule was passed over" in reply.receipt.notes[0]


async def test_the_budget_of_thinking_reaches_the_model(make_desk: MakeDesk) -> None:
    async with make_desk(["<think>a b c</think>Hello."] * 2, cards=(HYBRID,)) as desk:
        await desk.ask("Hello", think=True)
        await desk.ask("Hello", think=False)
    assert [(options.think, options.think_budget) for _, _, options in desk.script.calls] == [
        (True, 768),
        (False, None),
    ]


async def test_the_budget_of_the_file_comes_first(make_desk: MakeDesk, own_home: Any) -> None:
    (own_home / "policy.toml").write_text("[thinking]\nbudget = 100\n")
    async with make_desk(["Hello."], cards=(HYBRID,), think_budget=50) as desk:
        await desk.ask("Hello", think=True)
    assert desk.script.calls[0][2].think_budget == 100


async def test_failed_code_is_tried_again_by_a_larger_model(make_desk: MakeDesk) -> None:
    bad, good = "```python\nprint(1/0)\n```", "```python\nprint(42)\n```"
    async with small_first(make_desk, [bad, good]) as desk:
        await desk.ask("Hello there", model="small")
        events, reply = await listen(desk, "Write a Python function", conversation="c")
        stored = (await desk.memory.history.messages("c"))[-1].text
    assert reply.text == stored == shown(events) == good
    assert (reply.receipt.model, reply.receipt.thinking) == ("big", True)
    assert reply.receipt.escalation.startswith("tried again with big, thinking: the check 'code runs' failed")
    assert [(check.outcome, check.detail) for check in reply.receipt.checks] == [("skipped", RAN)]
    assert "ZeroDivisionError" in desk.script.calls[-1][1][-1].text
    assert desk.script.calls[-1][1][-2].text == bad
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert any(text.startswith("Trying again with big") for text in notices)
    assert "second try" in explain(reply.receipt.as_dict())


async def test_stopping_the_second_try_keeps_nothing_of_the_first(make_desk: MakeDesk) -> None:
    async with make_desk(["37 * 91 + 4 = 3372", "Let us see what comes out"], cards=(HYBRID,)) as desk:
        stream = desk.stream("What is 37*91+4?", conversation="c", think=None)
        again = False
        async for event in stream:
            again = again or isinstance(event, AnswerReset)
            if again and isinstance(event, TextDelta):
                break
        await stream.aclose()
        kept = (await desk.memory.history.messages("c"))[-1].text
    assert again and "Let us see what comes out".startswith(kept.strip())


async def test_it_is_tried_again_only_once(make_desk: MakeDesk) -> None:
    bad = "```python\nprint(1/0)\n```"
    async with small_first(make_desk, [bad, bad, "never"]) as desk:
        await desk.ask("Hello there", model="small")
        reply = await desk.ask("Write a Python function")
    assert len(desk.script.calls) == 3
    assert reply.text == bad + marked("ZeroDivisionError: division by zero (line 1)")
    assert "this was the second try" in reply.receipt.notes[-1]


async def test_without_a_larger_model_the_answer_stays_and_what_failed_is_said(make_desk: MakeDesk) -> None:
    bad = "```python\nprint(1/0)\n```"
    async with make_desk([bad, "I have no other code."], cards=(SMALL,)) as desk:
        reply = await desk.ask("Write a Python function")
    assert reply.text == bad + marked("ZeroDivisionError: division by zero (line 1)")
    assert "small gave no code" in reply.receipt.notes[0]
    assert "ZeroDivisionError" in reply.receipt.notes[-1] and "second try" in reply.receipt.notes[-1]


async def test_the_same_model_may_think_instead(make_desk: MakeDesk) -> None:
    wrong, right = "37 * 91 + 4 = 3372", "<think>Hm.</think>37 * 91 + 4 = 3371"
    async with make_desk([wrong, right, wrong], cards=(HYBRID,), roles={"math": "hybrid"}) as desk:
        reply = await desk.ask("What is 37*91+4?")
        calm = await desk.ask("What is 37*91+4?", think=False)
    assert (reply.text, reply.receipt.thinking) == ("37 * 91 + 4 = 3371", True)
    assert calm.receipt.escalation is None and calm.text == "37 * 91 + 4 = 3371"


async def test_a_model_that_was_asked_for_by_name_is_not_replaced(make_desk: MakeDesk) -> None:
    async with make_desk(["37 * 91 + 4 = 3372"], cards=(SMALL, BIG)) as desk:
        reply = await desk.ask("What is 37*91+4?", model="small")
    assert (reply.receipt.model, reply.receipt.escalation) == ("small", None)


@pytest.mark.parametrize(
    "first",
    ["", "I'm sorry, but I can't help with that.", "Es tut mir leid, aber ich kann das nicht.", "抱歉，我无法回答。"],
)
async def test_an_empty_or_refused_answer_is_asked_for_anew(make_desk: MakeDesk, first: str) -> None:
    async with small_first(make_desk, [first, "In Paris."]) as desk:
        await desk.ask("Hello there", model="small")
        events, reply = await listen(desk, "Where is the Eiffel Tower to be found?")
    assert reply.text == shown(events) == "In Paris."
    assert reply.receipt.model == "big"
    assert [message.text for message in desk.script.calls[-1][1][1:]] == ["Where is the Eiffel Tower to be found?"]


async def test_a_question_asked_twice_goes_up_the_chain(make_desk: MakeDesk) -> None:
    question = "Where is the Eiffel Tower to be found?"
    async with make_desk(cards=(SMALL, BIG)) as desk:
        await desk.ask("Hello there", model="small", conversation="c")
        first = await desk.ask(question, conversation="c")
        again = await desk.ask(question.upper() + " ", conversation="c")
        twice = [await desk.ask("make it longer", conversation="c") for _ in range(2)]
    assert (first.receipt.model, again.receipt.model) == ("small", "big")
    assert again.receipt.escalation.startswith("you asked the same before")
    assert again.receipt.escalation in again.receipt.signals
    assert twice[1].receipt.escalation is None


async def test_a_question_asked_twice_where_nothing_is_stronger_is_told(make_desk: MakeDesk) -> None:
    question = "Where is the Eiffel Tower to be found?"
    async with make_desk(cards=(SMALL,)) as desk:
        await desk.ask(question, conversation="c")
        again = [event async for event in desk.turns.run(Inbound(question, "c"))]
    note = "you asked the same before, and there is no stronger model here to ask"
    assert note in again[-1].reply.receipt.notes
    assert Notice(f"Y{note[1:]}.", persistent=True) in again


async def test_a_thumb_down_is_answered_by_a_stronger_model(make_desk: MakeDesk, picture: str) -> None:
    async with make_desk(cards=(SMALL, BIG)) as desk:
        with pytest.raises(InputError, match="no question yet"):
            await desk.retry("c")
        await desk.ask("Tell me about the bicycle", model="small", conversation="c")
        better = await desk.retry("c")
        best = await desk.retry("c")
    assert better.receipt.model == "big" and "you asked for a better answer" in better.receipt.escalation
    assert desk.script.calls[1][1][-1].text == "Tell me about the bicycle"
    assert best.receipt.thinking or "there is no stronger model here to ask" in best.receipt.notes


async def test_a_larger_model_that_cannot_be_loaded_leaves_the_first_answer(make_desk: MakeDesk) -> None:
    async with small_first(make_desk, ["37 * 91 + 4 = 3372"]) as desk:
        await desk.ask("Hello there", model="small")
        load = desk.script.load

        async def broken(name: str, progress: Any = None) -> Any:
            if name == "big":
                raise EngineError("out of memory")
            return await load(name, progress)

        desk.script.load = broken
        reply = await desk.ask("What is 37*91+4?")
    assert reply.text == "37 * 91 + 4 = 3371" and reply.receipt.checks[0].detail == WRONG_SUM
    assert "big could not be asked: out of memory" in reply.receipt.notes[0]


class Unsure:
    def route(self, signals: Signals) -> Decision:
        return Decision("general", 0.3, "coder", ("no role is likely enough",), abstained=True)


def unsure_desk(script: Any, cards: Any) -> Desk:
    engine = ScriptedEngine(script, cards=cards)
    desk = Desk(Settings(engine="scripted"), engines={"scripted": engine}, router=Unsure())
    desk.script = engine  # type: ignore[attr-defined]
    return desk


async def test_an_abstention_is_thought_about_where_the_model_can() -> None:
    async with unsure_desk(["<think>Hm.</think>Hello."], (HYBRID,)) as desk:
        reply = await desk.ask("Blue seven")
    assert (reply.receipt.role, reply.receipt.thinking) == ("general", True)


@pytest.mark.parametrize(("said", "role"), [('{"role": "coder"}', "coder"), ("Hm?", "general"), ('["x"]', "general")])
async def test_a_small_model_may_be_asked_where_a_message_belongs(own_home: Any, said: str, role: str) -> None:
    (own_home / "policy.toml").write_text("[abstain]\nask_llm = true\n")
    tiny = ModelCard("tiny", roles=("general",), parameters=0.5)
    async with unsure_desk([said, "Hello."], (tiny, *SCRIPTED_MODELS)) as desk:
        reply = await desk.ask("Blue seven")
    name, _, options = desk.script.calls[0]
    assert (name, options.think, options.max_tokens) == ("tiny", False, 24)
    assert options.json_schema["properties"]["role"]["enum"] == ["general", "coder", "math", "thinking"]
    assert (reply.receipt.role, reply.receipt.runner_up) in ((role, "general"), ("general", reply.receipt.runner_up))
    assert reply.receipt.runner_up != role
    assert "tiny" in reply.receipt.notes[0] and "tokens in" in reply.receipt.notes[0]
    assert reply.receipt.tokens_in > sum(len(message.text.split()) for message in desk.script.calls[1][1])


async def test_several_questions_go_to_their_roles(make_desk: MakeDesk) -> None:
    async def order_status(number: str) -> str:
        """Look up an order."""
        return f"{number} is on its way"

    def play(messages: Any) -> str:
        last = messages[-1].text
        if "order" in last:
            return call("order_status", number="B-77")
        if "on its way" in last:
            return "Your parcel is on its way."
        return "37 * 91 + 4 = 3371" if "37" in last else "```python\nprint('olleh')\n```"

    async with make_desk(play, tools=[order_status]) as desk:
        events, reply = await listen(desk, THREE, conversation="c")
        stored = (await desk.memory.history.messages("c"))[-1].text
        turn = await desk.last_turn("c")
    assert reply.text == stored == shown(events)
    places = [reply.text.index(part) for part in ("olleh", "3371", "Your parcel")]
    assert places == sorted(places)
    assert [(part.role, part.model) for part in reply.receipt.sub_answers] == [
        ("coder", "scripted-coder"),
        ("math", "scripted-math"),
        ("general", "scripted-general"),
    ]
    assert (
        [use.result for use in reply.receipt.sub_answers[2].tools]
        == ["B-77 is on its way"]
        == [reply.receipt.tools[0].result]
    )
    assert [check.name for check in reply.receipt.checks] == ["code runs", "arithmetic"]
    assert reply.receipt.signals == ("3 questions in one message, each to its role",)
    assert [event.role for event in events if isinstance(event, Routed)] == ["coder", "math", "general"]
    assert reply.receipt.tokens_out > 0
    assert turn is not None and turn.receipt is not None
    told = explain(turn.receipt)
    assert told.startswith("**coder, math, general** answered")
    assert "part 2: 'What is 37*91+4?' went to **math**" in told


async def test_what_comes_first_is_shown_first_whoever_is_quicker(make_desk: MakeDesk) -> None:
    begun: list[str] = []
    go_on = asyncio.Event()

    async def play(messages: Any) -> str:
        last = messages[-1].text
        begun.append(last)
        if "Python" in last:
            await go_on.wait()
            return " ".join(["FIRST"] * 20)
        if len(begun) == 3:
            go_on.set()
        return " ".join(["SECOND" if "37" in last else "THIRD"] * 20)

    async with make_desk(play) as desk:
        events, reply = await listen(desk, THREE)
    assert len(begun) == 3
    words = [word for word in shown(events).split() if word in ("FIRST", "SECOND", "THIRD")]
    assert words == ["FIRST"] * 20 + ["SECOND"] * 20 + ["THIRD"] * 20
    assert reply.text == shown(events)


async def test_a_part_that_fails_leaves_the_others(make_desk: MakeDesk) -> None:
    def play(messages: Any) -> str:
        if "37" in messages[-1].text:
            raise EngineError("out of order")
        return "Fine."

    async with make_desk(play) as desk:
        events, reply = await listen(desk, THREE)
    assert reply.text.count("Fine.") == 2 and "(out of order)" in reply.text
    assert [part.model for part in reply.receipt.sub_answers] == ["scripted-coder", "", "scripted-general"]
    assert reply.receipt.notes == ("part 2 was not answered: out of order",)
    assert "part 2 was not answered: out of order" in explain(reply.receipt.as_dict())
    assert reply.text == shown(events)


def break_off(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Let models fail after the first word where a prompt's last message holds a word."""
    whole = ScriptedChat.astream

    async def part(self: Any, messages: Any, **options: Any) -> Any:
        async for chunk in whole(self, messages, **options):
            yield chunk
            if where in messages[-1].text:
                raise EngineError("out of order")

    monkeypatch.setattr(ScriptedChat, "astream", part)


async def test_a_part_that_breaks_off_shows_what_is_stored(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(monkeypatch, "37")
    async with make_desk(lambda messages: "All is well.") as desk:
        events, reply = await listen(desk, THREE, conversation="c")
        stored = (await desk.memory.history.messages("c"))[-1].text
    assert reply.text == stored == shown(events)
    assert reply.text.count("All is well.") == 2 and "(out of order)" in reply.text


@pytest.mark.parametrize("second", ["breaks off", ""])
async def test_a_second_try_that_gives_nothing_leaves_the_first_answer(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    async with small_first(make_desk, ["37 * 91 + 4 = 3372", second]) as desk:
        await desk.ask("Hello there", model="small")
        if second:
            break_off(monkeypatch, "mistake")
        events, reply = await listen(desk, "What is 37*91+4?", conversation="c")
        stored = (await desk.memory.history.messages("c"))[-1].text
    assert reply.text == stored == shown(events) == "37 * 91 + 4 = 3371"
    assert (reply.receipt.model, reply.receipt.thinking) == ("small", False)
    assert any("the first answer stands" in note for note in reply.receipt.notes)
    assert [check.outcome for check in reply.receipt.checks] == ["failed"]


async def test_why_tells_what_a_wish_changed_and_why_it_thinks(make_desk: MakeDesk) -> None:
    async with make_desk(["Fine."] * 3, cards=(HYBRID,)) as desk:
        wished = await desk.ask("Write a Python function that sorts a list", role="general", think=False)
        named = await desk.ask("Hello there", model="hybrid")
        unsure = await desk.ask("Which of two plans is better, and why? Weigh the risks step by step.")
    assert "without your override: **coder** would have answered" in explain(wished.receipt.as_dict())
    assert "thinking: off (you asked for an answer without)" in explain(wished.receipt.as_dict())
    assert "you asked for hybrid" in explain(named.receipt.as_dict())
    assert unsure.receipt.thinking and f"thinking: on ({unsure.receipt.thinking_reason})" in explain(
        unsure.receipt.as_dict()
    )
    assert unsure.receipt.thinking_reason


async def test_if_all_parts_fail_the_turn_does(make_desk: MakeDesk) -> None:
    def play(messages: Any) -> str:
        raise EngineError("out of order")

    async with make_desk(play) as desk:
        with pytest.raises(EngineError, match="out of order"):
            await desk.ask(THREE, conversation="c")
        assert (await desk.last_turn("c")).status == "failed"


async def test_a_part_that_is_tried_again_keeps_the_parts_before_it(make_desk: MakeDesk) -> None:
    begun = asyncio.Event()
    events: list[Any] = []

    async def play(messages: Any) -> str:
        last = messages[-1].text
        if "mistake" in last:
            return "37 * 91 + 4 = 3371"
        if "37" in last:
            await begun.wait()
            return "37 * 91 + 4 = 3372"
        return "Fine."

    async with make_desk(play, cards=(HYBRID,)) as desk:
        async for event in desk.stream(THREE):
            events.append(event)
            if isinstance(event, TextDelta) and "37" in event.text:
                begun.set()
    reply = next(event.reply for event in events if isinstance(event, Finished))
    assert any(isinstance(event, AnswerReset) for event in events)
    assert reply.text == shown(events)
    assert reply.text.count("Fine.") == 2 and "3371" in reply.text and "3372" not in reply.text
    assert "tried again with hybrid" in reply.receipt.escalation


@pytest.mark.parametrize("wishes", [{"role": "coder"}, {"model": "scripted-math"}])
async def test_who_names_the_role_gets_one_answer(make_desk: MakeDesk, wishes: dict[str, str]) -> None:
    async with make_desk() as desk:
        reply = await desk.ask(THREE, **wishes)
    assert reply.receipt.sub_answers == () and len(desk.script.calls) == 1


def test_lanes_show_a_finished_lane_at_once() -> None:
    seen: list[Event] = []
    lanes = StreamMerge(3, seen.append)
    lanes.emit(2, TextDelta("c"))
    lanes.emit(1, TextDelta("b"))
    lanes.close(2)
    lanes.emit(0, TextDelta("a"))
    lanes.close(0)
    lanes.emit(1, TextDelta("B"))
    lanes.close(1)
    assert [event.text for event in seen if isinstance(event, TextDelta)] == ["a", "b", "B", "c"]


async def test_what_a_stopped_part_kept_others_from_saying_is_not_stored_as_said(make_desk: MakeDesk) -> None:
    begun, others = asyncio.Event(), asyncio.Semaphore(0)

    async def play(messages: Any) -> str:
        if "Python" in messages[-1].text:
            begun.set()
            await asyncio.Event().wait()
        others.release()
        return "Nobody has seen this."

    seen: list[Event] = []

    async def follow(desk: Desk) -> None:
        async with aclosing(desk.turns.run(Inbound(THREE, "c"))) as events:
            async for event in events:
                seen.append(event)

    async with make_desk(play) as desk:
        listening = asyncio.create_task(follow(desk))
        await begun.wait()
        await others.acquire(), await others.acquire()
        for _ in range(500):  # what the others say gets to where it waits
            await asyncio.sleep(0)
        listening.cancel()
        await asyncio.wait([listening])
        stored = [message.text for message in await desk.memory.history.messages("c") if message.role == "assistant"]
    assert "".join(stored).strip() == shown(seen).strip()
    assert "Python" in shown(seen)


@pytest.mark.parametrize(("question", "result"), [("What is 12 500 + 3 000?", "15500"), ("Was ist 1.000 + 1?", "1001")])
async def test_separated_numbers_go_to_algebra_as_they_are_written(
    make_desk: MakeDesk, question: str, result: str
) -> None:
    small = ModelCard("small", roles=("general", "coder", "math"), parameters=0.5)
    async with make_desk([f"It is {result}."], cards=(small,)) as desk:
        reply = await desk.ask(question)
    (use,) = reply.receipt.tools
    assert (use.name, use.result) == ("algebra", result)
    assert result in reply.text
