"""Canned answers: written once, translated, reviewed, outdated by a change, exported and imported."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwendesk.desk.interpreter.canned import CannedAnswers, CannedText
from qwendesk.desk.interpreter.canned_exchange import exported, import_canned, translate_canned
from qwendesk.errors import ConfigError, InputError
from qwendesk.memory.memory import Memory
from tests import postgres_server
from tests.databases import put_migrated
from tests.desk.interpreter.parts import calls, translator

TEXT = "You can return the goods within 30 days."
IN_GERMAN = "Sie können die Ware innerhalb von [1] Tagen zurückgeben."
QUESTION = "How can I return something that I bought?"
QUESTION_IN_GERMAN = "Wie kann ich etwas zurückgeben, das ich gekauft habe?"


@pytest.fixture(params=["sqlite", "postgresql"])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Memory]:
    if request.param == "sqlite":
        put_migrated(tmp_path / "qwendesk.db")
        made = Memory(f"sqlite+aiosqlite:///{tmp_path / 'qwendesk.db'}")
        await made.open()
        yield made
        await made.aclose()
        return
    with postgres_server.database() as url:
        made = Memory(url)
        await made.open()
        yield made
        await made.aclose()


def model(text: str) -> str:
    return QUESTION_IN_GERMAN if text == QUESTION else IN_GERMAN


async def test_an_answer_is_translated_reviewed_and_outdated_by_a_change(memory: Memory, tmp_path: Path) -> None:
    answers, made = CannedAnswers(memory.scope), translator(tmp_path, model)
    await answers.add("/return", "en", TEXT, [QUESTION, QUESTION])
    assert await answers.find("de") == []
    await translate_canned(answers, made, await answers.get("return"), "de")
    german = (await answers.get("return")).in_language("de")
    assert german
    assert (german.text, german.status) == ("Sie können die Ware innerhalb von 30 Tagen zurückgeben.", "machine")
    assert german.questions == (QUESTION_IN_GERMAN,)
    assert await answers.find("de") == []
    assert [name for name, _ in await answers.find("de", with_unreviewed=True)] == ["return"]

    await answers.review("return", "de", "ada")
    [(name, text)] = await answers.find("de")
    assert (name, text.status, text.reviewed_by) == ("return", "reviewed", "ada")
    before = calls(made)
    again = await translate_canned(answers, made, await answers.get("return"), "de")
    assert (again.status, calls(made)) == ("same", before)

    changed = await answers.edit("return", "You can return the goods within 14 days.")
    assert changed.version == 2
    assert await answers.find("de") == []
    with pytest.raises(InputError, match="has changed"):
        await answers.review("return", "de", "ada")
    await answers.review("return", "de", "ada", "Rückgabe binnen 14 Tagen.")
    assert [text.text for _, text in await answers.find("de")] == ["Rückgabe binnen 14 Tagen."]
    assert [text.text for _, text in await answers.find("en")] == ["You can return the goods within 14 days."]


async def test_an_edit_that_changes_nothing_outdates_nothing(memory: Memory) -> None:
    answers = CannedAnswers(memory.scope)
    await answers.add("a", "en", TEXT, [QUESTION])
    assert (await answers.edit("a", TEXT)).version == 1
    assert (await answers.edit("a", questions=[])).version == 2


async def test_a_translation_of_an_older_version_is_outdated(memory: Memory) -> None:
    answers = CannedAnswers(memory.scope)
    before = await answers.add("a", "en", TEXT)
    await answers.edit("a", "Something else.")
    found = await answers.put_translation("a", before.version, CannedText("de", "Alt", (), "machine"))
    assert [text.is_outdated for text in found.texts] == [False, True]


async def test_a_translation_that_fails_is_not_stored(memory: Memory, tmp_path: Path) -> None:
    answers = CannedAnswers(memory.scope)
    answer = await answers.add("a", "en", TEXT)
    made = await translate_canned(answers, translator(tmp_path, lambda text: "nein"), answer, "de")
    assert made.status == "refused"
    assert (await answers.get("a")).in_language("de") is None


async def test_another_tenant_has_its_own_answers(memory: Memory) -> None:
    await CannedAnswers(memory.scope).add("a", "en", TEXT)
    other = memory.of_tenant("other")
    await other.open()
    assert await CannedAnswers(other.scope).listed() == []
    await CannedAnswers(other.scope).add("a", "en", "Another text.")
    assert (await CannedAnswers(memory.scope).get("a")).source.text == TEXT


@pytest.mark.parametrize("shortcut", ["", "two words", "a/b", "x" * 65])
async def test_a_faulty_shortcut_is_refused(shortcut: str, memory: Memory) -> None:
    with pytest.raises(InputError):
        await CannedAnswers(memory.scope).add(shortcut, "en", TEXT)


async def test_what_does_not_exist_or_exists_is_named(memory: Memory) -> None:
    answers = CannedAnswers(memory.scope)
    await answers.add("refund", "en", TEXT)
    with pytest.raises(InputError, match="refund"):
        await answers.get("refnud")
    with pytest.raises(InputError, match="already"):
        await answers.add("refund", "en", TEXT)
    with pytest.raises(InputError, match="'de'"):
        await answers.review("refund", "de", "ada")
    with pytest.raises(InputError, match="written in"):
        await answers.review("refund", "en", "ada", "x")
    with pytest.raises(InputError):
        await answers.add("empty", "en", "  ")
    await answers.remove("refund")
    assert await answers.listed() == []


async def test_an_export_is_imported_again(memory: Memory, tmp_path: Path) -> None:
    answers = CannedAnswers(memory.scope)
    await answers.add("a", "en", TEXT, [QUESTION])
    await translate_canned(answers, translator(tmp_path, model), await answers.get("a"), "de")
    await answers.review("a", "de", "ada")
    await answers.add("b", "ja", "三十日以内に返品できます。")
    before = exported(await answers.listed())
    for shortcut in ("a", "b"):
        await answers.remove(shortcut)
    assert await import_canned(answers, json.dumps(before)) == 2
    assert exported(await answers.listed()) == before
    assert await import_canned(answers, json.dumps(before)) == 2
    assert exported(await answers.listed()) == before


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{}",
        '[{"shortcut": "a"}]',
        '[{"shortcut": "a", "language": "en", "texts": []}]',
        '[{"shortcut": "a", "language": "en", "texts": [{"language": "de", "text": "x"}]}]',
        '[{"shortcut": "a", "language": "xx", "texts": [{"language": "xx", "text": "x"}]}]',
        '[{"shortcut": "a", "language": "en", "texts": [{"language": "en", "text": "x", "status": "good"}]}]',
    ],
)
async def test_a_faulty_import_changes_nothing(text: str, memory: Memory) -> None:
    answers = CannedAnswers(memory.scope)
    with pytest.raises(ConfigError):
        await import_canned(answers, text)
    assert await answers.listed() == []


async def test_a_machines_question_is_used_once_a_person_has_repeated_it(memory: Memory) -> None:
    answers = CannedAnswers(memory.scope)
    added = await answers.add("cancel", "en", TEXT, ["How do I cancel my booking?"])
    machine = CannedText("de", "Unter Buchungen.", ("Wie ändere ich meine Buchung?",), "machine")
    await answers.put_translation("cancel", added.version, machine)
    assert [text.questions for _, text in [*await answers.find("de")]] == []
    await answers.review("cancel", "de", "ada")
    assert [text.questions for _, text in await answers.find("de")] == [()]
    right = "Wie storniere ich meine Buchung?"
    await answers.review("cancel", "de", "ada", questions=[right])
    assert [text.questions for _, text in await answers.find("de")] == [(right,)]
    await answers.review("cancel", "de", "ada", "Im Konto.")
    assert [text.questions for _, text in await answers.find("de")] == [(right,)]
    await answers.edit("cancel", questions=["How do I change my booking?"])
    await answers.review("cancel", "de", "ada", "Im Konto ändern.")
    assert [text.questions for _, text in await answers.find("de")] == [()]
