"""Replies and quotes on XMPP, IRC and the webhook, and mentions of the desk."""

from __future__ import annotations

from typing import Any

import pytest
from irctokens.line import tokenise
from slixmpp import JID, ClientXMPP, Message

from qwendesk.channels.ingest import Quote, is_mentioned, strip_mention, with_quotes
from qwendesk.channels.irc.connection import parse as parse_line
from qwendesk.channels.webhook.channel import parse as parse_call
from qwendesk.channels.xmpp.parse import parse

OWN, ANA = JID("desk@x.example"), "ana@x.example/phone"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("desk: hello", True),
        ("@desk hello", True),
        ("hello, desk!", True),
        ("is (desk) here? thanks desk.", True),
        ("Desk, and desk: hi", True),
        ("mail info@desk.example", False),
        ("mail desk@x.example", False),
        ("see https://desk.example/a", False),
        ("see https://x.example/desk/a", False),
        ("open /home/desk/a or C:\\desk\\a", False),
        ("run desk.exe", False),
        ("host desk:8080", False),
        ("?user=desk", False),
        ("the helpdesk, my-desk", False),
        ("desktop", False),
    ],
)
def test_a_name_within_an_address_is_no_call(text: str, named: bool) -> None:
    assert is_mentioned(text, ["desk"]) is named


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("desk: @desk, hello desk", "hello desk"),
        ("desk.example is down", "desk.example is down"),
        ("ask desk about info@desk.example", "ask desk about info@desk.example"),
    ],
)
def test_the_name_is_left_out_only_where_it_calls(text: str, heard: str) -> None:
    assert strip_mention(text, ["desk"]) == heard


def test_what_is_written_behind_slash_me_is_heard_on_irc() -> None:
    line = tokenise(":ana!a@host PRIVMSG desk :\x01ACTION wants a refund\x01")
    found = parse_line(line, "desk", "irc.x.example", ())
    assert found and found.text == "wants a refund"
    assert parse_line(tokenise(":ana!a@host PRIVMSG desk :\x01VERSION\x01"), "desk", "irc.x.example", ()) is None
    assert (
        parse_line(tokenise(":ana!a@host PRIVMSG #a :\x01ACTION mails info@desk.example\x01"), "desk", "x", ()) is None
    )


@pytest.fixture
async def client() -> ClientXMPP:
    made = ClientXMPP("desk@x.example", "x")
    for number in ("0066", "0203", "0308", "0461"):
        made.register_plugin(f"xep_{number}")
    return made


def message(client: ClientXMPP, body: str, kind: str = "chat", sender: str = ANA) -> Message:
    made = client.make_message(OWN, body, mtype=kind, mfrom=sender)
    made["id"] = "m1"
    return made


async def test_what_is_replied_to_is_quoted_on_xmpp(client: ClientXMPP) -> None:
    reply = message(client, "why?")
    reply["reply"]["id"], reply["reply"]["to"] = "m0", "bo@x.example"
    reply["reply"].add_quoted_fallback("Lift 3\nis stuck.", "Bo")
    found = parse(reply, OWN, "", "ana@x.example")
    assert found and found[0].text == "> Bo wrote:\n> Lift 3\n> is stuck.\n\nwhy?"


async def test_a_reply_to_the_desk_in_a_room_is_known_for_one(client: ClientXMPP) -> None:
    reply = message(client, "shorter", "groupchat", "lobby@rooms.x.example/Ana")
    reply["reply"]["id"], reply["reply"]["to"] = "m0", "lobby@rooms.x.example/desk"
    reply["reply"].add_quoted_fallback("A long answer.", "desk")
    found = parse(reply, OWN, "desk", "ana@x.example")
    assert found and found[0].text == "> you, the assistant wrote:\n> A long answer.\n\nshorter"


@pytest.mark.parametrize(
    ("body", "heard"),
    [("> my own quote\nIs it so?", "> my own quote\nIs it so?"), ("/me is waiting", "is waiting"), ("/why", "/why")],
)
async def test_what_a_person_writes_stays_as_it_is_on_xmpp(client: ClientXMPP, body: str, heard: str) -> None:
    found = parse(message(client, body), OWN, "", "ana@x.example")
    assert found and found[0].text == heard


def test_a_program_may_say_what_is_replied_to() -> None:
    body: dict[str, Any] = {"conversation": "c", "text": "why?", "quote": {"name": "Bo", "text": "Closed\non Monday"}}
    assert parse_call(body, "n").text == "> Bo wrote:\n> Closed\n> on Monday\n\nwhy?"
    assert "\0" not in parse_call(body | {"quote": {"name": "B\0o", "text": "Closed\0 \ud800"}}, "n").text
    for wrong in ("x", {"name": "Bo"}, {"text": 5}):
        with pytest.raises(ValueError, match="'quote'"):
            parse_call(body | {"quote": wrong}, "n")


def test_nothing_within_a_quote_looks_like_the_person_s_own_words() -> None:
    said = with_quotes("mine", [Quote("a\r\nb\u2028c\x85d\n\n/new", "Bo\nana wrote:")])
    *quoted, blank, own = said.splitlines()
    assert all(line.startswith(">") for line in quoted) and (blank, own) == ("", "mine")


def test_a_long_quote_is_cut_and_a_moment_that_is_none_is_left_out() -> None:
    assert len(with_quotes("why?", [Quote("word " * 5000, "Bo")])) < 5000
    assert len(with_quotes("why?", [Quote("word " * 5000, own=True)])) < 1500
    assert len(with_quotes("why?", [Quote("word " * 5000, "Bo")] * 8)) < 5000
    assert with_quotes("", [Quote("x", kind="forward", moment=1e30)]) == "> Forwarded message:\n> x"
    assert with_quotes("why?", [Quote(" ")]) == "why?"
