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
