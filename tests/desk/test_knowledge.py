"""Documents in a conversation: the tool is there when they are, and shows each person only what is theirs."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage

from qwendesk import Settings
from qwendesk.cli.doctor.checks import examine
from qwendesk.desk.turns.receipt import explain
from qwendesk.memory.records import EVERYBODY
from qwendesk.messages import Attachment, Finished, Inbound
from qwendesk.models.card import ModelCard
from tests.conftest import MakeDesk


def asks(messages: list[BaseMessage]) -> str:
    """Search first, and answer with what the search has shown."""
    last = messages[-1]
    if isinstance(last, ToolMessage):
        return last.text
    return '<tool_call>{"name": "search_knowledge", "arguments": {"query": "secret"}}</tool_call>'


async def say(desk: Any, text: str, person: str, conversation: str) -> str:
    async for event in desk.turns.run(Inbound(text, conversation, person=person)):
        if isinstance(event, Finished):
            return event.reply.text
    raise AssertionError("no reply")


async def test_each_person_is_shown_only_what_is_theirs(make_desk: MakeDesk) -> None:
    async with make_desk(asks, embedder="none") as desk:
        assert desk.knowledge
        await desk.knowledge.base.add_bytes("all.txt", b"everybody's secret", EVERYBODY)
        for person in ("ann", "bob"):
            await say(desk, "hello", person, f"talk-{person}")
            inbound = Inbound("see this", f"talk-{person}", person=person)
            file = Attachment("document", "text/plain", f"the secret of {person}".encode(), "mine.txt")
            assert (await desk.knowledge.add(file, inbound)).status == "added"
        told = await say(desk, "What is the secret?", "ann", "talk-ann")
        assert "everybody's secret" in told and "secret of ann" in told and "bob" not in told
        stranger = await say(desk, "What is the secret?", "eve", "talk-eve")
        assert "everybody's secret" in stranger and "ann" not in stranger and "bob" not in stranger
        elsewhere = await say(desk, "What is the secret?", "ann", "another-talk")
        assert "secret of ann" not in elsewhere, "what came in one conversation stays in it"


async def test_the_tool_is_offered_only_with_documents(make_desk: MakeDesk) -> None:
    async with make_desk(None, embedder="none") as desk:
        assert desk.knowledge
        await desk.knowledge.refresh()
        assert not desk.knowledge.tool.is_offered
        await desk.knowledge.base.add_bytes("all.txt", b"text", EVERYBODY)
        await desk.knowledge.refresh(max_age_seconds=0)
        assert desk.knowledge.tool.is_offered


async def test_documents_are_of_the_settings_tenant(make_desk: MakeDesk) -> None:
    """Two tenants of one database have people and conversations of the same names."""
    for tenant in ("acme", "umbrella"):
        async with make_desk(asks, embedder="none", tenant=tenant) as desk:
            assert desk.knowledge
            await say(desk, "hello", "ann", "talk")
            await desk.knowledge.base.add_bytes("all.txt", f"secret of {tenant}".encode())
            file = Attachment("document", "text/plain", f"ann's secret at {tenant}".encode(), "mine.txt")
            await desk.knowledge.add(file, Inbound("see this", "talk", person="ann"))
            told = await say(desk, "What is the secret?", "ann", "talk")
            assert f"secret of {tenant}" in told and f"ann's secret at {tenant}" in told
            assert len(await desk.knowledge.base.documents()) == 2
    async with make_desk(asks, embedder="none") as desk:
        await say(desk, "hello", "ann", "talk")
        assert "secret of" not in await say(desk, "What is the secret?", "ann", "talk")
    findings = {finding.name: finding for finding in await examine(Settings(tenant="acme", embedder="none"))}
    assert findings["knowledge"].detail.startswith("2 documents")


async def test_what_is_quoted_in_a_small_models_place_is_only_what_the_person_may_read(make_desk: MakeDesk) -> None:
    small = ModelCard(name="small", roles=("general",), parameters=0.5)
    async with make_desk(["The model."] * 9, cards=(small,), embedder="none") as desk:
        assert desk.knowledge
        await say(desk, "hello", "ann", "talk-ann")
        inbound = Inbound("see this", "talk-ann", person="ann")
        file = Attachment("document", "text/plain", b"The door code of the cellar is 4711.", "codes.txt")
        await desk.knowledge.add(file, inbound)
        await desk.knowledge.base.add_bytes("hours.txt", b"The shop opens at nine.", EVERYBODY)
        question = "What is the door code of the cellar?"
        assert "> The door code of the cellar is 4711." in await say(desk, question, "ann", "talk-ann")
        for person, conversation in (("eve", "talk-eve"), ("ann", "another-talk")):
            assert "4711" not in await say(desk, question, person, conversation)


async def test_the_receipt_tells_what_was_searched_and_decided(make_desk: MakeDesk) -> None:
    small = ModelCard(name="small", roles=("general",), parameters=0.5)
    async with make_desk(["The model."], cards=(small,), embedder="none") as desk:
        assert desk.knowledge
        await desk.knowledge.base.add_bytes("hours.txt", b"The shop opens at nine.", EVERYBODY)
        reply = await desk.ask("When does the shop open at nine?")
    (search,) = reply.receipt.searches
    assert (search.outcome, search.sources[0].title) == ("answered", "hours.txt")
    told = explain(reply.receipt.as_dict())
    assert "documents: 'When does the shop open at nine?': answered (words alone" in told and "hours.txt" in told
    assert not reply.receipt.tokens_out and "answered by the documents alone; no model was asked" in told
    assert "small" not in told and "tokens in" not in told
