"""The settings of operators' rooms."""

from __future__ import annotations

import pytest

from qwendesk.channels.base import Channel
from qwendesk.channels.matrix.channel import MatrixChannel
from qwendesk.channels.slack.channel import SlackChannel
from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.errors import ConfigError

SLACK = {"bot_token": "xoxb-1", "app_token": "xapp-1"}
MATRIX = {"homeserver": "https://example.org", "user": "@desk:example.org", "password": "secret"}


@pytest.mark.parametrize(
    ("channel", "values", "room", "advice"),
    [
        (SlackChannel, SLACK, "#support", "'About' tab"),
        (SlackChannel, SLACK, "support", "'About' tab"),
        (SlackChannel, SLACK, "U0123456789", "'About' tab"),
        (TelegramChannel, {"token": "1:a"}, "@team", "@userinfobot"),
        (TelegramChannel, {"token": "1:a"}, "1234567", "@userinfobot"),
        (MatrixChannel, MATRIX, "#support:example.org", "under 'Advanced'"),
        (MatrixChannel, MATRIX, "!", "under 'Advanced'"),
        (MatrixChannel, MATRIX, "https://matrix.to/#/!abc:example.org", "under 'Advanced'"),
    ],
)
def test_a_name_of_a_room_is_no_id(channel: type[Channel], values: dict[str, str], room: str, advice: str) -> None:
    read = channel.manifest.read(values | {"operators_room": room})
    with pytest.raises(ConfigError, match=advice) as error:
        channel.create(read)
    assert repr(room) in str(error.value)


@pytest.mark.parametrize(
    ("channel", "values", "room"),
    [
        (SlackChannel, SLACK, "C0123456789"),
        (SlackChannel, SLACK, "G77"),
        (TelegramChannel, {"token": "1:a"}, "-1001234567890"),
        (MatrixChannel, MATRIX, "!AbCdEf:example.org"),
        (MatrixChannel, MATRIX, "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"),
    ],
)
def test_an_id_of_a_room_is_taken(channel: type[Channel], values: dict[str, str], room: str) -> None:
    made = channel.create(channel.manifest.read(values | {"operators_room": room}))
    assert made.operators_room and made.operators_room.room == room
    assert channel.create(channel.manifest.read(values)).operators_room is None


@pytest.mark.parametrize(("given", "code"), [("de", "de"), ("pt-BR", "pt"), ("German", "de"), ("", "")])
def test_the_language_of_a_room_is_one_that_is_known(given: str, code: str) -> None:
    values = MATRIX | {"operators_room": "!AbCdEf:example.org", "operators_room_language": given}
    made = MatrixChannel.create(MatrixChannel.manifest.read(values))
    assert made.operators_room and made.operators_room.language == code
    with pytest.raises(ConfigError, match=r"operators_room_language.*channels.matrix.*Did you mean 'German'"):
        MatrixChannel.create(MatrixChannel.manifest.read(values | {"operators_room_language": "Germann"}))
