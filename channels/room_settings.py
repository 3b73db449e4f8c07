"""The settings of an operators' room, for channels that can have one."""

from __future__ import annotations

import re

from qwendesk.channels.base import Setting
from qwendesk.desk.interpreter.translator import parse_language
from qwendesk.desk.operator_rooms.room import OperatorsRoom
from qwendesk.errors import ConfigError


def room_settings(room_help: str) -> tuple[Setting, ...]:
    """Return the settings of an operators' room, for channels that can have one.

    Args:
        room_help: what the room is on this platform, and how its id is found.
    """
    return (
        Setting("operators_room", f"Where operators work on tickets: {room_help} Empty: nowhere."),
        Setting("operators_room_teams", "Teams whose tickets are shown there; empty: all tickets.", default=()),
        Setting("operators_room_language", "Language that is read there, such as 'de'; empty: nothing is translated."),
    )


def make_room(
    channel: str, is_id: str, room_help: str, room: str, teams: tuple[str, ...], language: str
) -> OperatorsRoom | None:
    """Return the operators' room of a channel's settings; None: there is none.

    Args:
        channel: the channel's name.
        is_id: regular expression that an id of a room matches as a whole.
        room_help: that of ``room_settings``.
        room: the id.
        teams: teams whose tickets are shown there.
        language: language that is read there, as a code or an English name.

    Raises:
        ConfigError: there is no such language, or the id is none, such as a name, by which the messages of the room
            cannot be told apart.
    """
    if not room:
        return None
    if not re.fullmatch(is_id, room):
        raise ConfigError(f"'operators_room' in [channels.{channel}] is {room!r}, but must be {room_help}")
    try:
        return OperatorsRoom(room, teams, parse_language(language) if language else "")
    except ConfigError as error:
        raise ConfigError(f"'operators_room_language' in [channels.{channel}]: {error}") from error
