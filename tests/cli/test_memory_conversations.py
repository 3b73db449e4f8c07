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
