"""``qwendesk memory conversations`` and ``show``, and the same from Python."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from qwendesk import ConversationInfo, Desk, Inbound, StoredMessage
from qwendesk.cli.main import app

MakeDesk = Callable[..., Desk]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command shows the local time."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


async def run(*arguments: str) -> Result:
    """Run the command in a thread, where it can have its own event loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["memory", *arguments])


async def talk(make_desk: MakeDesk) -> tuple[list[ConversationInfo], list[StoredMessage]]:
    async with make_desk() as desk:
        await desk.ask("Good day to you", conversation="c1")
        for text in ("Wo ist mein\x1b[31m Paket?", "Danke"):
            async for _ in desk.turns.run(Inbound(text, "77", person="ana\x1b[2J", channel="telegram")):
                pass
        return await desk.conversations(), await desk.history("77", channel="telegram")


async def test_conversations_and_their_messages_are_listed_in_python(make_desk: MakeDesk) -> None:
    conversations, messages = await talk(make_desk)
    assert [(one.channel, one.key, one.messages) for one in conversations] == [
        ("telegram", "77", 4),
        ("python", "c1", 2),
    ]
    assert [one.person for one in conversations] == ["ana\x1b[2J", "local"]
    assert [one.role for one in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[2].text == "Danke"


async def test_the_command_lists_time_channel_name_and_text(make_desk: MakeDesk) -> None:
    conversations, _ = await talk(make_desk)
    done = await run("conversations")
    first, second = done.stdout.splitlines()
    assert f"{conversations[0].updated_at:%Y-%m-%d %H:%M}" in first
    assert "telegram" in first and "ana" in first and "Paket" in first and "77" in first
    assert "python" in second and "Good day" in second
    assert "\x1b" not in done.stdout, "names and texts do not steer the terminal"
    only = await run("conversations", "--channel", "python")
    assert "telegram" not in only.stdout and "Good day" in only.stdout
    rows = json.loads((await run("conversations", "--json", "--limit", "1")).stdout)
    assert [row["channel"] for row in rows] == ["telegram"] and rows[0]["person"].startswith("ana")


async def test_a_conversation_is_shown_with_its_messages(make_desk: MakeDesk) -> None:
    await talk(make_desk)
    done = await run("show", "77")
    assert done.exit_code == 0, done.stderr
    assert "Paket?" in done.stdout and "Danke" in done.stdout and "desk: " in done.stdout
    assert "\x1b" not in done.stdout
    shown = json.loads((await run("show", "c1", "--json")).stdout)
    assert [each["role"] for each in shown["messages"]] == ["user", "assistant"]


async def test_missing_conversations_are_reported_with_the_next_step(make_desk: MakeDesk) -> None:
    assert (await run("conversations")).stdout.strip() == "There is no conversation yet."
    await talk(make_desk)
    done = await run("show", "nobody")
    assert done.exit_code == 1 and "memory conversations" in done.stderr


async def visit(make_desk: MakeDesk, *visitors: str) -> None:
    """Let visitors of the web chat write, whose conversations have their names."""
    async with make_desk() as desk:
        for visitor in visitors:
            async for _ in desk.turns.run(Inbound("Are you open?", visitor, person=visitor, channel="web")):
                pass


async def test_a_long_name_is_shortened_to_what_show_takes(make_desk: MakeDesk) -> None:
    first, second = "ab" * 32, "ab" * 7 + "c" * 50
    await visit(make_desk, first, second)
    lines = (await run("conversations")).stdout.splitlines()
    assert all(len(line) <= 80 and line.endswith("Are you open?") for line in lines)
    names = [line.split()[3] for line in lines]
    assert len(names) == 2 and second.startswith(names[0]) and first.startswith(names[1])
    for name in names:
        shown = await run("show", name)
        assert shown.exit_code == 0 and "Are you open?" in shown.stdout
    rows = json.loads((await run("conversations", "--json")).stdout)
    assert {row["key"] for row in rows} == {row["person"] for row in rows} == {first, second}


async def test_a_beginning_of_several_names_is_refused(make_desk: MakeDesk) -> None:
    await visit(make_desk, "a" * 64, "a" * 32 + "b" * 32)
    done = await run("show", "a" * 20)
    assert done.exit_code == 1 and "2 conversations" in done.stderr and "write more" in done.stderr


async def test_a_name_of_a_person_and_their_conversation_shows_both(make_desk: MakeDesk) -> None:
    visitor = "cd" * 32
    await visit(make_desk, visitor)
    done = await run("show", visitor)
    assert done.exit_code == 0 and f"web:{visitor}" in done.stdout and "Are you open?" in done.stdout
    assert "--channel" not in done.stderr
