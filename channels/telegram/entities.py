"""Message entities: link URLs are added to the text, mentions that only address the bot are removed.

Offsets and lengths count UTF-16 code units, as in the Bot API.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Entity = dict[str, Any]
"""A ``MessageEntity`` as JSON."""


_MARKS = {"bold": "**", "italic": "_", "strikethrough": "~~", "code": "`"}


@dataclass(frozen=True, slots=True)
class TelegramIdentity:
    """The bot's own account."""

    id: int
    username: str


def text_and_entities(message: dict[str, Any]) -> tuple[str, Sequence[Entity]]:
    """Return the text or caption of a message, and its entities."""
    if message.get("text"):
        return str(message["text"]), message.get("entities") or ()
    return str(message.get("caption") or ""), message.get("caption_entities") or ()


def entity_text(text: str, entity: Entity) -> str:
    """Return the part of a text that an entity covers."""
    begin, length = int(entity["offset"]), int(entity["length"])
    return _units(text)[2 * begin : 2 * (begin + length)].decode("utf-16-le", "replace")


def is_bot_mention(entity: Entity, text: str, me: TelegramIdentity) -> bool:
    """Return whether an entity mentions the bot."""
    if entity["type"] == "text_mention":
        return bool(entity["user"]["id"] == me.id)
    return bool(entity["type"] == "mention") and entity_text(text, entity).casefold() == f"@{me.username}".casefold()


def readable_text(text: str, entities: Sequence[Entity], me: TelegramIdentity) -> str:
    """Return a text with each link's URL after its label, without mentions of the bot at start and end."""
    raw = _units(text)
    for begin, end, fresh in sorted(_changes(text, entities, me), reverse=True):
        raw = raw[: 2 * begin] + fresh.encode("utf-16-le", "replace") + raw[2 * end :]
    return raw.decode("utf-16-le", "replace").strip()


def markdown_text(text: str, entities: Sequence[Entity], me: TelegramIdentity) -> str:
    """Return a text as Markdown, without mentions of the bot at start and end."""
    raw, opened, closed = _units(text), dict[int, str](), dict[int, str]()
    for entity in sorted(entities, key=lambda one: (int(one["offset"]), -int(one["length"]))):
        begin, end = _inner(raw, int(entity["offset"]), int(entity["length"]))
        if begin < end and (marks := _marks(entity)):
            opened[begin] = opened.get(begin, "") + marks[0]
            closed[end] = marks[1] + closed.get(end, "")  # what opens last closes first
    marked = [(at, at, closed.get(at, "") + opened.get(at, "")) for at in {*opened, *closed}]
    others = [entity for entity in entities if entity["type"] != "text_link"]
    for begin, end, fresh in sorted([*marked, *_changes(text, others, me)], reverse=True):
        raw = raw[: 2 * begin] + fresh.encode("utf-16-le", "replace") + raw[2 * end :]
    return raw.decode("utf-16-le", "replace").strip()


def _marks(entity: Entity) -> tuple[str, str] | None:
    """Return the Markdown before and after an entity; None: it has none."""
    match entity["type"]:
        case "text_link":
            return "[", f"]({entity['url']})"
        case "pre":
            return f"```{entity.get('language') or ''}\n", "\n```"
    mark = _MARKS.get(entity["type"])
    return (mark, mark) if mark else None


def _inner(raw: bytes, offset: int, length: int) -> tuple[int, int]:
    """Return a range without blanks at its ends, where marks would stay as they are."""
    text = _between(raw, offset, offset + length)
    begin = offset + len(_units(text)) // 2 - len(_units(text.lstrip())) // 2
    return begin, begin + len(_units(text.strip())) // 2


def _changes(text: str, entities: Sequence[Entity], me: TelegramIdentity) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and replacement of each changed range."""
    for entity in entities:
        if entity["type"] == "text_link":
            end, url = int(entity["offset"]) + int(entity["length"]), str(entity["url"])
            label = entity_text(text, entity)
            if label.strip().rstrip("/") not in (url.rstrip("/"), url.partition("://")[2].rstrip("/")):
                yield end, end, f" ({url})"
        elif entity["type"] == "bot_command" and entity_text(text, entity).casefold().endswith(
            f"@{me.username}".casefold()
        ):
            end = int(entity["offset"]) + int(entity["length"])
            yield end - len(me.username) - 1, end, ""
    yield from _edge_mentions(text, [one for one in entities if is_bot_mention(one, text, me)])


def _edge_mentions(text: str, mentions: Sequence[Entity]) -> Iterator[tuple[int, int, str]]:
    """Yield the ranges of mentions of the bot at start and end; a mention within a sentence stays."""
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
