"""Shared messages, threads, links and files of other workspaces on Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from qwendesk.channels.base import Channel
from qwendesk.channels.slack.channel import SlackChannel
from qwendesk.channels.slack.parse import SlackEvent, SlackIdentity, parse
from qwendesk.messages import Attachment
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import PIXEL, RecordingDesk
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.slack import SlackSimulator

ME = SlackIdentity("T1", "UBOT")


def read(**more: Any) -> SlackEvent | None:
    base = {"type": "message", "channel": "D1", "channel_type": "im", "user": "U1", "ts": "1.2", "text": ""}
    return parse("events_api", {"event": base | more}, ME)


def text_of(**more: Any) -> str:
    parsed = read(**more)
    assert parsed
    return parsed.inbound.text


def rich(*elements: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "rich_text", "elements": list(elements)}]


def line(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def word(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_a_shared_message_stands_above_the_question_with_its_author() -> None:
    shared = {"is_share": True, "author_name": "Bo Li", "ts": "1760000000.1", "text": "Pump &lt;9&gt; is *down*\nagain"}
    assert text_of(text="what now?", attachments=[shared]) == (
        "> Forwarded message from Bo Li on 2025-10-09 08:53 UTC:\n> Pump <9> is *down*\n> again\n\nwhat now?"
    )
    assert text_of(attachments=[shared]).endswith("> again")


def test_a_shared_message_without_a_text_is_read_from_its_blocks_and_its_files() -> None:
    file = {"id": "F1", "name": "plan.pdf", "mimetype": "application/pdf", "size": 9, "url_private": "https://x/p"}
    kept = [
        {
            "message": {
                "blocks": rich(line(word("Only "), {"type": "link", "url": "https://x.example/a", "text": "this"}))
            }
        }
    ]
    parsed = read(text="and?", attachments=[{"is_msg_unfurl": True, "message_blocks": kept, "files": [file]}])
    assert parsed and "> Only this (https://x.example/a)\n> [file plan.pdf]" in parsed.inbound.text
    assert [one.name for one in parsed.files] == ["plan.pdf"]


@pytest.mark.parametrize(
    ("attachment", "shown"),
    [
        (
            {"title": "Ticket 7", "title_link": "https://t.example/7", "text": "Broken"},
            "Ticket 7 (https://t.example/7)\n> Broken",
        ),
        ({"fields": [{"title": "State", "value": "open"}]}, "State: open"),
        ({"fallback": "A chart"}, "A chart"),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "a &amp; b"}}]}, "a & b"),
    ],
)
def test_cards_of_other_apps_are_read(attachment: dict[str, Any], shown: str) -> None:
    assert text_of(text="hm", attachments=[attachment]) == f"> Somebody wrote:\n> {shown}\n\nhm"


def test_a_message_that_is_all_blocks_is_read() -> None:
    blocks = rich(
        line(word("Check "), {"type": "user", "user_id": "U9"}, word(" "), {"type": "emoji", "name": "eyes"}),
        {"type": "rich_text_list", "style": "ordered", "elements": [line(word("one")), line(word("two"))]},
        {"type": "rich_text_quote", "elements": [word("quoted")]},
        {"type": "rich_text_preformatted", "elements": [word("a < b")]},
    )
    assert text_of(blocks=blocks) == "Check @U9 :eyes:\n1. one\n2. two\n> quoted\n```\na < b\n```"


@pytest.mark.parametrize("subtype", ["thread_broadcast", "me_message", "file_share", None])
def test_every_way_in_which_a_person_writes_is_heard(subtype: str | None) -> None:
    assert text_of(subtype=subtype, text="still broken") == "still broken"


@pytest.mark.parametrize("subtype", ["message_changed", "channel_join", "bot_message", "message_deleted"])
def test_what_nobody_says_is_not_heard(subtype: str) -> None:
    assert read(subtype=subtype, text="x") is None


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("see <https://x.example/r|the rules>", "see the rules (https://x.example/r)"),
        ("see <https://x.example|x.example> <https://x.example/b>", "see https://x.example https://x.example/b"),
        ("mail <mailto:a@x.example|a@x.example>", "mail a@x.example"),
        ("<@UBOT>, <@UBOT>: what is <@U9>?", "what is @U9?"),
        ("so <@UBOT>, what now <@UBOT>?", "so, what now?"),
        (":wave: hi  there", ":wave: hi  there"),
        ("call <tel:+123|+123>", "call +123"),
        ("&gt; quoted\nmine", "> quoted\nmine"),
    ],
)
def test_links_and_names_are_read_as_they_were_meant(written: str, heard: str) -> None:
    assert text_of(text=written) == heard


@pytest.mark.parametrize(
    ("file", "files", "unsupported_media"),
    [
        ({"url_private": "https://files.slack.com/a", "size": 5}, ["https://files.slack.com/a"], None),
        ({"id": "F1", "file_access": "check_file_info"}, [""], None),
        ({"id": "F1", "mode": "tombstone"}, [], "file"),
        ({"id": "F1", "mode": "hidden_by_limit", "size": 3}, [], "file"),
        ({"id": "F1", "file_access": "access_denied"}, [], "file"),
        ({"url_private": "https://files.slack.com/a", "size": 10**9}, [], "large file"),
        ({"url_private": "https://files.slack.com/a", "size": 0}, [], "empty file"),
        ({}, [], "file"),
    ],
)
def test_a_message_is_heard_whatever_is_with_its_file(
    file: dict[str, Any], files: list[str], unsupported_media: str | None
) -> None:
    parsed = read(subtype="file_share", text="look", files=[file])
    assert parsed and parsed.inbound.text == "look"
    assert ([one.url for one in parsed.files], parsed.inbound.unsupported_media) == (files, unsupported_media)


def test_a_file_that_lies_elsewhere_is_named_with_its_address() -> None:
    file = {"id": "F1", "is_external": True, "title": "Budget", "url_private": "https://drive.example/x", "size": 0}
    assert text_of(subtype="file_share", files=[file]) == "Budget: https://drive.example/x"


class TestWorkspace:
    channel = ChannelConformance.channel
    desk = ChannelConformance.desk
    channel_class = SlackChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[SlackSimulator]:
        async with SlackSimulator() as simulator:
            yield simulator

    async def test_a_file_of_another_workspace_is_asked_for(
        self, simulator: SlackSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        simulator.elsewhere["F7"] = Attachment("image", "image/png", PIXEL, "a.png")
        event = {"type": "message", "channel": "D1", "channel_type": "im", "user": "U1", "subtype": "file_share"}
        for number, name in enumerate(("F7", "F8")):
            file = {"id": name, "mode": "file_access", "file_access": "check_file_info"}
            told = {"ts": f"{number}.1", "text": "look", "files": [file]}
            await simulator.deliver_malformed({"type": "event_callback", "event": event | told})
        seen, gone = await desk.received(2)
        assert seen.attachments[0].data == PIXEL and (gone.text, gone.unsupported_media) == ("look", "file")

    async def test_who_calls_the_desk_into_a_thread_points_at_its_first_message(
        self, simulator: SlackSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        simulator.threads["1.5"] = {"user": "U9", "text": "Lift 3 is stuck", "ts": "1.5"}
        for text in ("why?", "and now?"):
            await simulator.write(UserMessage(text, chat="5", group=True, mention=True, reply_to="1.5"))
        await simulator.write(UserMessage("another thread", chat="5", group=True, mention=True, reply_to="1.9"))
        first, second, third = await desk.received(3)
        assert first.text == "> U9 wrote:\n> Lift 3 is stuck\n\nwhy?"
        assert (second.text, third.text) == ("and now?", "another thread")
