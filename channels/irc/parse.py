"""IRC's lines: read into messages for the desk, and written so that none is too long."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from irctokens.line import Line

from qwendesk.channels.markup.cuts import divide_plain
from qwendesk.channels.mentions import is_mentioned, strip_mention
from qwendesk.messages import Inbound, storable

_MAX_LINE_BYTES = 400
"""What of a line's 512 bytes is left beside names: a server adds at most 10 bytes of user, 63 of host, and signs."""
_ACTION = re.compile("\x01ACTION (.*?)\x01?", re.DOTALL)
_COLOURS = re.compile("\x03(?:\\d{1,2}(?:,\\d{1,2})?)?|[\x02\x0f\x11\x16\x1d\x1e\x1f]")


def parse(line: Line, nick: str, server: str, abilities: Collection[str]) -> Inbound | None:
    """Return what a line says to the desk; None where it is not for the desk, or of a program.

    Args:
        line: a PRIVMSG.
        nick: what the desk is called.
        server: the network's address.
        abilities: what was agreed on; only then a mark on a line is the server's.

    Raises:
        ValueError, IndexError: it is no line as the standard has it.
    """
    target, text = line.params
    who, tags = line.hostmask, line.tags if "message-tags" in abilities and line.tags else {}
    private, own = normalize_name(target) == normalize_name(nick), normalize_name(who.nickname) == normalize_name(nick)
    if (action := _ACTION.fullmatch(text)) is not None:
        text = action[1]  # what somebody wrote behind /me
    text = _COLOURS.sub("", storable(text)).strip()
    if own or text.startswith("\x01") or not {"bot", "draft/bot"}.isdisjoint(tags) or not who.hostname:
        return None  # the desk itself, a client's query, a program, the server
    if not text or not (private or is_mentioned(text, [nick])):
        return None
    # a nick alone is anybody's; who has it from elsewhere is somebody else, unless the network knows the account
    person = tags.get("account") or f"{normalize_name(who.nickname)}!{who.username}@{who.hostname}"
    return Inbound(
        text if private else strip_mention(text, [nick]),
        f"{who.nickname} {person}" if private else normalize_name(target),
        person=person,
        channel="irc",
        account=server,
        event=tags.get("msgid"),
        reply_to=None if private else who.nickname,
        group=not private,
        display_name=who.nickname,
    )


def split_lines(text: str, names: str) -> Iterator[str]:
    """Return a text's lines, none of them too long for a server that puts names before it."""
    most = _MAX_LINE_BYTES - len(names.encode())
    for line in re.split(r"[\r\n\0]+", text.replace("\x01", "")):
        yield from divide_plain(line.rstrip(), lambda part: len(part.encode()) <= most)


def normalize_name(name: str) -> str:
    """Return a name with small letters, only those of ASCII: two that merely look alike stay two."""
    return name.encode().lower().decode()
