"""Messages of tickets for their readers: translated once, stored with the original, delivered."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from qwendesk.desk.interpreter.canned import CannedAnswers
from qwendesk.desk.interpreter.interpreter import Interpreter, OriginalMessage
from qwendesk.desk.interpreter.stored import StoredTranslations
from qwendesk.desk.interpreter.translator import ModelTranslator, languages_of_text
from qwendesk.errors import EngineUnavailable
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.conversations import Message
from qwendesk.memory.tables.tickets import MessageTranslation
from qwendesk.text_caches import Forgotten
from tests.databases import put_migrated
from tests.desk.interpreter.parts import calls, given, translator
from tests.desk.parts import Running, running
from tests.desk.tickets.operators import add_operator
from tests.memory.talk import say

JAPANESE = "注文番号 JP-2231 の商品がまだ届きません。"
GERMAN = "Die Ware der Bestellung JP-2231 ist noch nicht angekommen."


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    file = tmp_path / "qwendesk.db"
    put_migrated(file)
    made = Memory(f"sqlite+aiosqlite:///{file}")
    await made.open()
    yield made
    await made.aclose()


async def written(memory: Memory, *texts: str) -> list[str]:
    """Store messages of one conversation and return their ids."""
    for text in texts:
        await say(memory, text, "ok")
    async with memory.scope.read() as connection:
        rows = await connection.execute(select(Message.id).where(Message.role == "user").order_by(Message.id))
        return [row.id for row in rows]


def interpreter(memory: Memory, made: ModelTranslator) -> Interpreter:
    return Interpreter(made, StoredTranslations(memory.scope), made.settings)


async def stored(memory: Memory) -> list[Any]:
    columns: tuple[Any, ...] = (
        MessageTranslation.language,
        MessageTranslation.text,
        MessageTranslation.status,
        MessageTranslation.doubts,
    )
    async with memory.scope.read() as connection:
        return [tuple(row) for row in await connection.execute(select(*columns).order_by(MessageTranslation.id))]


async def test_a_message_is_translated_once_and_stored(memory: Memory, tmp_path: Path) -> None:
    [id_] = await written(memory, JAPANESE)
    made = translator(tmp_path, lambda text: GERMAN)
    first = await interpreter(memory, made).interpret_for_operator(OriginalMessage(JAPANESE, id_, "ja"), "de")
    again = await interpreter(memory, made).interpret_for_operator(OriginalMessage(JAPANESE, id_, "ja"), "de-AT")
    assert (first.status, first.text, again.text, again.status) == ("done", GERMAN, GERMAN, "done")
    assert calls(made) == 1
    assert await stored(memory) == [("de", GERMAN, "done", [])]


async def test_the_same_text_in_a_conversation_is_not_translated_again(memory: Memory, tmp_path: Path) -> None:
    one, two = await written(memory, JAPANESE, JAPANESE)
    made = translator(tmp_path, lambda text: GERMAN)
    for id_ in (one, two):
        found = await interpreter(memory, made).interpret_for_operator(OriginalMessage(JAPANESE, id_, "ja"), "de")
        assert found.text == GERMAN
    assert calls(made) == 1


async def test_many_readers_at_once_cause_one_translation(memory: Memory, tmp_path: Path) -> None:
    made = translator(tmp_path, lambda text: GERMAN)
    made.pool.engine("scripted").delay = 0.02  # type: ignore[attr-defined]
    reader = interpreter(memory, made)
    message = OriginalMessage(JAPANESE, None, "ja")
    found = await asyncio.gather(*(reader.interpret_for_operator(message, "de") for _ in range(10)))
    assert {one.text for one in found} == {GERMAN}
    await reader.interpret_for_operator(message, "de")
    assert calls(made) == 1
    await reader.drop(Forgotten(None))
    await reader.interpret_for_operator(message, "de")
    assert calls(made) == 2


async def test_a_reader_who_goes_away_does_not_stop_the_others(memory: Memory, tmp_path: Path) -> None:
    made = translator(tmp_path, lambda text: GERMAN)
    made.pool.engine("scripted").delay = 0.02  # type: ignore[attr-defined]
    reader = interpreter(memory, made)
    message = OriginalMessage(JAPANESE, None, "ja")
    first = asyncio.create_task(reader.interpret_for_operator(message, "de"))
    second = asyncio.create_task(reader.interpret_for_operator(message, "de"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).text == GERMAN


async def test_a_refused_translation_is_kept_with_its_reason(memory: Memory, tmp_path: Path) -> None:
    [id_] = await written(memory, JAPANESE)
    made = translator(tmp_path, lambda text: "Ich helfe Ihnen gern.")
    message = OriginalMessage(JAPANESE, id_, "ja")
    first = await interpreter(memory, made).interpret_for_operator(message, "de")
    number = calls(made)
    again = await interpreter(memory, made).interpret_for_operator(message, "de")
    assert (first.status, again.status, again.text) == ("refused", "refused", JAPANESE)
    assert again.reason == first.reason != ""
    assert calls(made) == number


async def test_what_no_model_answered_is_tried_again(memory: Memory, tmp_path: Path) -> None:
    [id_] = await written(memory, JAPANESE)
    is_away = True

    def model(text: str) -> str:
        if is_away:
            raise EngineUnavailable("The server is away.")
        return GERMAN

    reader = interpreter(memory, translator(tmp_path, model))
    message = OriginalMessage(JAPANESE, id_, "ja")
    assert (await reader.interpret_for_operator(message, "de")).status == "failed"
    assert [row[2] for row in await stored(memory)] == ["failed"]
    is_away = False
    assert (await reader.interpret_for_operator(message, "de")).text == GERMAN
    assert [row[2] for row in await stored(memory)] == ["done"]


async def test_a_message_that_is_deleted_meanwhile_gets_no_translation(memory: Memory, tmp_path: Path) -> None:
    [id_] = await written(memory, JAPANESE)
    async with memory.scope.write() as connection:
        await connection.execute(delete(Message))
    made = translator(tmp_path, lambda text: GERMAN)
    found = await interpreter(memory, made).interpret_for_operator(OriginalMessage(JAPANESE, id_, "ja"), "de")
    assert found.text == GERMAN
    assert await stored(memory) == []


@pytest.mark.parametrize(
    ("settings", "language", "status"),
    [
        ({"enabled": False}, "de", "off"),
        ({"languages": ["ko"]}, "de", "off"),
        ({"languages": ["ja-JP"]}, "de", "done"),
        ({}, None, "off"),
        ({}, "tlh", "off"),
        ({}, "ja", "same"),
    ],
)
async def test_what_is_not_translated_is_shown_as_it_is(
    settings: dict[str, Any], language: str | None, status: str, memory: Memory, tmp_path: Path
) -> None:
    made = translator(tmp_path, lambda text: GERMAN, **settings)
    found = await interpreter(memory, made).interpret_for_operator(OriginalMessage(JAPANESE, None, "ja"), language)
    assert found.status == status
    assert found.text == (GERMAN if status == "done" else JAPANESE)


async def test_a_broken_glossary_does_not_stop_a_message(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "glossary.csv").write_text("keep,en\n,one,two,three\n", "utf-8")
    made = translator(tmp_path, lambda text: GERMAN)
    found = await interpreter(memory, made).interpret_for_operator(OriginalMessage(JAPANESE, None, "ja"), "de")
    assert (found.status, found.text) == ("failed", JAPANESE)
    assert "glossary.csv" in found.reason


REPLY = "Hallo, ich bin Ada. Ihre Bestellung JP-2231 kommt morgen an."
REPLY_IN_JAPANESE = "こんにちは、[1]です。ご注文[2]は明日届きます。"


def bot(messages: Any) -> str:
    """Answer customers, and translate the operator's message."""
    if "<text>" not in messages[-1].text:
        return "はい"
    assert given(messages) == "Hallo, ich bin [1]. Ihre Bestellung [2] kommt morgen an."
    return json.dumps({"translation": REPLY_IN_JAPANESE})


async def replied(desk: Running, text: str, languages: list[str]) -> None:
    ada = await add_operator(desk.runtime.database, "ada", languages=languages)
    await desk.say(JAPANESE)
    await desk.settle()
    id_ = await desk.runtime.inbox.conversation_id("test", "", "c1")
    assert id_
    ticket = (await desk.runtime.ticket_queries.of_conversation(id_))[0]
    await desk.runtime.tickets.reply(ticket.id, ada, text, key="k1")
    await desk.settle()


async def test_an_operators_message_is_delivered_in_the_customers_language(tmp_path: Path) -> None:
    async with running(tmp_path, bot, translates=True) as desk:
        await replied(desk, REPLY, ["de"])
        assert desk.outlet.texts[-1] == "こんにちは、Adaです。ご注文JP-2231は明日届きます。"
        id_ = await desk.runtime.inbox.conversation_id("test", "", "c1")
        assert id_
        ticket = (await desk.runtime.ticket_queries.of_conversation(id_))[0]
        message = (await desk.runtime.ticket_queries.thread(ticket.id)).messages[-1]
        assert (message.role, message.text) == ("operator", REPLY)
        assert [(one.language, one.status) for one in message.translations] == [("ja", "done")]


async def test_an_operators_message_in_the_customers_language_is_not_translated(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: "はい", translates=True) as desk:
        await replied(desk, "ご注文の商品は明日届きます。お待ちください。", ["ja"])
        assert desk.outlet.texts[-1] == "ご注文の商品は明日届きます。お待ちください。"
        async with desk.runtime.database.read() as connection:
            number = await connection.execute(select(func.count(MessageTranslation.id)))
            assert number.scalar_one() == 0


async def test_an_operators_message_that_cannot_be_translated_goes_out_as_it_was_written(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: "はい", translates=True) as desk:
        await replied(desk, REPLY, ["de"])
        assert desk.outlet.texts[-1] == REPLY


async def test_a_greeting_in_the_customers_language_goes_out_as_it_was_written(tmp_path: Path) -> None:
    def model(messages: Any) -> str:
        assert "<text>" not in messages[-1].text
        return "Certo."

    async with running(tmp_path, model, translates=True) as desk:
        ada = await add_operator(desk.runtime.database, "greta", languages=["de", "it"])
        await desk.say("Buongiorno, il mio ordine non è ancora arrivato e vorrei sapere dove si trova.")
        await desk.settle()
        id_ = await desk.runtime.inbox.conversation_id("test", "", "c1")
        assert id_
        ticket = (await desk.runtime.ticket_queries.of_conversation(id_))[0]
        await desk.runtime.tickets.reply(ticket.id, ada, "Buongiorno, sono Greta.", key="k1")
        await desk.settle()
        assert desk.outlet.texts[-1] == "Buongiorno, sono Greta."


async def test_a_reviewed_canned_answer_goes_out_instead_of_a_machines_translation(
    tmp_path: Path, memory: Memory
) -> None:
    canned = CannedAnswers(memory.scope)
    await canned.add("refund", "en", "You get your money back within 14 days.")
    await canned.review("refund", "de", "ada", "Sie bekommen Ihr Geld in 14 Tagen zurück.")
    made = translator(tmp_path, lambda text: GERMAN)
    one = Interpreter(made, StoredTranslations(memory.scope), made.settings, canned)
    for text, language in (
        ("You get your money back within 14 days.\n", "de"),
        ("Sie bekommen Ihr Geld in 14 Tagen zurück.", "en"),
    ):
        sent = await one.interpret_for_customer(OriginalMessage(text), language)
        assert sent.status == "done" and sent.text != text and "14" in sent.text
    assert calls(made) == 0
    reviewed = "Sie bekommen Ihr Geld in 14 Tagen zurück."
    edited = OriginalMessage("You get your money back within 15 days.", language="en")
    assert (await one.interpret_for_customer(edited, "de")).text != reviewed
    await canned.edit("refund", "You get your money back within 10 days.")
    outdated = OriginalMessage("You get your money back within 10 days.", language="en")
    assert (await one.interpret_for_customer(outdated, "de")).text != reviewed
    assert calls(made) > 0


async def test_a_canned_text_stands_for_another_only_where_a_person_says_so(tmp_path: Path, memory: Memory) -> None:
    canned = CannedAnswers(memory.scope)
    for shortcut, german in (("refund", "Ja, gern."), ("visit", "Ja, kommen Sie."), ("call", "Ja, gern.")):
        await canned.add(shortcut, "en", "Yes, of course.")
        await canned.review(shortcut, "de", "ada", german)
    assert await canned.counterpart("Yes, of course.", "de") is None, "two answers say different things"
    await canned.remove("visit")
    found = await canned.counterpart(" Yes, of course.\n", "de")
    assert found and found.text == "Ja, gern."
    await canned.edit("refund", "No, never.")
    found = await canned.counterpart("Ja, gern.", "en")
    assert found and found.text == "Yes, of course.", "the outdated translation of the other one says nothing"
    await canned.remove("call")
    assert await canned.counterpart("Ja, gern.", "en") is None
    made = translator(tmp_path, lambda text: GERMAN)
    one = Interpreter(made, StoredTranslations(memory.scope), made.settings, canned)
    await canned.review("refund", "de", "ada", "Nein, niemals.")
    read = await one.interpret_for_operator(OriginalMessage("No, never.", language="en"), "de")
    assert read.text != "Nein, niemals.", "only what goes out is looked up"


SPANISH = "El paquete llegará mañana por la tarde a su casa."
QUOTED = "Das Paket kommt morgen Nachmittag zu Ihnen nach Hause."


@pytest.mark.parametrize(
    ("own", "language", "expected"),
    [
        ("Stimmt das wirklich, was in dieser Nachricht steht?", "de", None),
        (
            "Est-ce que ce message que je viens de recevoir est vrai ?",
            "fr",
            "Ist die Nachricht, die ich gerade bekommen habe, wahr?",
        ),
    ],
)
async def test_a_quote_in_another_language_is_read_too(
    tmp_path: Path, own: str, language: str, expected: str | None
) -> None:
    made = translator(tmp_path, lambda text: QUOTED if "paquete" in text else expected or "")
    text = f"> {SPANISH}\n\n{own}"
    assert languages_of_text(text, None) == {"es", language}
    done = await made.translate(text, "de", language)
    assert (done.status, done.source_language) == ("done", language)
    assert done.text == f"> {QUOTED}\n\n{expected or own}"
