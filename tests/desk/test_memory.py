"""A desk that remembers: summaries of long conversations, facts about people, the commands for them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage

from qwendesk import Desk, Settings
from qwendesk.desk.turns.conversation_context import newest_facts
from qwendesk.desk.turns.memory_jobs import facts_in, oldest_turns, sourced
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.memory.records import KnownFact, NewFact, TurnLine
from qwendesk.messages import Inbound
from qwendesk.models.card import ModelCard
from tests.conftest import MakeDesk

SMALL = ModelCard(name="scripted-general", roles=("general",), parameters=7, context=2048)
TINY = ModelCard(name="scripted-tiny", roles=("general",), parameters=0.5)


def played(messages: list[object]) -> str:
    """Answer as a model would that is asked for minutes, for facts, or just asked."""
    system, last = str(messages[0].text), str(messages[-1].text)  # type: ignore[attr-defined]
    if "minutes" in system:
        return "They spoke about pears."
    if "lasting facts" in system:
        told = [("home town", "Berlin", "place"), ("password", "hunter2", "other"), ("pet", "a dragon", "other")]
        found = [{"key": key, "value": value, "category": kind} for key, value, kind in told]
        return json.dumps({"facts": found if "Berlin" in last else []})
    return "Indeed. " * 40


async def settled(desk: Desk) -> None:
    assert desk.turns
    desk.turns.background.idle_seconds = 0
    await desk.turns.background.wait()


def asked(desk: Desk, about: str) -> int:
    return sum(about in call[1][0].text for call in desk.script.calls)  # type: ignore[attr-defined]


async def test_a_long_conversation_is_summarised_and_loses_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(played, cards=[SMALL], learn_facts="off", context_tokens=2048)
    async with desk:
        for number in range(16):
            await desk.ask(f"Pear number {number}, please. " * 5, conversation="c")
            if number == 3:
                await settled(desk)
                assert not asked(desk, "minutes"), "no summary before the history has outgrown its share"
        await settled(desk)
        assert asked(desk, "minutes") >= 1
        context = await desk.memory.turns.context(Inbound("And now?", "c"))
        assert context.summary and context.summary.text == "They spoke about pears."
        await desk.ask("And now?", conversation="c")
        _, messages, _ = desk.script.calls[-1]  # type: ignore[attr-defined]
        assert "They spoke about pears." in messages[0].text
        assert not any("Pear number 0," in message.text for message in messages)
        assert any("Pear number 15," in message.text for message in messages)
        assert len(await desk.memory.history.messages("c", limit=1000)) == 34, "every message is still there"


async def test_facts_are_learned_checked_and_used(make_desk: MakeDesk) -> None:
    async with make_desk(played) as desk:
        await desk.ask("I live in Berlin and my password is hunter2.", conversation="c")
        await settled(desk)
        person = await desk.memory.people.find("local")
        assert person
        facts = await desk.memory.facts.known(person.id)
        assert [(fact.key, fact.value, fact.confidence) for fact in facts] == []
        await desk.ask("I live in Berlin. That is all.", conversation="c")
        await settled(desk)
        facts = await desk.memory.facts.known(person.id)
        assert [(fact.key, fact.value) for fact in facts] == [("home town", "Berlin")]
        await desk.ask("What is there to see?", conversation="another")
        _, messages, _ = desk.script.calls[-1]  # type: ignore[attr-defined]
        assert "- home town: Berlin" in messages[0].text
        await settled(desk)
        times = asked(desk, "lasting facts")
        await settled(desk)
        assert asked(desk, "lasting facts") == times, "each message is read once"


async def test_facts_are_learned_beside_the_turns_of_a_server(own_home: Path) -> None:
    read, asked_again = asyncio.Event(), asyncio.Event()

    async def play(messages: list[BaseMessage]) -> str:
        if "lasting facts" in messages[0].text:
            read.set()
        if messages[-1].text.startswith("Wait"):
            asked_again.set()
            await read.wait()
        return played(messages)  # type: ignore[arg-type]

    engine = ScriptedEngine(play)
    engine.name, engine.is_local = "vllm", False
    async with Desk(Settings(engine="vllm"), engines={"vllm": engine}) as desk:
        busy = asyncio.create_task(desk.ask("Wait for me, please.", conversation="busy"))
        await asyncio.wait_for(asked_again.wait(), 60)
        await desk.ask("I live in Berlin. That is all.", conversation="c")
        await asyncio.wait_for(busy, 60)
        assert read.is_set()


@pytest.mark.parametrize(("wish", "calls"), [("auto", 0), ("on", 1), ("off", 0)])
async def test_small_models_learn_only_when_told_to(make_desk: MakeDesk, wish: str, calls: int) -> None:
    async with make_desk(played, cards=[TINY], learn_facts=wish) as desk:
        await desk.ask("I live in Berlin. That is all.", conversation="c")
        await settled(desk)
        assert asked(desk, "lasting facts") == calls


async def test_who_does_not_want_it_is_not_noted(make_desk: MakeDesk) -> None:
    async with make_desk(played) as desk:
        await desk.commands.run("/memory off", person="local", channel="python", conversation="c")
        await desk.ask("I live in Berlin. That is all.", conversation="c")
        await settled(desk)
        assert asked(desk, "lasting facts") == 0
        assert "switched off" in str(
            await desk.commands.run("/memory", person="local", channel="python", conversation="c")
        )


async def test_the_commands(make_desk: MakeDesk) -> None:
    async with make_desk(played) as desk:

        async def run(line: str, person: str = "ada", channel: str = "python") -> str:
            return str(await desk.commands.run(line, person=person, channel=channel, conversation="c"))

        assert await run("/unknown") == "None"
        assert await run("/memory") == "I know nothing about you."
        assert await run("/remember Home: Berlin") == "Noted: **home**: Berlin"
        assert "password" in await run("/remember my password is hunter2")
        assert "Berlin" in await run("/memory") and "Berlin" not in await run("/memory", "bob")
        code = (await run("/link")).split("**")[1]
        assert "same code on the channel" in await run(f"/link {code}", "U1", "slack")
        assert "one person" in await run(f"/link {code}")
        assert "Berlin" in await run("/memory", "U1", "slack")
        assert await run("/forget berlin") == "Forgotten: **home**: Berlin"
        assert await run("/memory", "U1", "slack") == "I know nothing about you."
        assert "mentions “x”" in await run("/forget x")
        assert "/forget me" in await run("/forget") and "/remember" in await run("/remember")
        assert await run("/good") == "There is no answer in this conversation yet."
        await desk.ask("hello", conversation="c")
        assert "thank you" in await run("/good") and "other words" in await run("/bad too   long")
        (turn,) = await desk.memory.feedback.turns()
        assert [(rating.thumb, rating.comment) for rating in turn.ratings] == [(-1, "too long")]
        assert "I know nothing" in await run("/memory") and "From now on I neither" in await run("/memory off")
        assert "switched off" in await run("/remember home: Berlin") and "From now on" in await run("/memory on")
        for line in ("/forget me", "/forget me now", "/FORGET ME"):
            assert "`/forget me yes`" in await run(line)
        assert "messages and answers: 0, facts: 0" in await run("/forget me yes")


async def several(desk: Desk) -> Callable[[str], Awaitable[str]]:
    """Let Ada have facts, and return what runs her commands."""
    ada = (await desk.memory.people.get_or_create("ada")).id
    for key, value in (("home", "Berlin"), ("work", "Berlin Mitte"), ("name", "Ada"), ("age", "42")):
        await desk.memory.facts.learn(ada, [NewFact(key, value)])

    async def run(line: str) -> str:
        return str(await desk.commands.run(line, person="ada", channel="python", conversation="c"))

    return run


async def test_of_several_facts_one_is_chosen_by_its_number(make_desk: MakeDesk) -> None:
    async with make_desk(played) as desk:
        run = await several(desk)
        which = await run("/forget berlin")
        assert "1. **home**: Berlin (" in which and "2. **work**" in which and "`/forget all`" in which
        assert await run("/forget 3") == "I know no fact about you that mentions “3”.", "there is no third line"
        assert await run("/forget 2") == "Forgotten: **work**: Berlin Mitte"
        assert await run("/forget 1") == "Forgotten: **home**: Berlin", (
            "the numbers are those of the list that was shown"
        )
        assert await run("/forget 1") == "That is forgotten already."
        assert await run("/forget 42") == "Forgotten: **age**: 42", "no line of the list: a word like others"
        assert "1. **name**: Ada" in await run("/memory")
        assert "Ada" in await run("/forget all") and "nothing" in await run("/memory")


@pytest.mark.parametrize("line", ["/forget 1", "/forget all", "/forget 1, 2"])
async def test_nothing_is_forgotten_where_nothing_is_known(make_desk: MakeDesk, line: str) -> None:
    async with make_desk(played) as desk:
        run = await several(desk)
        assert await run("/memory") and await run("/forget all")
        assert await run(line) == "I know nothing about you."


async def test_all_is_what_is_known_now(make_desk: MakeDesk) -> None:
    async with make_desk(played) as desk:
        run = await several(desk)
        assert await run("/memory") and await run("/forget all")
        await run("/remember pet: Rex")
        assert "1. **pet**: Rex" in await run("/forget all"), "it was on no list yet"
        assert await run("/forget all") == "Forgotten: **pet**: Rex"


async def test_numbers_mean_nothing_before_a_list_was_shown(make_desk: MakeDesk) -> None:
    async with make_desk(played) as desk:
        run = await several(desk)
        for line in ("/forget all", "/forget 4"):
            ada = (await desk.memory.people.get_or_create("ada")).id
            await desk.memory.facts.show(ada, [])
            assert "4. **age**: 42" in await run(line), "the list is shown, and nothing forgotten"
        assert await run("/forget 1, 3 4") == "Forgotten: \n\n- **home**: Berlin\n- **name**: Ada\n- **age**: 42"
        assert "1. **work**" in await run("/memory")


async def test_forgetting_me_removes_the_conversation(make_desk: MakeDesk, own_home: Path) -> None:
    async with make_desk(played) as desk:
        await desk.ask("my grandmother's recipe", conversation="c")
        gone = await desk.commands.run("/forget me yes", person="local", channel="python", conversation="c")
        assert gone == "You are forgotten. Deleted for good: messages and answers: 2, facts: 0."
        assert await desk.memory.history.messages("c") == []
        found = [path.read_bytes() for path in await asyncio.to_thread(lambda: list(own_home.glob("qwendesk.db*")))]
        assert not any(b"grandmother" in content for content in found)


def line(sequence: int, role: str, size: int) -> TurnLine:
    return TurnLine(f"{sequence}{role}", sequence, role, "x" * size * 3, None)


def test_the_newest_turns_are_never_summarised() -> None:
    lines = [line(sequence, role, 92) for sequence in range(1, 11) for role in ("user", "assistant")]
    assert [one.sequence for one in oldest_turns(lines, keep=600, read=10_000)] == [
        sequence for sequence in range(1, 8) for _ in "ab"
    ]
    assert oldest_turns(lines[-4:], keep=0, read=10_000) == []
    assert {one.sequence for one in oldest_turns(lines, keep=0, read=450)} == {1, 2}
    assert {one.sequence for one in oldest_turns(lines, keep=0, read=1)} == {1}, (
        "at least one turn, or it would never end"
    )
    assert oldest_turns([], keep=0, read=1) == []


def test_facts_fit_their_room() -> None:
    facts = [KnownFact(f"k{number}", "x" * 90) for number in range(50)]
    assert newest_facts(facts) == facts[-len(newest_facts(facts)) :] and 10 < len(newest_facts(facts)) < 25


@pytest.mark.parametrize(
    ("text", "count"),
    [('{"facts": [{"key": "a"}]}', 1), ('{"facts": [{"key": "a"', 1), ("nonsense", 0), ("[]", 0), ('{"facts": 1}', 0)],
)
def test_a_models_json_may_be_broken(text: str, count: int) -> None:
    assert len(facts_in(text)) == count


def test_only_what_was_said_becomes_a_fact() -> None:
    lines = [TurnLine("m1", 1, "user", "I live in Rome", "p"), TurnLine("m2", 2, "user", "In Berlin now", "p")]
    fact = sourced({"key": "home", "value": "Berlin", "category": "place"}, lines)
    assert fact and (fact.source_message, fact.category) == ("m2", "place")
    for item in ({"key": "home", "value": "Paris"}, {"key": 1, "value": "Rome"}, "Rome", None, {}):
        assert sourced(item, lines) is None
    other = sourced({"key": "home", "value": "Rome", "category": ["odd"]}, lines)
    assert other and other.category == "other"
