"""``Desk.ask`` for people whom a program serves: facts, conversations, limits and rules are each person's own."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from qwendesk.desk.translations import say
from qwendesk.errors import ConfigError, InputError
from qwendesk.messages import Finished, Inbound
from tests.conftest import MakeDesk


def heard(desk: Any) -> str:
    """Return all that the model was given in the last call."""
    return "\n".join(message.text for message in desk.script.calls[-1][1])


@pytest.mark.parametrize(("one", "other"), [("ann", "bob"), ("7", "77"), ("a/b", "a"), ("Ann", "ann"), ("x y", "x")])
async def test_facts_and_history_are_each_persons_own(make_desk: MakeDesk, one: str, other: str) -> None:
    async with make_desk() as desk:
        await desk.commands.run("/remember city: Bern", person=one, channel="python", conversation="c")
        await desk.ask("my number is 4711", conversation="b/c", person=one)
        await desk.ask("what do you know of me?", conversation="b/c", person=one)
        assert "Bern" in heard(desk) and "4711" in heard(desk)
        for conversation in ("b/c", "c"):
            await desk.ask("what do you know of me?", conversation=conversation, person=other)
            assert "Bern" not in heard(desk) and "4711" not in heard(desk)
        await desk.ask("what do you know of me?", conversation="b/c")
        assert "Bern" not in heard(desk) and "4711" not in heard(desk), "the owner is somebody else, too"


async def test_the_same_id_on_another_channel_is_another_person(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        await desk.commands.run("/remember city: Bern", person="ann", channel="shop", conversation="c")
        await desk.ask("what do you know?", conversation="c", person="ann", channel="shop")
        assert "Bern" in heard(desk)
        await desk.ask("what do you know?", conversation="c", person="ann", channel="forum")
        assert "Bern" not in heard(desk)


async def test_the_conversation_keeps_the_callers_name(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        reply = await desk.ask("hello there", conversation="order 7", person="ann", channel="shop")
        assert reply.conversation == "order 7"
        events = [event async for event in desk.stream("and again", conversation="order 7", person="ann")]
        assert isinstance(events[-1], Finished) and events[-1].reply.conversation == "order 7"
        assert await desk.last_turn("order 7", person="ann", channel="shop")
        assert await desk.last_turn("order 7", person="bob", channel="shop") is None
        assert [one.text for one in await desk.history("order 7", person="ann", channel="shop")][0] == "hello there"
        assert await desk.history("order 7", person="bob", channel="shop") == []
        again = await desk.retry("order 7", person="ann", channel="shop")
        assert again.conversation == "order 7" and "hello there" in heard(desk)
        with pytest.raises(InputError, match="no question yet"):
            await desk.retry("order 7", person="bob", channel="shop")


async def test_a_new_conversation_is_named(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        reply = await desk.ask("my number is 4711", person="ann")
        await desk.ask("what is it?", conversation=reply.conversation, person="ann")
        assert "4711" in heard(desk)


async def test_each_person_has_a_limit_and_the_owner_none(make_desk: MakeDesk) -> None:
    async with make_desk(messages_per_hour=2) as desk:
        for _ in range(2):
            await desk.ask("hello there", person="ann")
        with pytest.raises(InputError, match="many messages"):
            await desk.ask("hello there", person="ann")
        await desk.ask("hello there", person="bob")
        await desk.ask("hello there", person="ann", channel="shop")
        for _ in range(4):
            await desk.ask("hello there")


async def test_a_refusal_is_in_the_persons_language(make_desk: MakeDesk) -> None:
    async with make_desk(messages_per_hour=1) as desk:
        await desk.ask("37 * 91", person="ann", locale="de")
        with pytest.raises(InputError) as caught:
            await desk.ask("37 * 91", person="ann", locale="de-CH")
        assert caught.value.told == say("limited", "de", minutes=60)


async def test_the_rules_of_a_configured_channel_hold(make_desk: MakeDesk) -> None:
    rules = {"web": {"access": "allowlist", "allow": ["ann"]}, "telegram": {"owners": ["boss"]}}
    async with make_desk(channels=rules) as desk:
        await desk.ask("hello there", person="ann", channel="web")
        for asked in (Inbound("hello there", "c", channel="web"), Inbound("hello there", "bob/c", channel="web")):
            async with aclosing(desk.turns.run(asked)) as events:  # as from before the rule was set
                assert [event async for event in events]
        for stranger in ("bob", None):
            with pytest.raises(InputError, match="may not talk"):
                await desk.ask("hello there", person=stranger, channel="web")
            with pytest.raises(InputError, match="may not talk"):
                await desk.retry("c", person=stranger, channel="web")
        await desk.ask("hello there", person="boss", channel="telegram")
        with pytest.raises(InputError, match="code"):
            await desk.ask("hello there", person="bob", channel="telegram")
        await desk.ask("hello there", person="bob", channel="free")


async def test_rules_that_do_not_hold_are_said(make_desk: MakeDesk) -> None:
    async with make_desk(channels={"web": {"access": "everybody"}}) as desk:
        await desk.ask("hello there")
        with pytest.raises(ConfigError, match="everybody"):
            await desk.ask("hello there", person="ann", channel="web")


@pytest.mark.parametrize("text", ["37 * 91", "ok", "?"])
@pytest.mark.parametrize(("locale", "language"), [("de", "de"), ("pt-BR", "pt"), ("zh_Hans", "zh"), ("xx", None)])
async def test_the_locale_tells_the_language_where_the_text_does_not(
    make_desk: MakeDesk, text: str, locale: str, language: str | None
) -> None:
    async with make_desk() as desk:
        assert (await desk.ask(text, locale=locale)).receipt.language == language


async def test_the_text_goes_before_the_locale(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        reply = await desk.ask("Wie komme ich von Bern nach Zürich, und was kostet das?", locale="fr")
        assert reply.receipt.language == "de"


@pytest.mark.parametrize("person", ["", "  "])
async def test_a_person_has_a_name(make_desk: MakeDesk, person: str) -> None:
    async with make_desk() as desk:
        with pytest.raises(ConfigError, match="'person' is empty"):
            await desk.ask("hello there", person=person)


async def test_people_who_ask_at_once_are_kept_apart(make_desk: MakeDesk) -> None:
    async with make_desk(lambda messages: f"Noted: {messages[-1].text}") as desk:
        people = [f"person {number}" for number in range(8)]
        asked = [desk.ask(f"I am {person}", conversation="same", person=person) for person in people]
        replies = await asyncio.gather(*asked)
        assert [reply.text for reply in replies] == [f"Noted: I am {person}" for person in people]
        for person in people:
            await desk.ask("who am I?", conversation="same", person=person)
            assert [f"I am {other}" in heard(desk) for other in people].count(True) == 1
