"""A document's way: sent with a message, kept for its conversation, found, cited, forgotten with its writer."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, ToolMessage
from typer.testing import CliRunner

from qwendesk import Desk, Settings
from qwendesk.channel_wiring import make_channel
from qwendesk.channels.base import Channel
from qwendesk.cli.main import app
from qwendesk.desk.turns.attachments import read_document
from qwendesk.desk.turns.knowledge import MAX_DOCUMENTS, MAX_PASSAGES_EMBEDDED_AT_ONCE, MessageDocuments
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.errors import EngineUnavailable, InputError
from qwendesk.messages import Attachment, Event, Finished, Inbound, Notice, Reply, TextDelta
from qwendesk.plugins import load
from qwendesk.service import Service
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.telegram import TelegramSimulator
from qwendesk.testing.simulators.webhook import WebhookSimulator
from tests.conftest import MakeDesk
from tests.databases import put_migrated
from tests.knowledge.conftest import WordVectors
from tests.knowledge.files import archive, docx, paragraph, pdf, xlsx
from tests.knowledge.test_readers import ENCRYPTED
from tests.ports import free_port

WARRANTY = "The warranty of the kettle lasts five years."
PDF = Attachment("document", "application/pdf", pdf("Chapter one", WARRANTY), "handbook.pdf")
LOCKED = Attachment("document", "application/pdf", ENCRYPTED, "secret.pdf")


def reads(messages: list[BaseMessage]) -> str:
    """Answer with the passages that the message or the search has shown."""
    last = messages[-1]
    if isinstance(last, ToolMessage) or "came with this message" in last.text:
        return "\n".join(["I read:", *re.findall(r"^(?:\[\d+\] |>).*", last.text, re.MULTILINE)])
    return '<tool_call>{"name": "search_knowledge", "arguments": {"query": "warranty of the kettle"}}</tool_call>'


async def listen(desk: Desk, inbound: Inbound) -> tuple[Reply, list[Event]]:
    events = [event async for event in desk.turns.run(inbound)]
    assert isinstance(events[-1], Finished)
    return events[-1].reply, events


async def test_a_document_is_read_before_the_answer_and_cited(make_desk: MakeDesk) -> None:
    async with make_desk(reads, embedder="none") as desk:
        asked = Inbound("How long is the warranty of the kettle?", "c", (PDF,), person="ann")
        reply, events = await listen(desk, asked)
        assert f"[1] handbook.pdf, page 2\n> {WARRANTY}" in reply.text
        assert reply.receipt.notes == ("read handbook.pdf (2 passages)",)
        assert any(isinstance(event, Notice) and "Reading handbook.pdf" in event.text for event in events)
        again, _ = await listen(desk, replace(asked, text="The same once more: how long is the warranty?"))
        assert WARRANTY in again.text and again.receipt.notes == ("read handbook.pdf",)
        later, _ = await listen(desk, Inbound("And what is the warranty again?", "c", person="ann"))
        assert WARRANTY in later.text and later.receipt.tools[0].name == "search_knowledge"


async def test_it_is_the_knowledge_of_its_conversation_alone(make_desk: MakeDesk) -> None:
    async with make_desk(reads, embedder="none") as desk:
        await listen(desk, Inbound("Please read", "c", (PDF,), person="ann"))
        for person, conversation in (("ann", "another"), ("eve", "c2")):
            reply, _ = await listen(desk, Inbound("What is the warranty?", conversation, person=person))
            assert WARRANTY not in reply.text


@pytest.mark.parametrize(
    "file",
    [
        Attachment("document", "", docx(paragraph(WARRANTY)), "handbook.docx"),
        Attachment("document", "text/plain", WARRANTY.encode("utf-16"), "handbook.txt"),
        Attachment("document", "", xlsx([["Product", "Years"], ["kettle warranty", 5]]), "handbook.xlsx"),
        Attachment("document", "text/csv", b"Product,Years\nkettle warranty,5\n", ""),
    ],
)
async def test_kinds_of_documents(make_desk: MakeDesk, file: Attachment) -> None:
    async with make_desk(reads, embedder="none") as desk:
        reply, _ = await listen(desk, Inbound("What about the kettle warranty?", "c", (file,)))
    assert f"[1] {file.name or 'document'}" in reply.text and "kettle" in reply.text


async def test_a_document_alone_is_introduced(make_desk: MakeDesk) -> None:
    async with make_desk(reads, embedder="none") as desk:
        await listen(desk, Inbound("", "c", (PDF,)))
        prompt = desk.script.calls[0][1][-1].text  # type: ignore[attr-defined]
    assert "Nothing was asked" in prompt and "[1] handbook.pdf, page 1\n> Chapter one" in prompt


@pytest.mark.parametrize(
    ("data", "name", "told"),
    [
        (ENCRYPTED, "a.pdf", "Passwort"),
        (pdf(""), "a.pdf", "Bilder von Text"),
        (b"%PDF-1.7 garbage", "a.pdf", "beschädigt"),
        (b"MZ\x90\x00\x03\x00", "a.exe", "die ich nicht kenne"),
        (b"  ", "a.txt", "kein Text"),
        (pdf(*["x"] * 5_001), "a.pdf", "zu groß"),
        (archive({str(number): "" for number in range(10_001)}), "a.docx", "zu groß"),
        (b"some words\n" * 1_900_000, "a.txt", "zu groß"),
    ],
)
async def test_what_cannot_be_read_is_told_in_the_persons_language(
    make_desk: MakeDesk, data: bytes, name: str, told: str
) -> None:
    bad = Attachment("document", "", data, name)
    async with make_desk(lambda _: "Gut.", embedder="none") as desk:
        reply, events = await listen(desk, Inbound("Wie lange gilt die Garantie für den Kessel?", "c", (bad,)))
        assert desk.knowledge and not await desk.knowledge.base.documents(), "nothing of it is kept"
        (_, messages, _) = desk.script.calls[0]  # type: ignore[attr-defined]
        assert "1 of the documents that came with this message could not be read" in messages[-1].text
    answer, _, line = reply.text.partition("\n\n")
    assert answer == "Gut." and name in line and told in line and "\n" not in line
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == reply.text


async def test_nothing_but_what_cannot_be_read_is_refused_without_a_model(make_desk: MakeDesk) -> None:
    async with make_desk(["never asked"], embedder="none") as desk:
        with pytest.raises(InputError, match=r"Ich lese|secret\.pdf konnte ich nicht lesen"):
            await listen(desk, Inbound("", "c", (LOCKED,), locale="de"))
        assert not desk.script.calls  # type: ignore[attr-defined]


async def test_too_many_and_too_slow_ones_do_not_hold_up_the_answer(make_desk: MakeDesk) -> None:
    many = tuple(Attachment("document", "", b"text", f"{number}.txt") for number in range(MAX_DOCUMENTS + 1))
    async with make_desk(lambda _: "Yes.", embedder="none") as desk:
        reply, _ = await listen(desk, Inbound("All there?", "c", many))
        assert reply.text.count("at most 10 documents") == 1 and f"{MAX_DOCUMENTS}.txt" in reply.text
        assert desk.knowledge
        slow = MessageDocuments(desk.knowledge, timeout_seconds=0)
        taken = await slow.ingest(Inbound("Is it there?", "c", (PDF,)), "en", lambda notice: None)
        assert "Passages of it" not in taken.prompt and "too large" in taken.problems[0]


async def test_a_long_document_is_found_by_words_at_once_and_embedded_after_the_turn(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = WordVectors()
    monkeypatch.setattr("qwendesk.wiring.make_embedder", lambda parts: _Closing(vectors))
    pages = [f"Page about subject{number}" for number in range(MAX_PASSAGES_EMBEDDED_AT_ONCE + 1)]
    long = Attachment("document", "", pdf(*pages), "long.pdf")
    async with make_desk(reads) as desk:
        reply, _ = await listen(desk, Inbound("What about subject7 then?", "c", (long,)))
        assert "Page about subject7" in reply.text and not vectors.embedded
        assert desk.knowledge and desk.turns
        await desk.turns.background.wait()
        state = await desk.knowledge.base.state()
        assert state.embedded == state.passages == MAX_PASSAGES_EMBEDDED_AT_ONCE + 1
        vectors.is_away = True
        reply, _ = await listen(desk, Inbound("How long is the warranty?", "c", (PDF,)))
        assert WARRANTY in reply.text, "an embedding server that is away does not fail the turn"
        await desk.turns.background.wait()
        vectors.is_away = False
        await listen(desk, Inbound("Thank you.", "c"))
        await desk.turns.background.wait()
        state = await desk.knowledge.base.state()
        assert state.embedded == state.passages > MAX_PASSAGES_EMBEDDED_AT_ONCE + 1, (
            "what it was away for is done once it is back"
        )


class _Closing:
    """The test's vectors, as an engine that is closed with the desk."""

    def __init__(self, vectors: WordVectors) -> None:
        self._vectors = vectors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vectors, name)

    async def aclose(self) -> None:
        if False:
            raise EngineUnavailable("")


async def test_it_goes_with_its_writer(make_desk: MakeDesk) -> None:
    async with make_desk(reads, embedder="none") as desk:
        await listen(desk, Inbound("Please read", "c", (PDF,), person="ann"))
        assert desk.knowledge and await desk.knowledge.base.documents()
        await desk.commands.run("/forget me", person="ann", channel="python", conversation="c")
        await desk.commands.run("/forget me yes", person="ann", channel="python", conversation="c")
        assert not await desk.knowledge.base.documents()


@pytest.mark.parametrize(("name", "simulator"), [("telegram", TelegramSimulator), ("webhook", WebhookSimulator)])
async def test_documents_come_over_channels(tmp_path: Path, name: str, simulator: Any) -> None:
    port = free_port()
    async with simulator() as platform:
        platform.desk_url = f"http://127.0.0.1:{port}"
        values = platform.settings()
        settings = Settings(
            home=tmp_path, engine="scripted", embedder="none", port=port, channels={name: values | {"access": "open"}}
        )
        kind: type[Channel] = load("channels", name)  # type: ignore[assignment]
        channel = make_channel(kind, values, settings)
        put_migrated(settings.data_dir / "qwendesk.db")
        desk = Desk(settings, engines={"scripted": ScriptedEngine(reads)})
        async with desk, Service(settings, channels={name: channel}, desk=desk):
            await platform.wait_started()
            await platform.write(UserMessage("How long is the warranty of the kettle?", files=(PDF,)))
            await platform.wait_until(
                lambda seen: any("handbook.pdf" in text and WARRANTY in text for text in seen.texts())
            )
            await platform.write(UserMessage("und das hier?", files=(LOCKED,), locale="de"))
            await platform.wait_until(lambda seen: any("mit einem Passwort geschützt" in text for text in seen.texts()))
            assert desk.knowledge
            (document,) = await desk.knowledge.base.documents()
            assert "person=" in document.scope and "conversation=" in document.scope


def test_chat_takes_files(tmp_path: Path) -> None:
    (tmp_path / "handbook.pdf").write_bytes(PDF.data)
    done = CliRunner().invoke(
        app, ["chat", "--engine", "scripted", "--file", str(tmp_path / "handbook.pdf"), "-m", "hello", "--json"]
    )
    assert "read handbook.pdf (2 passages)" in json.loads(done.stdout)["receipt"]["notes"]
    gone = CliRunner().invoke(app, ["chat", "--engine", "scripted", "--file", str(tmp_path / "no.pdf"), "-m", "x"])
    assert gone.exit_code == 1 and "cannot be read: No such file" in gone.stderr


async def test_what_is_sent_has_a_limit_and_a_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="larger than"):
        await read_document(await asyncio.to_thread(bytes, 20 * 2**20 + 1))
    with pytest.raises(InputError, match="is not a file"):
        await read_document(tmp_path)
    await asyncio.to_thread((tmp_path / "a.csv").write_text, "a,b")
    assert (await read_document(tmp_path / "a.csv")).mime == "text/csv"
