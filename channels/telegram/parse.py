"""Parse updates of the Bot API to inbound messages: albums, button presses, replies, quotes and forwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qwendesk.channels.ingest import START_COMMANDS, Quote, with_quotes
from qwendesk.channels.telegram.entities import (
    TelegramIdentity,
    entity_text,
    is_bot_mention,
    markdown_text,
    readable_text,
    text_and_entities,
)
from qwendesk.desk.access import PUBLIC_COMMANDS
from qwendesk.messages import Inbound

MAX_FILE_BYTES = 20 * 2**20
"""The Bot API's download limit, in bytes."""
_COMMANDS = frozenset(PUBLIC_COMMANDS) | START_COMMANDS
_FILE_TYPES = ("photo", "voice", "audio", "document")
_UNSUPPORTED_TYPES = (
    "video", "video_note", "animation", "sticker", "location", "venue", "contact", "poll", "dice", "story",
)  # fmt: skip
"""Content types that the desk does not read."""


def replied_to(message: dict[str, Any]) -> dict[str, Any]:
    """Return the replied-to message, of this or another chat; empty if there is none."""
    return message.get("reply_to_message") or message.get("external_reply") or {}


def is_forwarded(message: dict[str, Any]) -> bool:
    """Return whether a message is forwarded."""
    return any(message.get(key) for key in ("forward_origin", "forward_date", "forward_from", "forward_from_chat"))


def quotes_of(message: dict[str, Any], me: TelegramIdentity) -> Iterator[Quote]:
    """Yield the quoted part of the replied-to message, or all of it."""
    replied, part = replied_to(message), message.get("quote") or {}
    quoted = readable_text(str(part.get("text") or ""), part.get("entities") or (), me)
    if text := quoted or text_or_placeholder(replied, me):
        origin = replied.get("origin") or {}
        who = _sender(replied) if "from" in replied or "sender_chat" in replied else _origin(origin)
        own = (replied.get("from") or origin.get("sender_user") or {}).get("id") == me.id
        yield Quote(text, who, own=own)


def forward_quote(message: dict[str, Any], text: str, me: TelegramIdentity) -> Quote:
    """Return a forwarded message's text with its author and time."""
    origin = message.get("forward_origin") or {
        "sender_user": message.get("forward_from"),
        "sender_user_name": message.get("forward_sender_name"),
        "chat": message.get("forward_from_chat"),
        "date": message.get("forward_date"),
    }
    own = (origin.get("sender_user") or {}).get("id") == me.id
    moment = origin.get("date")
    return Quote(text, _origin(origin), "forward", own, float(moment) if moment else None)


def text_or_placeholder(message: dict[str, Any], me: TelegramIdentity) -> str:
    """Return a message's text, or its content type in brackets; empty for service messages."""
    if text := readable_text(*text_and_entities(message), me):
        return text
    kind = next((kind for kind in (*_FILE_TYPES, *_UNSUPPORTED_TYPES) if kind in message), "")
    name = str((message.get(kind) or {}).get("file_name") or "") if kind == "document" else ""
    return f"[{kind.replace('_', ' ')}{f' {name}' if name else ''}]" if kind else ""


def _sender(message: dict[str, Any]) -> str:
    return _display_name(message.get("sender_chat") or message.get("from") or {})


def _origin(origin: dict[str, Any]) -> str:
    who = origin.get("sender_user") or origin.get("sender_chat") or origin.get("chat") or {}
    signed = str(origin.get("author_signature") or "")
    return ", ".join(filter(None, (_display_name(who) or str(origin.get("sender_user_name") or ""), signed)))


def _display_name(who: dict[str, Any]) -> str:
    name = " ".join(str(who[key]) for key in ("first_name", "last_name") if who.get(key))
    return name or str(who.get("title") or who.get("username") or "")


@dataclass(frozen=True, slots=True)
class TelegramFile:
    """A file that ``getFile`` can download."""

    id: str
    kind: str
    """``photo``, ``voice``, ``audio`` or ``document``."""
    name: str
    mime: str
    size: int
    quoted: bool = False
    """Whether the file belongs to the replied-to message; it is left out if the download fails."""


@dataclass(frozen=True, slots=True)
class TelegramUpdate:
    """A parsed update: the message, its files, and the id of a callback query to answer."""

    inbound: Inbound
    files: tuple[TelegramFile, ...] = ()
    callback: str | None = None


def parse(update: dict[str, Any], me: TelegramIdentity) -> TelegramUpdate | None:
    """Return the message of an update; None if it does not address the desk.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: The update does not conform to the Bot API.
    """
    if query := update.get("callback_query"):
        return _button_press(query, str(int(update["update_id"])), me)
    return parse_album([update], me)


def album_of(update: Any) -> str | None:
    """Return the key of the album (media group) that an update belongs to; None for a single message."""
    message = update.get("message") if isinstance(update, dict) else None
    if not isinstance(message, dict) or not message.get("media_group_id"):
        return None
    chat = message.get("chat")
    return f"{chat.get('id') if isinstance(chat, dict) else ''}:{message['media_group_id']}"


def parse_album(updates: Sequence[dict[str, Any]], me: TelegramIdentity) -> TelegramUpdate | None:
    """Return the messages of an album as one message; None if none of them addresses the desk.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: An update does not conform to the Bot API.
    """
    event = str(int(updates[0]["update_id"]))
    messages = filter(None, (update.get("message") for update in updates))
    spoken = [message for message in messages if not (message.get("from") or {"is_bot": True}).get("is_bot")]
    if not spoken or (spoken[0]["chat"]["type"] != "private" and not any(_addresses_bot(one, me) for one in spoken)):
        return None
    first = spoken[0]
    files = tuple(file for message in spoken for file in _files(message))
    unseen = next((kind for message in spoken for kind in _UNSUPPORTED_TYPES if kind in message), None)
    unsupported_media = "large file" if any(file.size > MAX_FILE_BYTES for file in files) else unseen
    text = "\n\n".join(
        dict.fromkeys(filter(None, (readable_text(*text_and_entities(message), me) for message in spoken)))
    )
    if is_forwarded(first):
        pointed, text = [forward_quote(first, text or text_or_placeholder(first, me), me)], ""
    else:
        pointed = list(quotes_of(first, me))
        files += tuple(replace(file, quoted=True) for file in _files(replied_to(first)) if file.size <= MAX_FILE_BYTES)
    if not (text or files or unsupported_media or pointed):
        return None  # a service message
    inbound = _inbound(first, first["from"], event, me, with_quotes(text, pointed), unsupported_media)
    return TelegramUpdate(inbound, tuple(file for file in files if file.size <= MAX_FILE_BYTES))


def is_of_room(update: Any, room: str) -> bool:
    """Return whether an update comes from the group that is the operators' room."""
    if not room or not isinstance(update, dict):
        return False
    query = update.get("callback_query")
    found = query if isinstance(query, dict) else update
    message = found.get("message") or found.get("edited_message")
    chat = message.get("chat") if isinstance(message, dict) else None
    return isinstance(chat, dict) and str(chat.get("id")) == room


def parse_room(updates: Sequence[dict[str, Any]], me: TelegramIdentity) -> TelegramUpdate | None:
    """Return what a person has written or edited in the operators' room; None for bots and service messages.

    An administrator who writes anonymously, as the group, has no name. Quotes are left out: in a topic each message
    refers to the one that created it.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: An update does not conform to the Bot API.
    """
    edited = updates[0].get("edited_message")
    messages = [edited] if edited else [update["message"] for update in updates if "message" in update]
    spoken = [message for message in messages if _is_anonymous(message) or not message["from"].get("is_bot")]
    if not spoken:
        return None
    first = spoken[0]
    files = tuple(file for message in spoken for file in _files(message))
    unseen = next((kind for message in spoken for kind in _UNSUPPORTED_TYPES if kind in message), None)
    text = "\n\n".join(filter(None, (markdown_text(*text_and_entities(message), me) for message in spoken)))
    if not (text or files or unseen):
        return None
    unsupported_media = "large file" if any(file.size > MAX_FILE_BYTES for file in files) else unseen
    event = str(int(updates[0]["update_id"]))
    inbound = replace(
        _inbound(first, first["from"], event, me, text, unsupported_media),
        in_operators_room=True,
        change="edited" if edited else "",
    )
    if _is_anonymous(first):
        inbound = replace(inbound, person="", display_name="")
    return TelegramUpdate(inbound, () if edited else tuple(file for file in files if file.size <= MAX_FILE_BYTES))


def _is_anonymous(message: dict[str, Any]) -> bool:
    """Return whether an administrator has written a message as the group."""
    return bool((message.get("sender_chat") or {}).get("id") == message["chat"]["id"])


def conversation_of(message: dict[str, Any]) -> str:
    """Return the conversation key of a chat, or of a forum topic."""
    chat = str(int(message["chat"]["id"]))
    topic = message.get("message_thread_id") if message.get("is_topic_message") else None
    return f"{chat}:{int(topic)}" if topic else chat


def _button_press(query: dict[str, Any], event: str, me: TelegramIdentity) -> TelegramUpdate | None:
    message = query.get("message")
    if not message or not query.get("data"):
        return None
    inbound = _inbound(message, query["from"], event, me, str(query["data"]), None)
    return TelegramUpdate(inbound, callback=str(query["id"]))


def _inbound(
    message: dict[str, Any],
    sender: dict[str, Any],
    event: str,
    me: TelegramIdentity,
    text: str,
    unsupported_media: str | None,
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
        quoted_id=_quoted_id(message),
        locale=sender.get("language_code"),
        group=message["chat"]["type"] != "private",
        display_name=" ".join(str(name) for name in names if name),
        unsupported_media=unsupported_media,
    )


def _quoted_id(message: dict[str, Any]) -> str | None:
    quoted = message.get("reply_to_message") or {}
    return str(int(quoted["message_id"])) if "message_id" in quoted else None


def _addresses_bot(message: dict[str, Any], me: TelegramIdentity) -> bool:
    """Return whether a group message addresses the bot by command, mention or reply."""
    replied = message.get("reply_to_message") or {}
    if (replied.get("from") or {}).get("id") == me.id:
        return True
    text, entities = text_and_entities(message)
    for entity in entities:
        if entity["type"] == "bot_command" and entity["offset"] == 0:
            name, _, whom = entity_text(text, entity)[1:].partition("@")
            # a command without a bot's name may be for another bot
            return whom.casefold() == me.username.casefold() if whom else name.lower() in _COMMANDS
    return any(is_bot_mention(entity, text, me) for entity in entities)


def _files(message: dict[str, Any]) -> list[TelegramFile]:
    files = []
    for kind in _FILE_TYPES:
        if not (found := message.get(kind)) or (kind == "document" and "animation" in message):
            continue
        # photo sizes are in ascending order
        one = [size for size in found if size.get("file_size", 0) <= MAX_FILE_BYTES][-1] if kind == "photo" else found
        mime = str(one.get("mime_type") or {"photo": "image/jpeg", "voice": "audio/ogg"}.get(kind, ""))
        files.append(
            TelegramFile(str(one["file_id"]), kind, str(one.get("file_name", "")), mime, int(one.get("file_size", 0)))
        )
    return files
