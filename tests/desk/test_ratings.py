"""What people think of answers: thumbs under each, a second try for a bad one, commands beside them."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qwendesk.desk.commands.chat_commands import Command, parse
from qwendesk.engines.scripted import SCRIPTED_MODELS
from qwendesk.errors import ChannelError
from qwendesk.memory.records import Rating
from qwendesk.messages import Attachment, Outbound
from qwendesk.models.card import ModelCard
from tests.desk.parts import Abilities, Running, TestOutlet, running
from tests.postgres_server import database

LARGER = (*SCRIPTED_MODELS, ModelCard(name="scripted-large", roles=("thinking",), parameters=70, thinking="hybrid"))
SMALLER = (ModelCard(name="scripted-only", roles=("general",), parameters=7),)


def outlet(**more: Any) -> TestOutlet:
    return TestOutlet(Abilities(edits=True, buttons=8, **more))


async def tell(desk: Running, *texts: str, **more: Any) -> list[str]:
    for text in texts:
        await desk.say(text, **more)
        await desk.settle()
    return desk.outlet.texts


async def ratings(desk: Running) -> list[tuple[Rating, ...]]:
    return [turn.ratings for turn in reversed(await desk.desk.memory.feedback.turns())]


def faces(desk: Running, message: str) -> list[str]:
    return [button.shown_label for button in desk.outlet.buttons[message]]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("rate:1", Command("rate", "1")),
        ("rate:-1:17", Command("rate", "-1:17")),
        ("rate: 1", None),
        ("please rate:1", None),
        ("rate:1 and more", None),
    ],
)
def test_a_pressed_button_is_told_from_a_message(text: str, command: Command | None) -> None:
    assert parse(text) == command


async def test_answers_have_thumbs_and_what_is_pressed_is_marked_stored_and_can_be_changed(tmp_path: Path) -> None:
    async with running(tmp_path, outlet=outlet()) as desk:
        await tell(desk, "/think", "hello there")
        assert faces(desk, "m1") == [] and faces(desk, "m2") == ["👍", "👎"]
        up = desk.outlet.buttons["m2"][0].value
        texts = await tell(desk, up)
        assert len(texts) == 2 and faces(desk, "m2") == ["👍 ✓", "👎"]
        assert await ratings(desk) == [(Rating(1),)]
        await tell(desk, desk.outlet.buttons["m2"][1].value, up)
        assert faces(desk, "m2") == ["👍 ✓", "👎"] and (await ratings(desk))[0] == (Rating(1),)
        # a slow answer is sent in part first: the edit shows all of it
        assert desk.outlet.edited[-1] == ("m2", "This is scripted-general. You said: hello there")


async def test_a_thumb_that_is_delivered_twice_counts_once_and_no_model_reads_it(tmp_path: Path) -> None:
    async with running(tmp_path, outlet=outlet()) as desk:
        await tell(desk, "hello there")
        down = desk.outlet.buttons["m1"][1].value
        outcomes = [(await desk.say(down, event="press-1")).outcome for _ in range(2)]
        await desk.settle()
        assert outcomes == ["accepted", "duplicate"] and len(desk.outlet.sent) == 2
        assert [call[1][-1].text for call in desk.engine.calls] == ["hello there"] * 2
        assert (await ratings(desk))[0] == (Rating(-1),)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Give a shared database's URL; None: the desk's own file."""
    with database() if request.param == "postgresql" else nullcontext() as made:
        yield made


async def test_thumbs_down_sends_the_next_try_up_the_chain_once(tmp_path: Path, url: str | None) -> None:
    async with running(tmp_path, outlet=outlet(), cards=LARGER, url=url, learn_facts="off") as desk:
        await tell(desk, "hello there")
        first = desk.outlet.buttons["m1"][1].value
        texts = await tell(desk, first)
        assert "scripted-general" in texts[0] and "scripted-large" in texts[1] and "hello there" in texts[1]
        assert faces(desk, "m1") == ["👍", "👎 ✓"] and faces(desk, "m2") == ["👍", "👎"]
        assert desk.engine.calls[-1][2].think
        # an older answer that is rated again, and a second try that was no good either, bring no third one
        texts = await tell(desk, first, desk.outlet.buttons["m2"][1].value)
        assert len(desk.engine.calls) == 2 and all("/model" in text for text in texts[2:])
        assert await ratings(desk) == [(Rating(-1),), (Rating(-1),)]


async def test_where_nobody_is_stronger_the_person_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, outlet=outlet(), cards=SMALLER) as desk:
        texts = await tell(desk, "hello there", "rate:-1", "rate:-1")
        assert "stronger" in texts[1] and "scripted-only" in texts[1]
        assert len(desk.engine.calls) == 2 and "/model" in texts[2]


async def test_retry_asks_the_last_question_again_with_its_files(tmp_path: Path) -> None:
    picture = Attachment("image", "image/png", _pixel(), "a.png")
    async with running(tmp_path, outlet=outlet(), cards=LARGER) as desk:
        assert (await tell(desk, "/retry"))[0].startswith("There is no answer")
        await tell(desk, "what is this?", attachments=(picture,))
        await tell(desk, "/why", "/retry")
        asked = desk.engine.calls[-1][1][-1]
        assert "what is this?" in asked.text
        assert [message.attachments for message in await _questions(desk)] == [(picture,), (picture,)]


async def test_only_who_asked_may_rate(tmp_path: Path) -> None:
    async with running(tmp_path, outlet=outlet()) as desk:
        await tell(desk, "hello there", group=True)
        up = desk.outlet.buttons["m1"][0].value
        texts = await tell(desk, up, "/good", "/bad no", "/retry", group=True, person="bob")
        assert faces(desk, "m1") == ["👍", "👎"] and await ratings(desk) == [()]
        assert len(texts) == 4 and all(text.startswith("There is no answer") for text in texts[1:])
        # a thumb says which answer it means: that of another conversation is out of reach
        await tell(desk, up, conversation="c2")
        assert await ratings(desk) == [()]
        await tell(desk, up, group=True)
        assert await ratings(desk) == [(Rating(1),)]


async def test_commands_do_what_buttons_do_where_there_are_none(tmp_path: Path) -> None:
    async with running(tmp_path, outlet=TestOutlet(), cards=LARGER) as desk:
        texts = await tell(desk, "/good", "hello there", "/good so clear", "/bad too short", "/lang de", "rate:1")
        assert texts[0].startswith("There is no answer") and texts[2] == "Noted, thank you."
        assert "scripted-large" in texts[3] and texts[-1] == "Notiert, danke."
        assert await ratings(desk) == [(Rating(-1, comment="too short"),), (Rating(1),)]
        assert all(not buttons for buttons in desk.outlet.buttons.values())


async def test_thumbs_can_be_left_out(tmp_path: Path) -> None:
    async with running(tmp_path, outlet=outlet(), unrated_channels=frozenset({"test"})) as desk:
        await tell(desk, "hello there", "rate:1")
        assert not any(desk.outlet.buttons.values()) and await ratings(desk) == [(Rating(1),)]


async def test_a_reaction_names_the_message_it_is_about(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        await tell(desk, "hello there", "and you?", "rate:1:m1", "rate:1:m99")
        assert await ratings(desk) == [(Rating(1),), ()] and len(desk.outlet.sent) == 2


async def test_a_platform_that_refuses_the_mark_has_the_thumb_counted_and_says_so(tmp_path: Path) -> None:
    made = outlet()

    async with running(tmp_path, outlet=made) as desk:
        await tell(desk, "hello there")

        def fail(message: Outbound) -> None:
            if any(button.chosen for button in message.buttons):
                raise ChannelError("The message is too old.", permanent=True)

        made.fail = fail
        texts = await tell(desk, "rate:1")
        assert texts[1] == "Noted, thank you." and await ratings(desk) == [(Rating(1),)]


async def test_a_streamed_answer_has_its_thumbs_under_the_last_part_only(tmp_path: Path) -> None:
    made = outlet(edit_interval=0.1)
    answer = "one " * 30 + "\n\n\n" + "two"
    async with running(tmp_path, lambda messages: answer, outlet=made) as desk:
        desk.engine.delay = 0.05
        await tell(desk, "tell me a story")
        assert len(made.edited) >= 2 and faces(desk, "m1") == [] and faces(desk, "m2") == ["👍", "👎"]


async def test_a_thumb_waits_its_turn_behind_the_answer_that_is_being_given(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def script(messages: Any) -> str:
        if "slow" in messages[-1].text:
            await gate.wait()
        return "re " + messages[-1].text

    async with running(tmp_path, script, outlet=outlet(), cards=LARGER) as desk:
        await tell(desk, "a first one")
        await desk.say("a slow one")
        await desk.say(desk.outlet.buttons["m1"][1].value)
        gate.set()
        await desk.settle()
        # meanwhile something else was asked, so the older question is not asked again
        assert [text for text in desk.outlet.texts if text.startswith("re ")] == ["re a first one", "re a slow one"]
        assert (await ratings(desk))[0] == (Rating(-1),)


async def _questions(desk: Running) -> list[Any]:
    return [replace(one) for one in await desk.desk.memory.history.messages("c1", channel="test") if one.role == "user"]


def _pixel() -> bytes:
    from qwendesk.testing.conformance.channel_fixtures import PIXEL

    return PIXEL
