"""What a person can do in a conversation: commands, stopping, beginning anew."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qwendesk.desk.commands.chat_commands import Command, parse
from qwendesk.messages import Inbound
from tests.desk.parts import Abilities, Running, TestOutlet, running


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/help", Command("help")),
        ("/Model@my_bot  coder ", Command("model", "coder")),
        ("/lang\nit", Command("lang", "it")),
        ("help", None),
        ("/", None),
        ("/etc/passwd", None),
        ("/2", None),
    ],
)
def test_a_command_is_told_from_a_message(text: str, command: Command | None) -> None:
    assert parse(text) == command


async def told(desk: Running, *texts: str) -> list[str]:
    for text in texts:
        await desk.say(text)
    await desk.settle()
    return desk.outlet.texts


async def test_choices_hold_for_the_messages_after_them(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        texts = await told(desk, "hello there", "/model math", "hello there", "/model auto", "/think", "/no_think")
        assert "scripted-general" in texts[0]
        assert texts[1] == "specialist: math; model: auto"
        assert "scripted-math" in texts[2]
        assert texts[3] == "specialist: auto; model: auto"


async def test_a_new_conversation_forgets_the_old_one(tmp_path: Path) -> None:
    seen: list[int] = []

    def script(messages: Any) -> str:
        seen.append(len(messages))
        return "fine"

    async with running(tmp_path, script) as desk:
        await told(desk, "how are you?", "how are you?", "/new", "how are you?")
    assert seen[1] > seen[0] == seen[2]


async def test_help_names_every_command_and_an_unknown_one_is_said_to_be_none(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: "from the model") as desk:
        texts = await told(desk, "/help", "/forgt me", "/usr/bin is what?", "/lang it", "/forgt")
        assert all(f"/{name}" in texts[0] for name in ("new", "why", "model", "think", "no_think", "lang", "stop"))
        assert texts[1] == "There is no command /forgt. /help lists them all."
        assert texts[2] == "from the model"
        assert texts[4].startswith("Il comando /forgt non esiste.")


@pytest.mark.parametrize(("reason", "told_"), [(None, "There is no answer"), ("", "not finished"), ("so", "so")])
async def test_why_says_what_is_known(tmp_path: Path, reason: str | None, told_: str) -> None:
    async def explain(inbound: Inbound) -> str | None:
        return reason

    async with running(tmp_path, explain=explain) as desk:
        assert told_ in (await told(desk, "/why"))[0]


async def test_what_is_said_behind_think_is_read(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        texts = await told(desk, "/think on", "/think off", "/think auto", "/think maybe")
        assert texts[0] == "I think before I answer." and len(set(texts)) == 4
        assert texts[3].startswith("/think – ")


async def test_the_language_of_the_desk_can_be_chosen(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        texts = await told(desk, "/lang xx", "/lang de-AT", "/lang", "/think")
        assert "en" in texts[0]
        assert texts[1] == "Ich spreche jetzt Deutsch."
        assert texts[2].startswith("Ich spreche jetzt Deutsch. (de)\n") and "it" in texts[2]
        assert texts[3] == "Ich denke nach, bevor ich antworte."


async def test_stop_ends_the_running_answer_at_once_and_the_next_message_is_answered(tmp_path: Path) -> None:
    async def script(messages: Any) -> str:
        if "slow" in messages[-1].text:
            await asyncio.sleep(60)
        return "quick"

    async with running(tmp_path, script) as desk:
        await desk.say("a slow one")
        await asyncio.sleep(0.5)
        await desk.say("a quick one")
        stopped = await desk.say("/stop")
        assert stopped.outcome == "accepted"
        await desk.settle(15)
        assert desk.outlet.texts == ["(stopped)", "quick"]
        assert "nothing" in (await desk.say("/stop")).text


async def test_a_stop_heard_by_another_process_is_noticed(tmp_path: Path) -> None:
    async def script(messages: Any) -> str:
        await asyncio.sleep(60)
        return "never"

    async with running(tmp_path, script) as desk:
        await desk.say("a slow one")
        await asyncio.sleep(0.5)
        await desk.runtime.inbox.request_stop("test", "", "c1")  # only in the database
        await desk.settle(15)
        assert desk.outlet.texts == ["(stopped)"]


async def test_a_slow_answer_shows_a_sign_and_grows_by_edits_and_ends_complete(tmp_path: Path) -> None:
    outlet = TestOutlet(Abilities(edits=True, edit_interval=0.2, typing=5))
    words = " ".join(f"word{number}" for number in range(40))
    async with running(tmp_path, lambda messages: words, outlet=outlet) as desk:
        desk.engine.delay = 0.05
        await desk.say("tell me a story")
        await desk.settle(30)
        assert outlet.signs >= 1
        assert len(outlet.sent) == 1 and words.startswith(outlet.sent[0].text) and outlet.sent[0].text != words
        assert len(outlet.edited) >= 2
        assert outlet.edited[-1] == ("m1", words)
        (stored,) = await desk.stored_parts()
        assert (stored.text, stored.status, stored.message_id) == (words, "sent", "m1")


async def test_without_a_typing_sign_a_placeholder_is_shown(tmp_path: Path) -> None:
    outlet = TestOutlet(Abilities(edits=True, edit_interval=0.2))

    async def script(messages: Any) -> str:
        await asyncio.sleep(2.5)
        return "done"

    async with running(tmp_path, script, outlet=outlet) as desk:
        await desk.say("hello")
        await desk.settle()
        assert outlet.texts == ["…"] and outlet.edited[-1] == ("m1", "done")
