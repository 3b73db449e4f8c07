"""Who speaks: the names of operators on channels that show no author, and in stored conversations."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from uuid_utils import uuid7

from qwendesk.channels.delivery_adapter import ChannelTranscript, DeliveryAdapter
from qwendesk.channels.markup.author import with_name
from qwendesk.channels.markup.render import render
from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.channels.web.channel import WebChannel
from qwendesk.desk.delivery.transcript import Transcript
from qwendesk.errors import ChannelError
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.memory.tables.operators import Operator
from qwendesk.messages import Attachment, Author, Outbound
from tests.desk.parts import Running, running

ANNA = Author("operator", "Anna")


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("Anna", "It is on its way.", "Anna: It is on its way."),
        ("山田", "発送しました。", "山田: 発送しました。"),
        ("Anna *B* (2)", "Hello **you**", "Anna *B* (2): Hello you"),
        ("[1]", "Hello", "[1]: Hello"),
        ("1.", "Hello", "1.: Hello"),
        ("# A", "Hello", "# A: Hello"),
        ("a@b.example", "Hello", "a@b.example: Hello"),
        ("\\(x\\) $y$", "Hello", "\\(x\\) $y$: Hello"),
        ("Ann\na\u202e", "Hello", "Ann\ufffda\ufffd: Hello"),
        ("Anna", "\n\nHello", "Anna: Hello"),
        ("", "Hello", "Hello"),
        (" ", "Hello", "Hello"),
        ("דנה", "ההזמנה נשלחה", "דנה: ההזמנה נשלחה"),
        ("Anna", "ההזמנה נשלחה", "\u2068Anna\u2069: ההזמנה נשלחה"),
        ("سارة", "It is sent", "\u2068سارة\u2069: It is sent"),
        ("Anna", "B-77", "Anna: B-77"),
    ],
)
def test_a_name_stands_before_the_text_as_it_is_written(name: str, text: str, shown: str) -> None:
    assert render(with_name(name, text), "plain") == shown


@pytest.mark.parametrize(
    "text", ["- one\n- two", "```\ncode\n```", "| a | b |\n|---|---|\n| 1 | 2 |", "> you", "# All"]
)
def test_a_name_leaves_a_block_as_it_is(text: str) -> None:
    below = render(with_name("Anna", text), "html").removeprefix("<p>Anna:</p>")
    assert below.strip() == render(text, "html").strip()


@pytest.mark.parametrize(
    ("author", "first"),
    [
        (None, "x"),
        (Author("bot", "Robot"), "x"),
        (ANNA, "Anna: x"),
        (Author("operator", "Anna", is_repeated=True), "x"),
        (Author("operator"), "x"),
    ],
)
async def test_the_first_message_of_an_operator_has_the_name_and_all_its_parts_fit(
    author: Author | None, first: str
) -> None:
    telegram = DeliveryAdapter(TelegramChannel.create(TelegramChannel.manifest.read({"token": "1:x"})))
    limit = telegram.capabilities.max_length
    parts = await telegram.split_message("x " * limit, author)
    assert parts[0].plain.startswith(first) and all(len(part.text.encode()) <= limit for part in parts)
    assert "".join(part.plain for part in parts).count("x") == limit
    web = DeliveryAdapter(WebChannel.create(WebChannel.manifest.read({})))
    assert [part.plain for part in await web.split_message("x", author)] == ["x"]


async def test_a_stored_message_of_an_operator_has_its_author_and_no_customer_wrote_it(tmp_path: Path) -> None:
    async with running(tmp_path, answers=False) as desk:
        await desk.say("Where is B-77?")
        await store_operator(desk, "o1", "Anna")
        first = await store_message(desk, 2, "o1", "It is on its way.")
        await desk.say("When?", event="e3")
        second = await store_message(desk, 4, "o1", "Tomorrow.")
        third = await store_message(desk, 5, None, "All the best.")
        inbox = desk.runtime.inbox
        authors = []
        for id_ in (first, second, third):
            claimed = await inbox.claim(id_)
            assert claimed
            authors.append(claimed.author)
            await put_out(desk, claimed.id, claimed.conversation_id)
            await inbox.complete(claimed.id, claimed.run, "done")
        assert authors == [ANNA, Author("operator", "Anna", is_repeated=True), Author("operator")]
        lines = ChannelTranscript("test", inbox, Transcript(desk.runtime.database), has_feedback_buttons=True)
        seen = [(line.text, line.from_person, line.author) for line in await lines("c1")]
        assert seen == [
            ("Where is B-77?", True, None),
            ("sent", False, ANNA),
            ("When?", True, None),
            ("sent", False, ANNA),
            ("sent", False, Author("operator")),
        ]
        assert all(line.at for line in await lines("c1"))


async def store_operator(desk: Running, id_: str, name: str) -> None:
    values = {"id": id_, "name": name.lower(), "display_name": name, "password_hash": "", "role": "operator"}
    async with desk.runtime.database.write() as connection:
        await connection.execute(insert(Operator).values(**values, created_at=datetime.now(UTC)))


async def store_message(desk: Running, sequence: int, operator: str | None, text: str) -> str:
    id_ = str(uuid7())
    async with desk.runtime.database.write() as connection:
        here = (await connection.execute(select(Conversation.id))).scalar_one()
        values: dict[str, Any] = {
            "id": id_,
            "channel": "test",
            "account": "",
            "event": id_,
            "conversation_id": here,
            "sequence": sequence,
            "person": "ann",
            "source": "operator",
            "operator_id": operator,
            "payload": {"text": text, "conversation": "c1", "think": None},
            "received_at": datetime.now(UTC),
        }
        await connection.execute(insert(InboundEvent).values(**values))
        await connection.execute(Conversation.__table__.update().values(next_sequence=sequence + 1))
    return id_


async def put_out(desk: Running, event: str, conversation: str) -> None:
    values = {
        "id": str(uuid7()),
        "key": f"{event}:0",
        "inbound_id": event,
        "conversation_id": conversation,
        "part": 0,
        "text": "sent",
        "status": "sent",
        "message_id": f"m{event}",
        "created_at": datetime.now(UTC),
    }
    async with desk.runtime.database.write() as connection:
        await connection.execute(insert(OutboundMessage).values(**values))


async def test_a_file_is_not_dropped_in_silence_where_the_platform_takes_none() -> None:
    file = Attachment("document", "application/pdf", b"%PDF-1.4", "label.pdf")
    web = DeliveryAdapter(WebChannel.create(WebChannel.manifest.read({})))
    with pytest.raises(ChannelError, match="cannot send files") as caught:
        await web.send(Outbound("k", "c1", "Here it is.", attachments=(file,)))
    assert caught.value.permanent
