"""Parse PRIVMSG lines to inbound messages; split texts to lines of the allowed length."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from irctokens.line import Line

from qwendesk.channels.markup.text_split import split_plain
from qwendesk.channels.mentions import is_mentioned, strip_mention
from qwendesk.messages import Inbound, storable

_MAX_LINE_BYTES = 400
"""The rest of a line's 512 bytes: servers add up to 10 bytes of user, 63 bytes of host, and separators."""
_ACTION = re.compile("\x01ACTION (.*?)\x01?", re.DOTALL)
_COLOURS = re.compile("\x03(?:\\d{1,2}(?:,\\d{1,2})?)?|[\x02\x0f\x11\x16\x1d\x1e\x1f]")


def parse(line: Line, nick: str, server: str, capabilities: Collection[str]) -> Inbound | None:
    """Return the message of a line; None if it does not address the desk or a bot sent it.

    Args:
        line: A PRIVMSG.
        nick: The desk's nick.
        server: The server's host name.
        capabilities: The enabled capabilities; tags are trusted only with ``message-tags``.

    Raises:
        ValueError, IndexError: The line does not conform to the IRC protocol.
    """
    target, text = line.params
    who, tags = line.hostmask, line.tags if "message-tags" in capabilities and line.tags else {}
    private, own = normalize_name(target) == normalize_name(nick), normalize_name(who.nickname) == normalize_name(nick)
    if (action := _ACTION.fullmatch(text)) is not None:
        text = action[1]  # the text of /me
    text = _COLOURS.sub("", storable(text)).strip()
    if own or text.startswith("\x01") or not {"bot", "draft/bot"}.isdisjoint(tags) or not who.hostname:
        return None  # the desk, a CTCP query, a bot, or the server
    if not text or not (private or is_mentioned(text, [nick])):
        return None
    # a nick is no identity: without an account, user and host distinguish people
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
    """Split a text into lines that fit with the names that the server adds."""
    limit = _MAX_LINE_BYTES - len(names.encode())
    for line in re.split(r"[\r\n\0]+", text.replace("\x01", "")):
        yield from split_plain(line.rstrip(), lambda part: len(part.encode()) <= limit)


def normalize_name(name: str) -> str:
    """Return a name with ASCII letters in lower case, as in the casemapping ``ascii``."""
    return name.encode().lower().decode()
