"""Parsing of Matrix events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwendesk.channels.matrix.channel import MatrixChannel
from qwendesk.channels.matrix.parse import MatrixIdentity, parse, quote_of
from qwendesk.errors import ConfigError
from qwendesk.service import Service
from qwendesk.settings import Settings

HELP = MatrixIdentity("@help:here.example", "help")


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("can you help me?", None),
        ("help!", None),
        ("@help can you?", "can you?"),
        ("@help: can you?", "can you?"),
        ("@help:here.example can you?", "can you?"),
        ("so, @help, can you?", "so, @help, can you?"),
        ("@help:elsewhere.example can you?", None),
        ("@help.desk can you?", None),
        ("@helpers, lunch?", None),
        ("mail me@help", None),
    ],
)
def test_among_people_the_desk_hears_its_name_and_no_mere_word(said: str, heard: str | None) -> None:
    parsed = parse(_said(said), "!r", 3, {}, HELP)
    assert (parsed and parsed.inbound.text) == heard


def test_who_is_mentioned_by_the_client_is_spoken_to() -> None:
    event = _said("help: can you?")
    event["content"]["m.mentions"] = {"user_ids": [HELP.user]}
    parsed = parse(event, "!r", 3, {}, HELP)
    assert parsed and parsed.inbound.text == "can you?"


def test_alone_with_the_desk_a_word_stays_a_word() -> None:
    parsed = parse(_said("help me"), "!r", 2, {}, HELP)
    assert parsed and parsed.inbound.text == "help me"


@pytest.mark.parametrize("part", ["ingress", "worker"])
def test_a_part_that_could_not_send_is_refused(part: str, tmp_path: Path) -> None:
    values = {"homeserver": "https://h.example", "user": "@d:h.example", "password": "x", "data_dir": str(tmp_path)}
    channel = MatrixChannel.create(MatrixChannel.manifest.read(values))
    settings = Settings(home=tmp_path, database_url="postgresql+psycopg://nowhere/none")
    with pytest.raises(ConfigError, match="only the process that listens"):
        Service(settings, part, channels={"matrix": channel})  # type: ignore[arg-type]
    assert Service(settings, channels={"matrix": channel})


REPLY = {"m.in_reply_to": {"event_id": "$0"}}
HTML = "org.matrix.custom.html"


@pytest.mark.parametrize(
    ("body", "relation", "heard"),
    [
        ("> all sales are final\n\nIs that legal?", None, "> all sales are final\n\nIs that legal?"),
        ("> all sales are final\n\nIs that legal?", REPLY, "> all sales are final\n\nIs that legal?"),
        ("> <@bo:h> old\n> older\n\nnew", REPLY, "new"),
        ("> * <@bo:h> waves\n\nhi", REPLY, "hi"),
        ("> <@bo:h> old\n\n> mine\n\nnew", REPLY, "> mine\n\nnew"),
        ("> <@bo:h> old\n\nnew", None, "> <@bo:h> old\n\nnew"),
    ],
)
def test_only_what_a_client_put_above_a_reply_is_left_out(body: str, relation: Any, heard: str) -> None:
    event = _said(body)
    event["content"] |= {"m.relates_to": relation} if relation else {}
    parsed = parse(event, "!r", 2, {}, HELP)
    assert parsed and parsed.inbound.text == heard
    assert parsed.replied == ("$0" if relation else None)
    if relation and body.startswith("> <@bo:h> old\n> older"):
        assert parsed.fallback and (parsed.fallback.author, parsed.fallback.text) == ("@bo:h", "old\nolder")


def test_in_a_thread_the_message_before_is_not_what_is_replied_to() -> None:
    event = _said("and now?")
    thread = {"rel_type": "m.thread", "event_id": "$t", "is_falling_back": True}
    event["content"]["m.relates_to"] = REPLY | thread
    parsed = parse(event, "!r", 2, {}, HELP)
    assert parsed and (parsed.replied, parsed.inbound.conversation) == (None, "!r|$t")
    event["content"]["m.relates_to"] = REPLY | thread | {"is_falling_back": False}
    parsed = parse(event, "!r", 2, {}, HELP)
    assert parsed and parsed.replied == "$0"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"msgtype": "m.text", "body": "Lift 3"}, "Lift 3"),
        ({"msgtype": "m.text", "body": "> <@c:h> a\n\nb", "m.relates_to": REPLY}, "b"),
        ({"msgtype": "m.text", "body": "* b", "m.new_content": {"msgtype": "m.text", "body": "b"}}, "b"),
        ({"msgtype": "m.image", "body": "a.png", "url": "mxc://h/1"}, "[image a.png]"),
        (
            {"msgtype": "m.image", "body": "My plant", "filename": "a.png", "url": "mxc://h/1"},
            "[image a.png]\nMy plant",
        ),
        ({"msgtype": "m.location", "body": "Oslo"}, "[location Oslo]"),
    ],
)
def test_what_is_replied_to_is_quoted_with_its_author(content: dict[str, Any], said: str) -> None:
    event = {"type": "m.room.message", "sender": "@bo:h", "event_id": "$0", "content": content}
    quote, file = quote_of(event, HELP)
    assert quote and (quote.text, quote.author, quote.own) == (said, "@bo:h", False)
    assert bool(file) == ("url" in content)
    own, _ = quote_of(event | {"sender": HELP.user}, HELP)
    assert own and own.own
    assert quote_of({"type": "m.room.encrypted", "sender": "@bo:h", "content": {}}, HELP) == (None, None)


@pytest.mark.parametrize(
    ("body", "formatted", "heard"),
    [
        ("see the rules, please", 'see <a href="https://x.example/r_1">the rules</a>, please', None),
        ("see https://x.example", 'see <a href="https://x.example">https://x.example</a>', "see https://x.example"),
        ("see x.example", 'see <a href="https://x.example/">x.example</a>', "see x.example"),
        ("help: hi", '<a href="https://matrix.to/#/@help:here.example">help</a>: hi', "hi"),
        ("Help Desk: hi", '<a href="https://matrix.to/#/%40help%3Ahere.example">Help Desk</a>: hi', "hi"),
        ("Bo: hi", '<a href="https://matrix.to/#/@bo:h">Bo</a>: hi', "Bo: hi"),
        ("b", '<mx-reply><a href="https://x.example/old">old</a></mx-reply>b', "b"),
        ("pic", '<a href="javascript:x">pic</a>', "pic"),
    ],
)
def test_the_address_of_a_link_is_read(body: str, formatted: str, heard: str | None) -> None:
    event = _said(body)
    event["content"] |= {"format": HTML, "formatted_body": formatted}
    parsed = parse(event, "!r", 2, {}, HELP)
    assert parsed and parsed.inbound.text == (heard or "see the rules (https://x.example/r_1), please")


def _said(text: str) -> dict[str, Any]:
    content: dict[str, Any] = {"msgtype": "m.text", "body": text}
    return {"type": "m.room.message", "sender": "@anna:h", "event_id": "$1", "content": content}
