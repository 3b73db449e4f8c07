"""From an update of the Bot API to a message for the desk; whatever is not for the desk is None."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from qwendesk.channels.mentions import COMMANDS, START_COMMANDS
from qwendesk.channels.references import with_quotes
from qwendesk.channels.telegram.entities import Me, marked, names, readable, said
from qwendesk.channels.telegram.references import forward, forwarded, quotes, replied_to, words
from qwendesk.messages import Inbound

LARGEST_FILE = 20 * 2**20
"""What bots may download, in bytes."""
__all__ = ["LARGEST_FILE", "File", "Me", "Parsed", "album_of", "parse", "parse_album"]
_SEEN = ("photo", "voice", "audio", "document")
_UNSEEN = ("video", "video_note", "animation", "sticker", "location", "venue", "contact", "poll", "dice", "story")
"""Kinds of message without a text that a model could read."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that waits on the platform."""

    id: str
    kind: str
    """``photo``, ``voice``, ``audio`` or ``document``."""
    name: str
    mime: str
    size: int
    quoted: bool = False
    """Whether it is of the message that is replied to; one that cannot be had is then left out."""


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
    if query := update.get("callback_query"):
        return _pressed(query, str(int(update["update_id"])), me)
    return parse_album([update], me)


def album_of(update: Any) -> str | None:
    """Return the name of the album that an update is part of: each picture of one is a message of its own."""
    message = update.get("message") if isinstance(update, dict) else None
    if not isinstance(message, dict) or not message.get("media_group_id"):
        return None
    chat = message.get("chat")
    return f"{chat.get('id') if isinstance(chat, dict) else ''}:{message['media_group_id']}"


def parse_album(updates: Sequence[dict[str, Any]], me: Me) -> Parsed | None:
    """Return what the messages of an album say together; one of them is enough to speak to the desk.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: one has not the shape that the Bot API promises.
    """
    event = str(int(updates[0]["update_id"]))
    messages = filter(None, (update.get("message") for update in updates))
    spoken = [message for message in messages if not (message.get("from") or {"is_bot": True}).get("is_bot")]
    if not spoken or (spoken[0]["chat"]["type"] != "private" and not any(_addressed(one, me) for one in spoken)):
        return None
    first = spoken[0]
    files = tuple(file for message in spoken for file in _files(message))
    unseen = next((kind for message in spoken for kind in _UNSEEN if kind in message), None)
    unsupported_media = "large file" if any(file.size > LARGEST_FILE for file in files) else unseen
    text = "\n\n".join(dict.fromkeys(filter(None, (readable(*said(message), me) for message in spoken))))
    if forwarded(first):
        pointed, text = [forward(first, text or words(first, me), me)], ""
    else:
        pointed = list(quotes(first, me))
        files += tuple(replace(file, quoted=True) for file in _files(replied_to(first)) if file.size <= LARGEST_FILE)
    if not (text or files or unsupported_media or pointed):
        return None  # somebody joined, a title changed
    inbound = _inbound(first, first["from"], event, me, with_quotes(text, pointed), unsupported_media)
    return Parsed(inbound, tuple(file for file in files if file.size <= LARGEST_FILE))


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
    message: dict[str, Any], sender: dict[str, Any], event: str, me: Me, text: str, unsupported_media: str | None
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
        unsupported_media=unsupported_media,
    )


def _addressed(message: dict[str, Any], me: Me) -> bool:
    """Tell whether a message in a group is meant for the bot: a command, a mention, a reply to it."""
    replied = message.get("reply_to_message") or {}
    if (replied.get("from") or {}).get("id") == me.id:
        return True
    text, entities = said(message)
    for entity in entities:
        if entity["type"] == "bot_command" and entity["offset"] == 0:
            name, _, whom = marked(text, entity)[1:].partition("@")
            # what begins with a slash and names nobody may be another bot's
            return whom.casefold() == me.username.casefold() if whom else name.lower() in COMMANDS | START_COMMANDS
    return any(names(entity, text, me) for entity in entities)


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
