"""From an update of the Bot API to a message for the desk; whatever is not for the desk is None."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from qwendesk.channels.commands import GREETINGS, NAMES
from qwendesk.messages import Inbound

LARGEST_FILE = 20 * 2**20
"""What bots may download, in bytes."""
_SEEN = ("photo", "voice", "audio", "document")
_UNSEEN = ("video", "video_note", "animation", "sticker", "location", "venue", "contact", "poll", "dice", "story")
"""Kinds of message without a text that a model could read."""


@dataclass(frozen=True, slots=True)
class Me:
    """The bot's own account."""

    id: int
    username: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that waits on the platform."""

    id: str
    kind: str
    """``photo``, ``voice``, ``audio`` or ``document``."""
    name: str
    mime: str
    size: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message, the files it speaks of, and the button press that has to be answered."""

    inbound: Inbound
    files: tuple[File, ...] = ()
    callback: str | None = None


def parse(update: dict[str, Any], me: Me) -> Parsed | None:
    """Return what an update says to the desk.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it has not the shape that the Bot API promises.
    """
    event = str(int(update["update_id"]))
    if query := update.get("callback_query"):
        return _pressed(query, event, me)
    message = update.get("message")
    if not message or "from" not in message or message["from"].get("is_bot"):
        return None
    text = str(message.get("text") or message.get("caption") or "")
    group = message["chat"]["type"] != "private"
    if group and not _addressed(message, text, me):
        return None
    files = tuple(_files(message))
    readable = tuple(file for file in files if file.size <= LARGEST_FILE)
    unseen = next((kind for kind in _UNSEEN if kind in message), None)
    unreadable = "large file" if len(readable) < len(files) else unseen
    if not (text or files or unreadable):
        return None  # somebody joined, a title changed
    inbound = _inbound(message, message["from"], event, me, _without_name(text, me), unreadable)
    return Parsed(inbound, readable)


def conversation_of(message: dict[str, Any]) -> str:
    """Return the key of a chat, or of a topic in it."""
    chat = str(int(message["chat"]["id"]))
    topic = message.get("message_thread_id") if message.get("is_topic_message") else None
    return f"{chat}:{int(topic)}" if topic else chat


def _pressed(query: dict[str, Any], event: str, me: Me) -> Parsed | None:
    message = query.get("message")
    if not message or not query.get("data"):
        return None
    inbound = _inbound(message, query["from"], event, me, str(query["data"]), None)
    return Parsed(inbound, callback=str(query["id"]))


def _inbound(
    message: dict[str, Any], sender: dict[str, Any], event: str, me: Me, text: str, unreadable: str | None
) -> Inbound:
    names = (sender.get("first_name"), sender.get("last_name"))
    return Inbound(
        text,
        conversation_of(message),
        person=str(int(sender["id"])),
        channel="telegram",
        account=str(me.id),
        event=event,
        reply_to=str(int(message["message_id"])),
        locale=sender.get("language_code"),
        group=message["chat"]["type"] != "private",
        display_name=" ".join(str(name) for name in names if name),
        unreadable=unreadable,
    )


def _addressed(message: dict[str, Any], text: str, me: Me) -> bool:
    """Tell whether a message in a group is meant for the bot: a command, a mention, a reply to it."""
    replied = message.get("reply_to_message") or {}
    if (replied.get("from") or {}).get("id") == me.id:
        return True
    marked = [(mark, _marked(text, mark)) for mark in message.get("entities") or message.get("caption_entities") or ()]
    for mark, said in marked:
        if mark["type"] == "bot_command" and mark["offset"] == 0:
            name, _, whom = said[1:].partition("@")
            # what begins with a slash and names nobody may be another bot's
            return whom.casefold() == me.username.casefold() if whom else name.lower() in NAMES | GREETINGS
    return any(_names(mark, said, me) for mark, said in marked)


def _names(mark: dict[str, Any], said: str, me: Me) -> bool:
    if mark["type"] == "text_mention":
        return bool(mark["user"]["id"] == me.id)
    return bool(mark["type"] == "mention") and said.casefold() == f"@{me.username}".casefold()


def _marked(text: str, mark: dict[str, Any]) -> str:
    """Return what an entity is about; places are counted in UTF-16."""
    begin, length = int(mark["offset"]), int(mark["length"])
    return text.encode("utf-16-le", "replace")[2 * begin : 2 * (begin + length)].decode("utf-16-le", "replace")


def _without_name(text: str, me: Me) -> str:
    """Take the bot's name out: ``/why@desk_bot`` is ``/why``, and no model need read who it is."""
    return re.sub(rf"\s*@{re.escape(me.username)}\b[,:]?", "", text, flags=re.IGNORECASE).strip()


def _files(message: dict[str, Any]) -> list[File]:
    files = []
    for kind in _SEEN:
        if not (found := message.get(kind)) or (kind == "document" and "animation" in message):
            continue
        # of a photo there are several sizes, the last one is the largest
        one = [size for size in found if size.get("file_size", 0) <= LARGEST_FILE][-1] if kind == "photo" else found
        mime = str(one.get("mime_type") or {"photo": "image/jpeg", "voice": "audio/ogg"}.get(kind, ""))
        files.append(File(str(one["file_id"]), kind, str(one.get("file_name", "")), mime, int(one.get("file_size", 0))))
    return files
