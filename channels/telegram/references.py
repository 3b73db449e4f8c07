"""What a message points at: the one it replies to, the part of it that is quoted, and where it was forwarded from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qwendesk.channels.references import Quote
from qwendesk.channels.telegram.entities import Me, readable, said

_KINDS = (
    "photo", "voice", "audio", "document", "video", "video_note", "animation", "sticker", "location", "venue",
    "contact", "poll", "dice", "story",
)  # fmt: skip


def replied_to(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message that is replied to, in this chat or another; an empty one where there is none."""
    return message.get("reply_to_message") or message.get("external_reply") or {}


def forwarded(message: dict[str, Any]) -> bool:
    """Tell whether the words of a message are somebody else's, or were said elsewhere."""
    return any(message.get(key) for key in ("forward_origin", "forward_date", "forward_from", "forward_from_chat"))


def quotes(message: dict[str, Any], me: Me) -> Iterator[Quote]:
    """Yield what is replied to or quoted."""
    replied, part = replied_to(message), message.get("quote") or {}
    quoted = readable(str(part.get("text") or ""), part.get("entities") or (), me)
    if text := quoted or words(replied, me):
        origin = replied.get("origin") or {}
        who = _sender(replied) if "from" in replied or "sender_chat" in replied else _origin(origin)
        own = (replied.get("from") or origin.get("sender_user") or {}).get("id") == me.id
        yield Quote(text, who, own=own)


def forward(message: dict[str, Any], text: str, me: Me) -> Quote:
    """Return a forwarded message's words with who said them and when."""
    origin = message.get("forward_origin") or {
        "sender_user": message.get("forward_from"),
        "sender_user_name": message.get("forward_sender_name"),
        "chat": message.get("forward_from_chat"),
        "date": message.get("forward_date"),
    }
    own = (origin.get("sender_user") or {}).get("id") == me.id
    moment = origin.get("date")
    return Quote(text, _origin(origin), "forward", own, float(moment) if moment else None)


def words(message: dict[str, Any], me: Me) -> str:
    """Return a message's text; where it has none, what it is; empty for what nobody said, such as a new topic."""
    if text := readable(*said(message), me):
        return text
    kind = next((kind for kind in _KINDS if kind in message), "")
    name = str((message.get(kind) or {}).get("file_name") or "") if kind == "document" else ""
    return f"[{kind.replace('_', ' ')}{f' {name}' if name else ''}]" if kind else ""


def _sender(message: dict[str, Any]) -> str:
    return _named(message.get("sender_chat") or message.get("from") or {})


def _origin(origin: dict[str, Any]) -> str:
    who = origin.get("sender_user") or origin.get("sender_chat") or origin.get("chat") or {}
    signed = str(origin.get("author_signature") or "")
    return ", ".join(filter(None, (_named(who) or str(origin.get("sender_user_name") or ""), signed)))


def _named(who: dict[str, Any]) -> str:
    name = " ".join(str(who[key]) for key in ("first_name", "last_name") if who.get(key))
    return name or str(who.get("title") or who.get("username") or "")
