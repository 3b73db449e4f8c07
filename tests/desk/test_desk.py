"""The whole way: accepted, queued, answered, delivered, each once and in order."""

from pathlib import Path

import pytest

from qwendesk import ConfigError, Desk, Settings
from tests.desk.parts import running


async def test_a_message_is_accepted_answered_and_delivered_once(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: f"You said {messages[-1].text}") as desk:
        first = await desk.say("hello", event="e1")
        again = await desk.say("hello", event="e1")
        await desk.settle()
        assert (first.outcome, first.sequence) == ("accepted", 1)
        assert again.outcome == "duplicate"
        assert desk.outlet.texts == ["You said hello"]


async def test_answers_come_in_the_order_of_the_messages(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}") as desk:
        for number in range(10):
            await desk.say(f"message {number}", event=f"e{number}")
        await desk.settle()
        assert desk.outlet.texts == [f"re message {number}" for number in range(10)]


async def test_two_accounts_of_a_channel_keep_their_conversations_apart(tmp_path: Path) -> None:
    seen: list[int] = []

    def script(messages: list[object]) -> str:
        seen.append(len(messages))
        return "fine"

    async with running(tmp_path, script) as desk:
        for account in ("support", "sales"):
            assert (await desk.say("hello", event="e1", account=account)).sequence == 1
            await desk.settle()
        assert seen[0] == seen[1], "the second bot knows nothing of what was said to the first"
        assert [message.account for message in desk.outlet.sent] == ["support", "sales"]
        assert {message.conversation for message in desk.outlet.sent} == {"c1"}


async def test_a_desk_has_its_parts_while_it_is_open(tmp_path: Path) -> None:
    desk = Desk(Settings(home=tmp_path, engine="scripted"))
    for conversation in ("first", "second"):
        with pytest.raises(ConfigError, match="not open"):
            await desk.ask("hello")
        with pytest.raises(ConfigError, match="not open"):
            await desk.memory.history.messages(conversation)
        async with desk:
            await desk.ask("hello", conversation=conversation)
            assert len(await desk.memory.history.messages(conversation)) == 2
