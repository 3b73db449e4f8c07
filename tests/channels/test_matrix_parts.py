"""What is read of a room's events."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwendesk.channels.matrix.channel import MatrixChannel
from qwendesk.channels.matrix.parse import Me, parse
from qwendesk.errors import ConfigError
from qwendesk.service import Service
from qwendesk.settings import Settings

HELP = Me("@help:here.example", "help")


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


def _said(text: str) -> dict[str, object]:
    content: dict[str, object] = {"msgtype": "m.text", "body": text}
    return {"type": "m.room.message", "sender": "@anna:h", "event_id": "$1", "content": content}
