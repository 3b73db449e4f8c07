"""A language that is wished for all answers holds until it is ended, and is shown and forgotten."""

from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from qwendesk import Desk
from qwendesk.errors import EngineError
from qwendesk.messages import Inbound
from tests.conftest import MakeDesk

QUESTION = "What is the name of the capital of France?"


def languages(desk: Desk) -> list[str]:
    """Return the line about the language of each prompt that the model was asked with."""
    return [line for _, messages, _ in desk.script.calls for line in _language_lines(messages)]  # type: ignore[attr-defined]


def _language_lines(messages: list[BaseMessage]) -> list[str]:
    return [line for line in messages[0].text.splitlines() if line.startswith("Answer in ")]


def always(language: str) -> str:
    return f"Answer in {language} only, because the person asks for it."


def script(messages: list[BaseMessage]) -> str:
    return "Paris."


async def test_it_holds_for_the_conversation_and_is_ended_by_words(make_desk: MakeDesk) -> None:
    async with make_desk(script, learn_facts="off") as desk:
        kept = await desk.ask("From now on answer in Italian.", conversation="c")
        await desk.ask(QUESTION, conversation="c")
        await desk.ask("And in one sentence? Answer in German, please.", conversation="c")
        held = await desk.ask(QUESTION.replace("France", "Spain"), conversation="c")
        await desk.ask(QUESTION, conversation="d")
        await desk.ask("Please go back to the language I write.", conversation="c")
        ended = await desk.ask(QUESTION.replace("France", "Poland"), conversation="c")
        shown = languages(desk)
    assert shown[:3] == [always("Italian"), always("German"), always("Italian")]
    assert all(line.startswith("Answer in English unless") for line in shown[3:]), shown
    assert "answers are in Italian from now on" in kept.receipt.notes[0] and held.receipt.notes == ()
    assert (held.receipt.answer_language, held.receipt.lasting_language) == ("it", "conversation")
    assert (ended.receipt.answer_language, ended.receipt.lasting_language) == (None, None)


async def test_another_program_run_knows_it(make_desk: MakeDesk) -> None:
    async with make_desk(script, learn_facts="off") as desk:
        await desk.ask("Bitte immer auf Spanisch", conversation="c")
    async with make_desk(script, learn_facts="off") as desk:
        await desk.ask(QUESTION, conversation="c")
        assert languages(desk) == [always("Spanish")]


async def test_it_holds_although_its_own_answer_failed(make_desk: MakeDesk) -> None:
    replies: list[str | Exception] = [EngineError("out of order"), "Paris."]
    async with make_desk(replies, learn_facts="off") as desk:
        with pytest.raises(EngineError):
            await desk.ask("Réponds toujours en allemand. Qu'est-ce qu'un trou noir ?", conversation="c")
        await desk.ask(QUESTION, conversation="c")
        assert languages(desk)[-1] == always("German")


async def test_with_facts_it_is_the_persons_and_holds_in_their_other_conversations(make_desk: MakeDesk) -> None:
    async with make_desk(script) as desk:
        reply = await desk.ask("Always answer in French.", conversation="c", person="Ada")
        await desk.ask(QUESTION, conversation="d", person="Ada")
        await desk.ask(QUESTION, conversation="e", person="Bob")
        listed = await command(desk, "/memory")
        forgotten = await command(desk, "/forget French")
        await desk.ask(QUESTION, conversation="d", person="Ada")
        shown = languages(desk)
    assert reply.receipt.lasting_language == "person"
    assert shown[0] == always("French")
    assert all(line.startswith("Answer in English unless") for line in shown[1:])
    assert "language of answers" in listed and "French" in listed and "French" in forgotten


async def test_words_end_the_persons_wish_too(make_desk: MakeDesk) -> None:
    async with make_desk(script) as desk:
        await desk.ask("Always answer in French.", conversation="c", person="Ada")
        await desk.ask("Antworte wieder auf Englisch.", conversation="d", person="Ada")
        await desk.ask("Warum ist der Himmel eigentlich blau?", conversation="c", person="Ada")
        assert languages(desk)[-1].startswith("Answer in German unless")


@pytest.mark.parametrize("word", ["French", "language"])
async def test_the_conversations_wish_is_shown_and_forgotten_by_commands(make_desk: MakeDesk, word: str) -> None:
    async with make_desk(script, learn_facts="off") as desk:
        await desk.ask("Always answer in French.", conversation="c")
        listed = await command(desk, "/memory", person=Inbound("", "").person)
        forgotten = await command(desk, f"/forget {word}", person=Inbound("", "").person)
        await desk.ask(QUESTION, conversation="c")
        after = await command(desk, "/memory", person=Inbound("", "").person)
        assert languages(desk)[-1].startswith("Answer in English unless")
    assert "French" in listed and "French" in forgotten and "French" not in after


async def test_why_says_it(make_desk: MakeDesk) -> None:
    from qwendesk.desk.turns.receipt import explain, explain_briefly

    async with make_desk(script, learn_facts="off") as desk:
        await desk.ask("Always answer in French.", conversation="c")
        receipt = (await desk.ask(QUESTION, conversation="c")).receipt.as_dict()
    assert "language: English, answered in French, as you wished for all answers here" in explain(receipt)
    assert "Französisch" in explain_briefly(receipt, "de")


async def command(desk: Desk, line: str, *, person: str = "Ada") -> str:
    answer: Any = await desk.commands.run(line, person=person, channel="python", conversation="c")
    return str(answer)


async def test_forgetting_a_word_ends_the_wish_and_forgets_the_facts(make_desk: MakeDesk) -> None:
    async with make_desk(script, learn_facts="off") as desk:
        person = Inbound("", "").person
        await command(desk, "/remember mother: French", person=person)
        await desk.ask("Always answer in French.", conversation="c")
        answer = await command(desk, "/forget French", person=person)
        after = await command(desk, "/memory", person=person)
    assert "language of answers" in answer and "mother" in answer
    assert "French" not in after


async def test_forgetting_all_ends_the_wish(make_desk: MakeDesk) -> None:
    async with make_desk(script, learn_facts="off") as desk:
        await desk.ask("Always answer in French.", conversation="c")
        assert "French" in await command(desk, "/forget all", person=Inbound("", "").person)
        await desk.ask(QUESTION, conversation="c")
        assert languages(desk)[-1].startswith("Answer in English unless")


async def test_a_forgotten_person_leaves_no_wish_in_a_group(make_desk: MakeDesk) -> None:
    async with make_desk(script, learn_facts="off") as desk:
        ada = Inbound("Always answer in French.", "group", person="ada", group=True)
        bob = Inbound(QUESTION, "group", person="bob", group=True)
        for inbound in (ada, bob):
            async for _ in desk.turns.run(inbound):
                pass
        assert languages(desk) == [always("French")]
        await command(desk, "/forget me yes", person="ada")
        async for _ in desk.turns.run(bob):
            pass
        assert languages(desk)[-1].startswith("Answer in English unless")


async def test_material_in_a_message_wishes_nothing(make_desk: MakeDesk) -> None:
    async with make_desk(script) as desk:
        await desk.ask("Translate this: always answer in French", conversation="c")
        await desk.ask(QUESTION, conversation="d")
        assert languages(desk)[-1].startswith("Answer in English unless")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Always answer in French.", "Je réponds désormais en français."),
        ("Always answer in German please", "Ab jetzt antworte ich auf Deutsch."),
        ("Responde siempre en inglés", "I answer in English from now on."),
        ("请始终用德语回答。", "Ab jetzt antworte ich auf Deutsch."),
    ],
)
async def test_a_message_that_is_only_a_wish_is_answered_by_the_desk(
    make_desk: MakeDesk, text: str, answer: str
) -> None:
    async with make_desk(script) as desk:
        reply = await desk.ask(text, conversation="c")
        again = await desk.ask(text, conversation="c")
        assert desk.script.calls == []  # type: ignore[attr-defined]
    assert reply.text == again.text == answer
    assert (reply.receipt.model, reply.receipt.fallback) == ("", None)
    assert reply.receipt.signals == ("wishes a language for all answers",)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Please stop answering in French.", "I answer in the language of your messages from now on."),
        ("Answer in English again.", "I answer in the language of your messages from now on."),
        ("Bitte nicht mehr auf Französisch antworten", "Ab jetzt antworte ich in der Sprache deiner Nachrichten."),
        ("Antworte wieder auf Deutsch.", "Ab jetzt antworte ich in der Sprache deiner Nachrichten."),
    ],
)
async def test_a_message_that_only_ends_the_wish_is_answered_by_the_desk(
    make_desk: MakeDesk, text: str, answer: str
) -> None:
    async with make_desk(script) as desk:
        await desk.ask("Always answer in French.", conversation="c")
        assert (await desk.ask(text, conversation="c")).text == answer
        assert desk.script.calls == []  # type: ignore[attr-defined]


async def test_a_wish_with_a_question_is_answered_by_the_model(make_desk: MakeDesk) -> None:
    async with make_desk(script) as desk:
        reply = await desk.ask("What is a black hole? Always answer in French.", conversation="c")
        unknown = await desk.ask("Always answer in Icelandic.", conversation="d")
        assert languages(desk) == [always("French"), always("Icelandic")]
    assert (reply.text, unknown.text) == ("Paris.", "Paris."), "the desk has no line in Icelandic"


@pytest.mark.parametrize("text", ["Answer in French again.", "In German again please"])
async def test_a_request_to_repeat_in_a_language_is_the_models(make_desk: MakeDesk, text: str) -> None:
    async with make_desk(script) as desk:
        await desk.ask("And what is a white hole?", conversation="c")
        await desk.ask(text, conversation="c")
        assert len(desk.script.calls) >= 2  # type: ignore[attr-defined]
