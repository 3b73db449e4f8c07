"""A message's text with what its entities say: the addresses of links, and the bot's name where it is only called.

The Bot API counts places in units of UTF-16.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Me:
    """Who the bot is on Telegram."""

    id: int
    username: str


Entity = dict[str, Any]


def said(message: dict[str, Any]) -> tuple[str, Sequence[Entity]]:
    """Return the text of a message or its caption, and the entities of that."""
    if message.get("text"):
        return str(message["text"]), message.get("entities") or ()
    return str(message.get("caption") or ""), message.get("caption_entities") or ()


def marked(text: str, entity: Entity) -> str:
    """Return what an entity is about."""
    begin, length = int(entity["offset"]), int(entity["length"])
    return _units(text)[2 * begin : 2 * (begin + length)].decode("utf-16-le", "replace")


def names(entity: Entity, text: str, me: Me) -> bool:
    """Tell whether an entity is the bot's name."""
    if entity["type"] == "text_mention":
        return bool(entity["user"]["id"] == me.id)
    return bool(entity["type"] == "mention") and marked(text, entity).casefold() == f"@{me.username}".casefold()


def readable(text: str, entities: Sequence[Entity], me: Me) -> str:
    """Return a text with the address of each link behind its words, and without the bot's name at its edges."""
    raw = _units(text)
    for begin, end, fresh in sorted(_changes(text, entities, me), reverse=True):
        raw = raw[: 2 * begin] + fresh.encode("utf-16-le", "replace") + raw[2 * end :]
    return raw.decode("utf-16-le", "replace").strip()


def _changes(text: str, entities: Sequence[Entity], me: Me) -> Iterator[tuple[int, int, str]]:
    """Yield places, and what is to stand there."""
    for entity in entities:
        if entity["type"] == "text_link":
            end, url = int(entity["offset"]) + int(entity["length"]), str(entity["url"])
            label = marked(text, entity)
            if label.strip().rstrip("/") not in (url.rstrip("/"), url.partition("://")[2].rstrip("/")):
                yield end, end, f" ({url})"
        elif entity["type"] == "bot_command" and marked(text, entity).casefold().endswith(f"@{me.username}".casefold()):
            end = int(entity["offset"]) + int(entity["length"])
            yield end - len(me.username) - 1, end, ""
    yield from _calls(text, [one for one in entities if names(one, text, me)])


def _calls(text: str, mentions: Sequence[Entity]) -> Iterator[tuple[int, int, str]]:
    """Yield the places of the bot's name before and behind what is said; within a sentence it is part of that."""
    raw = _units(text)
    places = sorted((int(one["offset"]), int(one["offset"]) + int(one["length"])) for one in mentions)
    start, end = 0, len(raw) // 2
    for begin, stop in places:
        if not _between(raw, start, begin).strip():
            tail = _between(raw, stop, end)
            start = stop + len(_units(tail)) // 2 - len(_units(tail.lstrip(" ,:\n"))) // 2
            yield begin, start, ""
    for begin, stop in reversed(places):
        if begin >= start and not _between(raw, stop, end).strip(" .!?"):
            head = _between(raw, start, begin)
            end = begin - (len(_units(head)) - len(_units(head.rstrip()))) // 2
            yield end, stop, ""


def _between(raw: bytes, begin: int, end: int) -> str:
    return raw[2 * begin : 2 * end].decode("utf-16-le", "replace")


def _units(text: str) -> bytes:
    return text.encode("utf-16-le", "replace")
