"""Replies, quotes, links, forwarded messages and albums on Telegram."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.routing import Mount

from qwendesk.channels.telegram import updates
from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.channels.telegram.entities import TelegramIdentity
from qwendesk.channels.telegram.parse import TelegramUpdate, parse
from qwendesk.messages import Admission
from qwendesk.testing.conformance.channel_fixtures import PIXEL, RecordingDesk, serve_routes
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.telegram import TelegramSimulator

ME = TelegramIdentity(42, "desk_bot")
BOT = {"id": 42, "is_bot": True, "first_name": "Desk"}
ANA, BO = ({"id": number, "is_bot": False, "first_name": name} for number, name in ((1, "Ana"), (2, "Bo")))
TEAM = {"id": -100, "type": "supergroup", "title": "Team"}
PHOTO = {"photo": [{"file_id": "P1", "file_unique_id": "p", "file_size": 9, "width": 1, "height": 1}]}


def read(**message: Any) -> TelegramUpdate | None:
    base = {"message_id": 7, "date": 1, "from": ANA, "chat": {"id": 1, "type": "private"}}
    return parse({"update_id": 9, "message": base | message}, ME)


def text_of(**message: Any) -> str:
    parsed = read(**message)
    assert parsed
    return parsed.inbound.text


def mention(text: str, name: str = "@desk_bot") -> list[dict[str, Any]]:
    begin = len(text[: text.index(name)].encode("utf-16-le")) // 2
    return [{"type": "mention", "offset": begin, "length": len(name)}]


def test_the_message_that_is_replied_to_stands_above_with_its_author() -> None:
    told = {"message_id": 5, "from": BO | {"last_name": "Li"}, "chat": TEAM, "date": 1, "text": "Lift 3\nis stuck."}
    said = text_of(chat=TEAM, text="@desk_bot why?", entities=mention("@desk_bot why?"), reply_to_message=told)
    assert said == "> Bo Li wrote:\n> Lift 3\n> is stuck.\n\nwhy?"


def test_a_reply_to_the_desk_itself_is_known_for_one() -> None:
    said = text_of(text="shorter", reply_to_message={"from": BOT, "text": "A long answer."})
    assert said == "> you, the assistant wrote:\n> A long answer.\n\nshorter"


def test_of_a_message_that_is_quoted_in_part_only_that_part_is_shown() -> None:
    told = {"from": BO, "text": "One. Two 😀. Three."}
    assert text_of(text="why?", reply_to_message=told, quote={"text": "Two 😀.", "position": 5}) == (
        "> Bo wrote:\n> Two 😀.\n\nwhy?"
    )


def test_a_message_of_another_chat_is_quoted_too() -> None:
    origin = {"type": "channel", "chat": {"id": -5, "title": "Shop news"}, "author_signature": "Cy", "date": 9}
    said = text_of(text="till when?", external_reply={"origin": origin}, quote={"text": "Sale!", "position": 0})
    assert said == "> Shop news, Cy wrote:\n> Sale!\n\ntill when?"


def test_a_picture_that_is_replied_to_is_seen() -> None:
    parsed = read(text="what is it?", reply_to_message={"from": BO, "caption": "My plant"} | PHOTO)
    assert parsed and [(file.id, file.quoted) for file in parsed.files] == [("P1", True)]
    assert parsed.inbound.text == "> Bo wrote:\n> My plant\n\nwhat is it?" and parsed.inbound.unsupported_media is None
    assert "[photo]" in text_of(text="and this?", reply_to_message={"from": BO} | PHOTO)
    assert "[document a.pdf]" in text_of(
        text="read it", reply_to_message={"from": BO, "document": {"file_id": "D", "file_name": "a.pdf"}}
    )


def test_a_new_topic_is_nothing_that_somebody_said() -> None:
    topic = {"from": BO, "forum_topic_created": {"name": "Help", "icon_color": 1}}
    assert text_of(text="hello", reply_to_message=topic) == "hello"


@pytest.mark.parametrize("command", ["/why", "/retry", "/model coder", "/why@desk_bot"])
def test_a_command_stays_a_command_whatever_it_replies_to(command: str) -> None:
    entity = {"type": "bot_command", "offset": 0, "length": len(command.split()[0])}
    said = text_of(text=command, entities=[entity], reply_to_message={"from": BOT, "text": "An answer."})
    assert said == command.replace("@desk_bot", "")
    assert text_of(text="/etc/hosts is what?", reply_to_message={"from": BO, "text": "x"}).startswith("> Bo")


@pytest.mark.parametrize(
    ("origin", "head"),
    [
        (
            {"forward_origin": {"type": "user", "sender_user": BO, "date": 1_760_000_000}},
            " from Bo on 2025-10-09 08:53 UTC",
        ),
        ({"forward_origin": {"type": "hidden_user", "sender_user_name": "Cy", "date": 0}}, " from Cy"),
        ({"forward_origin": {"type": "chat", "sender_chat": {"title": "Board"}, "date": 0}}, " from Board"),
        ({"forward_from": BO, "forward_date": 1_760_000_000}, " from Bo on 2025-10-09 08:53 UTC"),
        ({"forward_sender_name": "Cy", "forward_date": 1_760_000_000}, " from Cy on 2025-10-09 08:53 UTC"),
        ({"forward_origin": {"type": "user", "sender_user": BOT, "date": 0}}, " from you, the assistant"),
    ],
)
def test_a_forwarded_message_says_whose_it_is_and_of_when(origin: dict[str, Any], head: str) -> None:
    assert text_of(text="/new price: 5", **origin) == f"> Forwarded message{head}:\n> /new price: 5"
    parsed = read(**origin, **PHOTO)
    assert parsed and parsed.inbound.text == f"> Forwarded message{head}:\n> [photo]" and len(parsed.files) == 1


@pytest.mark.parametrize(
    ("text", "label", "url", "heard"),
    [
        ("😀 see here, please", "here", "https://x.example/a_b", "😀 see here (https://x.example/a_b), please"),
        ("x.example/a", "x.example/a", "https://x.example/a", "x.example/a"),
        ("https://x.example", "https://x.example", "https://x.example/", "https://x.example"),
    ],
)
def test_the_address_of_a_link_is_read(text: str, label: str, url: str, heard: str) -> None:
    begin = len(text[: text.index(label)].encode("utf-16-le")) // 2
    link = {"type": "text_link", "offset": begin, "length": len(label), "url": url}
    assert text_of(text=text, entities=[link]) == heard
    assert text_of(caption=text, caption_entities=[link], **PHOTO) == heard


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("@desk_bot hello", "hello"),
        ("@desk_bot, @Desk_Bot: hello", "hello"),
        ("😀 what is this @desk_bot?", "😀 what is this?"),
        ("so @desk_bot what now", "so @desk_bot what now"),
        ("ask @desk_bot or mail info@desk_bot.example", "ask @desk_bot or mail info@desk_bot.example"),
        ("@desk_bot see https://x.example/@desk_bot", "see https://x.example/@desk_bot"),
    ],
)
def test_the_name_is_left_out_only_where_it_calls(text: str, heard: str) -> None:
    entities, start = [], 0
    for word in text.split():
        if word.strip(",:?").casefold() == "@desk_bot":
            begin = text.index(word, start)
            start = begin + 1
            entities.append({"type": "mention", "offset": len(text[:begin].encode("utf-16-le")) // 2, "length": 9})
    assert text_of(chat=TEAM, text=text, entities=entities) == heard


@pytest.mark.parametrize("text", ["mail info@desk_bot.example", "see https://t.example/@desk_bot", "@desk_bot_2 hi"])
def test_an_address_with_the_name_in_it_is_no_call_and_stays_whole(text: str) -> None:
    assert read(chat=TEAM, text=text) is None
    assert text_of(text=text) == text


def picture(number: int, **more: Any) -> dict[str, Any]:
    size = {"file_id": f"pic{number}", "file_unique_id": "x", "file_size": len(PIXEL), "width": 1, "height": 1}
    chat = {"id": 1, "type": "private"}
    message = {"message_id": number, "date": 1, "from": ANA, "chat": chat, "media_group_id": "A1", "photo": [size]}
    return {"message": message | more}


@asynccontextmanager
async def listening(simulator: TelegramSimulator, desk: RecordingDesk) -> AsyncIterator[TelegramChannel]:
    async with serve_routes(simulator) as routes:
        channel = TelegramChannel.create(TelegramChannel.manifest.read(simulator.settings()))
        routes.append(Mount("/channels/telegram", routes=list(channel.routes())))
        running = asyncio.create_task(channel.start(desk.accept))
        await simulator.wait_started()
        try:
            yield channel
        finally:
            await channel.stop()
            await running
            await channel.aclose()


@pytest.fixture(params=[False, True], ids=["polled", "called"])
async def simulator(request: pytest.FixtureRequest) -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator(uses_webhook=request.param) as simulator:
        simulator.files |= {f"pic{number}": PIXEL for number in range(4)}
        yield simulator


async def test_an_album_is_one_message_with_all_its_pictures(simulator: TelegramSimulator) -> None:
    desk = RecordingDesk()
    updates = [picture(0, caption="Which one is it?"), picture(1), picture(2)]
    async with listening(simulator, desk):
        numbered = [{"update_id": 50 + number} | update for number, update in enumerate(updates)]
        await asyncio.gather(*(simulator.deliver(update) for update in numbered))
        (album,) = await desk.received()
        await simulator.write(UserMessage("next"))
        await desk.received_text("next")
    assert (album.text, len(album.attachments), len(desk.inbox)) == ("Which one is it?", 3, 2)


async def test_an_album_of_a_group_is_whole_though_one_picture_alone_calls_the_desk(
    simulator: TelegramSimulator,
) -> None:
    desk = RecordingDesk()
    called = {"caption": "@desk_bot compare", "caption_entities": mention("@desk_bot compare")}
    updates = [picture(0, chat=TEAM), picture(1, chat=TEAM, **called)]
    async with listening(simulator, desk):
        numbered = [{"update_id": 50 + number} | update for number, update in enumerate(updates)]
        await asyncio.gather(*(simulator.deliver(update) for update in numbered))
        (album,) = await desk.received()
    assert (album.text, len(album.attachments)) == ("compare", 2)


async def test_an_album_that_the_desk_had_not_taken_comes_again_whole() -> None:
    """A process that ends between two pictures of an album has confirmed neither."""
    async with TelegramSimulator() as simulator:
        simulator.files |= {f"pic{number}": PIXEL for number in range(4)}
        first, second = RecordingDesk(), RecordingDesk()
        first.answer = lambda _: Admission("busy")
        async with listening(simulator, first):
            await simulator.deliver({"update_id": 50} | picture(0, caption="Both"))
            await first.received()
        await simulator.deliver({"update_id": 51} | picture(1))
        async with listening(simulator, second):
            (album,) = await second.received()
    assert (album.text, len(album.attachments)) == ("Both", 2)


async def test_a_picture_that_comes_while_its_album_is_being_taken_is_taken_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(updates, "ALBUM_SECONDS", 0.01)
    taken, begun, go_on = [], asyncio.Event(), asyncio.Event()

    async def take(updates: Sequence[Any]) -> bool:
        taken.append([update["update_id"] for update in updates])
        begun.set()
        await go_on.wait()
        return True

    together = updates.AlbumCollector(take)
    first = asyncio.create_task(together.add("1:9", {"update_id": 50}))
    await begun.wait()
    begun.clear()
    late = asyncio.create_task(together.add("1:9", {"update_id": 51}))
    await begun.wait()
    go_on.set()
    assert await asyncio.gather(first, late) == [True, True] and taken == [[50], [51]]


async def test_what_others_write_between_two_pictures_is_not_part_of_the_album() -> None:
    async with TelegramSimulator() as simulator:
        simulator.files |= {f"pic{number}": PIXEL for number in range(4)}
        desk = RecordingDesk()
        other = {"message_id": 9, "date": 1, "from": BO, "chat": {"id": 2, "type": "private"}, "text": "hi"}
        await simulator.deliver(
            {"update_id": 50} | picture(0), {"update_id": 51, "message": other}, {"update_id": 52} | picture(1)
        )
        async with listening(simulator, desk):
            await desk.received(2)
        assert [(one.text, len(one.attachments)) for one in desk.inbox] == [("hi", 0), ("", 2)]


async def test_a_picture_that_is_replied_to_and_gone_is_left_out(simulator: TelegramSimulator) -> None:
    desk = RecordingDesk()
    async with listening(simulator, desk):
        base = {"message_id": 9, "date": 1, "from": ANA, "chat": {"id": 1, "type": "private"}, "text": "and these?"}
        for name in ("gone", "pic1"):
            told = {"from": BO, "photo": [{"file_id": name, "file_unique_id": name, "file_size": 9}]}
            await simulator.deliver({"update_id": 50 + len(name), "message": base | {"reply_to_message": told}})
        gone, seen = await desk.received(2)
    assert (gone.attachments, gone.unsupported_media) == ((), None) and seen.attachments[0].data == PIXEL
