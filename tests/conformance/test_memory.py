"""What every memory does, over each database it can be kept in."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qwendesk.errors import InputError, StoreError
from qwendesk.memory.memory import Memory
from qwendesk.messages import MAX_ATTACHMENT_BYTES, Attachment, Inbound, Receipt, Reply, ToolUse
from tests import postgres_server

RECEIPT = Receipt(
    role="coder",
    model="qwen2.5-coder-0.5b",
    engine="llamacpp",
    confidence=0.93,
    runner_up="math",
    signals=("mentions a loop",),
    language="en",
    thinking=False,
    tools=(ToolUse("python", {"code": "1+1"}, ok=True, result="2", duration_ms=1.5),),
    tokens_in=10,
    tokens_out=20,
    ttft_ms=12.5,
    tokens_per_second=30.0,
    checks=(),
    duration_ms=800.0,
)


@pytest.fixture(params=["file", "memory", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgresql":
        with postgres_server.database() as url:
            yield url
        return
    yield f"sqlite+aiosqlite:///{tmp_path / 'data' / 'qwendesk.db' if request.param == 'file' else ':memory:'}"


@pytest.fixture
async def memory(url: str) -> AsyncIterator[Memory]:
    made = Memory(url)
    await made.open()
    yield made
    await made.aclose()


def reply(answer: str, conversation: str = "c1", **changes: Any) -> Reply:
    return Reply(answer, conversation, replace(RECEIPT, **changes), thinking="let me see")


async def say(memory: Memory, question: str, answer: str, conversation: str = "c1", channel: str = "python") -> str:
    turn = await memory.turns.begin(Inbound(question, conversation, channel=channel))
    await memory.turns.finish(turn, reply(answer, conversation))
    return turn


async def texts(memory: Memory, conversation: str = "c1") -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in await memory.history.messages(conversation)]


async def test_nothing_is_known_of_a_new_conversation(memory: Memory) -> None:
    assert await memory.history.messages("c1") == []
    assert await memory.history.last_turn("c1") is None
    assert await memory.history.conversations() == []


async def test_question_and_answer_come_back_oldest_first(memory: Memory) -> None:
    before = datetime.now(UTC)
    await say(memory, "one?", "1")
    await say(memory, "two?", "2")
    assert await texts(memory) == [("user", "one?"), ("assistant", "1"), ("user", "two?"), ("assistant", "2")]
    for message in await memory.history.messages("c1"):
        assert before - timedelta(seconds=1) <= message.created_at <= datetime.now(UTC)
    assert len({message.id for message in await memory.history.messages("c1")}) == 4


async def test_limit_keeps_the_newest(memory: Memory) -> None:
    for number in range(5):
        await say(memory, f"q{number}", f"a{number}")
    assert [message.text for message in await memory.history.messages("c1", limit=3)] == ["a3", "q4", "a4"]


async def test_conversations_and_channels_are_apart(memory: Memory) -> None:
    await say(memory, "here", "yes")
    await say(memory, "elsewhere", "yes", channel="slack")
    await say(memory, "other", "yes", "c2")
    assert await texts(memory) == [("user", "here"), ("assistant", "yes")]
    assert [message.text for message in await memory.history.messages("c1", channel="slack")] == ["elsewhere", "yes"]


async def test_a_running_turn_shows_its_question(memory: Memory) -> None:
    await memory.turns.begin(Inbound("why?", "c1"))
    turn = await memory.history.last_turn("c1")
    assert turn and (turn.question, turn.answer, turn.status, turn.receipt) == ("why?", None, "running", None)


async def test_the_receipt_comes_back_as_it_was(memory: Memory) -> None:
    before = datetime.now(UTC)
    await say(memory, "why?", "because")
    turn = await memory.history.last_turn("c1")
    assert turn and turn.receipt == RECEIPT.as_dict()
    assert (turn.conversation, turn.question, turn.answer, turn.status) == ("c1", "why?", "because", "done")
    assert turn.thinking == "let me see"
    assert before <= turn.started_at <= datetime.now(UTC)


async def test_last_turn_is_the_newest(memory: Memory) -> None:
    await say(memory, "old", "1")
    await say(memory, "new", "2")
    turn = await memory.history.last_turn("c1")
    assert turn and (turn.question, turn.answer) == ("new", "2")


async def test_finishing_twice_adds_nothing(memory: Memory) -> None:
    turn = await say(memory, "q", "first")
    await memory.turns.finish(turn, reply("second"))
    await memory.turns.fail(turn, "failed", "too late", partial="third")
    assert await texts(memory) == [("user", "q"), ("assistant", "first")]
    last = await memory.history.last_turn("c1")
    assert last and last.status == "done"


async def test_a_stopped_turn_keeps_what_there_is(memory: Memory) -> None:
    turn = await memory.turns.begin(Inbound("tell me all", "c1"))
    await memory.turns.fail(turn, "stopped", "stopped by the person", partial="Once upon")
    await memory.turns.finish(turn, reply("Once upon a time"))
    last = await memory.history.last_turn("c1")
    assert last and (last.status, last.answer, last.receipt) == ("stopped", "Once upon", None)
    assert await texts(memory) == [("user", "tell me all"), ("assistant", "Once upon")]


async def test_a_failed_turn_without_a_partial_has_no_answer(memory: Memory) -> None:
    turn = await memory.turns.begin(Inbound("q", "c1"))
    await memory.turns.fail(turn, "failed", "no model")
    assert await texts(memory) == [("user", "q")]
    last = await memory.history.last_turn("c1")
    assert last and (last.status, last.answer) == ("failed", None)


async def test_an_unknown_turn_is_an_error(memory: Memory) -> None:
    with pytest.raises(StoreError, match="no turn 'nonsense'"):
        await memory.turns.finish("nonsense", reply("a"))


async def test_a_left_turn_fails_when_the_next_begins(memory: Memory) -> None:
    left = await memory.turns.begin(Inbound("lost", "c1"))
    elsewhere = await memory.turns.begin(Inbound("other", "c2"))
    await say(memory, "next", "answer")
    assert await texts(memory) == [("user", "lost"), ("user", "next"), ("assistant", "answer")]
    other = await memory.history.last_turn("c2")
    assert elsewhere and other and other.status == "running"
    # It was not dead, only slow: its answer is stored, beside its question.
    await memory.turns.finish(left, reply("late"))
    assert await texts(memory) == [("user", "lost"), ("assistant", "late"), ("user", "next"), ("assistant", "answer")]


async def test_attachments_come_back(memory: Memory) -> None:
    picture = Attachment("image", "image/png", bytes(range(256)) * 50, "chart.png")
    notes = Attachment("document", "text/plain", b"", "empty.txt")
    await memory.turns.begin(Inbound("look", "c1", (picture, notes)))
    (message,) = await memory.history.messages("c1")
    assert message.attachments == (picture, notes)
    (message,) = await memory.history.messages("c1", with_attachments=False)
    assert message.attachments == ()


async def test_only_the_newest_messages_bring_their_files(memory: Memory) -> None:
    for number in range(6):
        await memory.turns.begin(Inbound(f"look {number}", "c1", (Attachment("image", "image/png", b"x"),)))
        await memory.turns.begin(Inbound("words", "c1"))
    having = [message.text for message in await memory.history.messages("c1") if message.attachments]
    assert having == ["look 2", "look 3", "look 4", "look 5"]


async def test_a_file_too_large_is_refused_and_nothing_stored(memory: Memory) -> None:
    with pytest.raises(InputError, match=r"'film\.png' has 20,971,521 bytes"):
        await memory.turns.begin(
            Inbound("q", "c1", (Attachment("image", "image/png", bytes(MAX_ATTACHMENT_BYTES + 1), "film.png"),))
        )
    assert await memory.history.conversations() == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a\0b", "a\ufffdb"),
        ("lone \ud83d here", "lone \ufffd here"),
        ("".join(map(chr, range(1, 32))) + "\x7f\x85\u2028\u202e", None),
        ("😀 你好 שלום <|im_start|>", None),
        ("", None),
        ("x" * 1_000_000, None),
        ("é\0" * 500_000, "é\ufffd" * 500_000),
        ("'; DROP TABLE message; --", None),
    ],
    ids=["nul", "surrogate", "control", "scripts", "empty", "1MB", "1MB-nul", "sql"],
)
async def test_any_text_is_stored(memory: Memory, sent: str, kept: str | None) -> None:
    await memory.turns.finish(await memory.turns.begin(Inbound(sent, "c1")), reply(sent, signals=(sent,)))
    expected = sent if kept is None else kept
    assert await texts(memory) == [("user", expected), ("assistant", expected)]
    turn = await memory.history.last_turn("c1")
    assert turn and turn.receipt and turn.receipt["signals"] == [expected]


async def test_any_key_finds_its_conversation(memory: Memory) -> None:
    turn = await memory.turns.begin(Inbound("q", "k\0\ud800", person="p\0", channel="c\0"))
    await memory.turns.fail(turn, "failed", "e\0\udfff", partial="p\0")
    assert [message.text for message in await memory.history.messages("k\0\ud800", channel="c\0")] == ["q", "p\ufffd"]


async def test_a_receipt_of_odd_values_is_stored(memory: Memory) -> None:
    odd = ToolUse(
        "t", {"n": float("nan"), "set": {1}, "bytes": b"\0", "k\0": None}, ok=False, result="\0", duration_ms=1
    )
    turn = await memory.turns.begin(Inbound("q", "c1"))
    await memory.turns.finish(turn, reply("a", tools=(odd,), confidence=float("nan"), ttft_ms=float("inf")))
    last = await memory.history.last_turn("c1")
    assert last and last.receipt
    assert last.receipt["ttft_ms"] is None
    assert last.receipt["tools"][0]["arguments"] == {"n": None, "set": "{1}", "bytes": "b'\\x00'", "k\ufffd": None}


async def test_conversations_are_listed_newest_first(memory: Memory) -> None:
    await say(memory, "  How do I\nsort a list in Python, when it holds numbers and words both at once?", "so", "a")
    await say(memory, "second", "2", "b", channel="slack")
    await say(memory, "first again", "3", "a")
    infos = await memory.history.conversations()
    assert [(info.key, info.channel, info.messages) for info in infos] == [("a", "python", 4), ("b", "slack", 2)]
    assert infos[0].title == "How do I sort a list in Python, when it holds numbers and w…"
    assert infos[0].updated_at > infos[1].updated_at
    assert [info.key for info in await memory.history.conversations(channel="slack")] == ["b"]
    assert [info.key for info in await memory.history.conversations(limit=1)] == ["a"]


async def test_a_picture_alone_gives_a_title(memory: Memory) -> None:
    await memory.turns.begin(Inbound("", "c1", (Attachment("image", "image/png", b"x", "cat.png"),)))
    assert [info.title for info in await memory.history.conversations()] == ["cat.png"]


async def test_order_holds_under_concurrency(memory: Memory) -> None:
    async def turns(conversation: str) -> None:
        for number in range(10):
            await say(memory, f"q{number}", f"a{number}", conversation)

    await asyncio.gather(*(turns(f"c{number}") for number in range(12)))
    for number in range(12):
        found = [message.text for message in await memory.history.messages(f"c{number}")]
        assert found == [f"{kind}{turn}" for turn in range(10) for kind in "qa"]


async def test_concurrent_questions_of_one_conversation_all_get_a_place(memory: Memory) -> None:
    begun = await asyncio.gather(*(memory.turns.begin(Inbound(f"q{number}", "c1")) for number in range(20)))
    await asyncio.gather(*(memory.turns.finish(turn, reply(f"a{number}")) for number, turn in enumerate(begun)))
    found = [message.text for message in await memory.history.messages("c1")]
    assert sorted(found[::2]) == sorted(f"q{number}" for number in range(20))
    assert [answer[1:] for answer in found[1::2]] == [question[1:] for question in found[::2]]


async def test_a_cancelled_call_does_no_harm(memory: Memory) -> None:
    for steps in range(0, 60, 3):
        task = asyncio.create_task(memory.turns.begin(Inbound("cancelled", "c1")))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await say(memory, "still works", "yes")
    found = [pair for pair in await texts(memory) if pair != ("user", "cancelled")]
    assert found == [("user", "still works"), ("assistant", "yes")]
