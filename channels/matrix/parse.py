"""Parse decrypted room events to inbound messages: links, mentions, replies, reactions and files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from qwendesk.channels.base import MAX_FILE_BYTES
from qwendesk.channels.ingest import Quote
from qwendesk.messages import Inbound

_FORMAT = "org.matrix.custom.html"
_USER_LINK_PREFIXES = ("https://matrix.to/#/", "matrix:u/")
_WEB_PREFIXES = ("https://", "http://", "mailto:")
_KINDS = {"m.image": "image", "m.audio": "audio", "m.file": "document"}
_FALLBACK = re.compile(r"\A> (?:\* )?<(@[^>\n]+)> ?(.*(?:\n>.*)*)\n\n?")
"""The reply fallback of older clients: the author in angle brackets and the quoted text."""
_THUMBS = {"👍": 1, "👎": -1}
_SKIN_TONE = re.compile("[\ufe0f\U0001f3fb-\U0001f3ff]")
"""Variation selector and skin tones of an emoji."""


@dataclass(frozen=True, slots=True)
class MatrixLink:
    """A link in a formatted body: a web link or a mention of a user."""

    label: str
    url: str

    @property
    def user_id(self) -> str:
        """The mentioned user id; empty for other links."""
        if self.url.startswith(_USER_LINK_PREFIXES[0]):
            return unquote(self.url.removeprefix(_USER_LINK_PREFIXES[0]).partition("?")[0])
        return (
            f"@{unquote(self.url.removeprefix(_USER_LINK_PREFIXES[1]))}"
            if self.url.startswith(_USER_LINK_PREFIXES[1])
            else ""
        )


def links_of(content: dict[str, Any]) -> list[MatrixLink]:
    """Return the links of a formatted body, without those of the quoted message."""
    if content.get("format") != _FORMAT or "<a" not in str(content.get("formatted_body") or ""):
        return []
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(str(content["formatted_body"]))
    for quoted in page.css("mx-reply"):
        quoted.decompose()
    return [MatrixLink(one.text().strip(), one.attributes.get("href") or "") for one in page.css("a[href]")]


def with_link_urls(text: str, links: list[MatrixLink]) -> str:
    """Return a text with each link's URL after its label, unless the text contains the URL."""
    for link in links:
        if link.user_id or not link.url.startswith(_WEB_PREFIXES) or link.url in text or link.label == link.url:
            continue
        before, label, after = text.partition(link.label) if link.label else (text, "", "")
        if link.url.partition(":")[2].strip("/") == label.strip("/"):
            continue
        text = f"{before}{label} ({link.url}){after}"
    return text


def with_names_of_pills(text: str, links: list[MatrixLink], user: str) -> str:
    """Return a text with the names of mentioned people in place of their links and ids, but for those of the desk."""
    for link in links:
        if not (person := link.user_id) or person == user:
            continue
        name = f"@{person.partition(':')[0].lstrip('@')}" if link.label in ("", person) else link.label
        text = text.replace(f"[{link.label}]({link.url})", name).replace(person, name)
    return text


def mention_labels(links: list[MatrixLink], user: str) -> list[str]:
    """Return the labels of the links that mention a user."""
    return [link.label for link in links if link.user_id == user and link.label]


@dataclass(frozen=True, slots=True)
class MatrixIdentity:
    """The desk's user id and its local part."""

    user: str
    name: str


@dataclass(frozen=True, slots=True)
class MatrixFile:
    """A file in the media repository, with its key if it is encrypted."""

    url: str
    kind: str
    mime: str
    name: str
    key: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class MatrixEvent:
    """A parsed event: the message, its file, and the event that it replies to."""

    inbound: Inbound
    file: MatrixFile | None = None
    replied: str | None = None
    """The id of the replied-to event."""
    fallback: Quote | None = None
    """The quote of an older client's reply fallback."""


def parse_room(event: dict[str, Any], room: str, me: MatrixIdentity) -> MatrixEvent | None:
    """Return what a person has written, edited or deleted in the operators' room; None for bots and other events.

    The conversation is the thread, or the event that a reply refers to where the person's client has no threads. An
    edit does not name its thread: its conversation is the room.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: The event does not conform to the specification.
    """
    sender, content, kind = event["sender"], event["content"], event.get("type")
    if sender == me.user or kind not in ("m.room.message", "m.room.encrypted", "m.room.redaction"):
        return None
    inbound = Inbound(
        "",
        room,
        person=str(sender),
        channel="matrix",
        account=me.user,
        event=str(event["event_id"]),
        reply_to=str(event["event_id"]),
        group=True,
        in_operators_room=True,
    )
    if kind == "m.room.redaction":
        target = str(event.get("redacts") or content["redacts"])
        return MatrixEvent(replace(inbound, conversation=f"{room}|{target}", reply_to=target, change="deleted"))
    relation, type_ = content.get("m.relates_to") or {}, content.get("msgtype")
    if relation.get("rel_type") == "m.replace":
        return MatrixEvent(replace(inbound, reply_to=str(relation["event_id"]), change="edited"))
    if type_ == "m.notice":
        return None
    replied = (relation.get("m.in_reply_to") or {}).get("event_id")
    root = relation.get("event_id") if relation.get("rel_type") == "m.thread" else replied
    text = str(content.get("body") or "")
    text = _without_fallback(text, me)[0] if replied else text
    text = with_names_of_pills(with_link_urls(text, links_of(content)), links_of(content), me.user)
    file = _file(content) if type_ in _KINDS else None
    unsupported_media = (
        None if type_ in ("m.text", "m.emote", *_KINDS) else str(type_)[2:] if type_ else "encrypted message"
    )
    if file and int((content.get("info") or {}).get("size") or 0) > MAX_FILE_BYTES:
        file, unsupported_media = None, "large file"
    told = replace(
        inbound,
        text="" if file and text == file.name else _without_name(text, me, mention_labels(links_of(content), me.user)),
        conversation=thread_of(room, root),
        unsupported_media=unsupported_media,
    )
    return MatrixEvent(told, file) if told.text or file or unsupported_media else None


def thread_of(room: str, root: object) -> str:
    """Return the conversation of a thread by the id of its first event; None: that of the room."""
    return f"{room}|{root}" if root else room


def thread_root(event: dict[str, Any]) -> str | None:
    """Return the id of the first event of the thread that an event belongs to; None: it is in none."""
    relation = (event.get("content") or {}).get("m.relates_to") or {}
    return str(relation["event_id"]) if relation.get("rel_type") == "m.thread" else None


def parse(
    event: dict[str, Any], room: str, members: int, own_events: Mapping[str, str], me: MatrixIdentity
) -> MatrixEvent | None:
    """Return the message of an event; None if it does not address the desk.

    Args:
        event: The decrypted event.
        room: The room's id.
        members: Number of members of the room.
        own_events: The desk's newest events, each with its conversation.
        me: The desk's own account.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: The event does not conform to the specification.
    """
    sender, content = event["sender"], event["content"]
    if event.get("type") == "m.reaction":
        return _reaction(event, members, own_events, me)
    if sender == me.user or event.get("type") not in ("m.room.message", "m.room.encrypted"):
        return None
    relation = content.get("m.relates_to") or {}
    kind = content.get("msgtype")
    if relation.get("rel_type") == "m.replace" or kind == "m.notice":
        return None  # an edit, or a notice, which bots send
    replied = (relation.get("m.in_reply_to") or {}).get("event_id")
    text, fallback = (
        _without_fallback(str(content.get("body") or ""), me) if replied else (content.get("body") or "", None)
    )
    links = links_of(content)
    text = with_link_urls(str(text), links)
    group = members > 2
    if group and not (_mentioned(content, text, me) or replied in own_events):
        return None
    file = _file(content) if kind in _KINDS else None
    if file:
        text = "" if text == file.name else text
    unsupported_media = (
        None if kind in ("m.text", "m.emote", *_KINDS) else "encrypted message" if not kind else kind[2:]
    )
    if file and int((content.get("info") or {}).get("size") or 0) > MAX_FILE_BYTES:
        file, unsupported_media = None, "large file"
    root = relation.get("event_id") if relation.get("rel_type") == "m.thread" else None
    # in a thread, a fallback reply names the message before it
    pointed = None if relation.get("is_falling_back") else replied
    inbound = Inbound(
        _without_name(text, me, mention_labels(links, me.user)),
        f"{room}|{root}" if root else room,
        person=str(sender),
        channel="matrix",
        account=me.user,
        event=str(event["event_id"]),
        reply_to=str(event["event_id"]),
        quoted_id=str(pointed) if pointed else None,
        group=group,
        unsupported_media=unsupported_media,
    )
    return MatrixEvent(inbound, file, pointed, fallback) if inbound.text or file or unsupported_media else None


def quote_of(event: dict[str, Any], me: MatrixIdentity) -> tuple[Quote | None, MatrixFile | None]:
    """Return the quote and the file of a replied-to event.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: The event does not conform to the specification.
    """
    content = event.get("content") or {}
    content = content.get("m.new_content") or content
    kind = content.get("msgtype")
    if event.get("type") != "m.room.message" or not kind:
        return None, None
    sender = str(event["sender"])
    file = _file(content) if kind in _KINDS else None
    if file and int((content.get("info") or {}).get("size") or 0) > MAX_FILE_BYTES:
        file = None
    text = str(content.get("body") or "")
    if (content.get("m.relates_to") or {}).get("m.in_reply_to"):
        text = _without_fallback(text, me)[0]
    text = with_link_urls(text, links_of(content))
    if kind not in ("m.text", "m.emote", "m.notice"):
        name = str(content.get("filename") or content.get("body") or "")
        text = f"[{kind[2:]} {name}]" + (f"\n{text}" if text != name else "")
    return Quote(text, sender, own=sender == me.user), file


def _without_fallback(text: str, me: MatrixIdentity) -> tuple[str, Quote | None]:
    """Return a reply's text without the reply fallback, and the fallback as a quote."""
    if (found := _FALLBACK.match(text)) is None:
        return text, None
    said = re.sub(r"^> ?", "", found[2], flags=re.MULTILINE)
    return text[found.end() :], Quote(said, found[1], own=found[1] == me.user)


def _reaction(
    event: dict[str, Any], members: int, own_events: Mapping[str, str], me: MatrixIdentity
) -> MatrixEvent | None:
    """Return a thumb reaction to the desk's message as a pressed rating button."""
    relation = event["content"].get("m.relates_to") or {}
    thumb = _THUMBS.get(_SKIN_TONE.sub("", str(relation.get("key") or "")))
    target = str(relation.get("event_id") or "")
    if event["sender"] == me.user or thumb is None or target not in own_events:
        return None
    inbound = Inbound(
        f"rate:{thumb}:{target}",
        own_events[target],
        person=str(event["sender"]),
        channel="matrix",
        account=me.user,
        event=str(event["event_id"]),
        group=members > 2,
    )
    return MatrixEvent(inbound)


def _mentioned(content: dict[str, Any], text: str, me: MatrixIdentity) -> bool:
    named = (content.get("m.mentions") or {}).get("user_ids") or []
    # the name without @ is no mention: it may be a common word
    spelled = rf"(?<![\w@])(?:{re.escape(me.user)}|@{re.escape(me.name)})(?![\w=/+-]|[.:]\w)"
    return me.user in named or bool(re.search(spelled, text, re.IGNORECASE))


def _without_name(text: str, me: MatrixIdentity, calls: Sequence[str] = ()) -> str:
    user, at, bare = (re.escape(name) for name in (me.user, f"@{me.name}", me.name))
    shown = "".join(f"|@?{re.escape(name)}" for name in calls)
    spelled = rf"\A(?:\s*(?:(?:{user}|{at}{shown})(?:[:,]\s*|\s+|\Z)|{bare}[:,]\s*))+"
    return re.sub(spelled, "", text, flags=re.IGNORECASE).strip()


def _file(content: dict[str, Any]) -> MatrixFile:
    key = content.get("file")
    url = key["url"] if key else content["url"]
    mime = str((content.get("info") or {}).get("mimetype") or "application/octet-stream")
    name = str(content.get("filename") or content.get("body") or "")
    return MatrixFile(str(url), _KINDS[content["msgtype"]], mime, name, key)
