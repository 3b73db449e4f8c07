"""From a room's event, decrypted, to a message for the desk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from qwendesk.channels.base import MAX_FILE_BYTES
from qwendesk.channels.references import Quote
from qwendesk.messages import Inbound

_FORMAT = "org.matrix.custom.html"

_PEOPLE = ("https://matrix.to/#/", "matrix:u/")

_WEB = ("https://", "http://", "mailto:")


@dataclass(frozen=True, slots=True)
class Link:
    """A link, or somebody's name."""

    label: str
    url: str

    @property
    def called(self) -> str:
        """The account that is called; empty: it is another link."""
        if self.url.startswith(_PEOPLE[0]):
            return unquote(self.url.removeprefix(_PEOPLE[0]).partition("?")[0])
        return f"@{unquote(self.url.removeprefix(_PEOPLE[1]))}" if self.url.startswith(_PEOPLE[1]) else ""


def links_of(content: dict[str, Any]) -> list[Link]:
    """Return the links of a message, without those of the message that is replied to."""
    if content.get("format") != _FORMAT or "<a" not in str(content.get("formatted_body") or ""):
        return []
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(str(content["formatted_body"]))
    for quoted in page.css("mx-reply"):
        quoted.decompose()
    return [Link(one.text().strip(), one.attributes.get("href") or "") for one in page.css("a[href]")]


def with_addresses(text: str, links: list[Link]) -> str:
    """Return a text with the addresses of links that it does not name, each behind its words."""
    for link in links:
        if link.called or not link.url.startswith(_WEB) or link.url in text or link.label == link.url:
            continue
        before, label, after = text.partition(link.label) if link.label else (text, "", "")
        if link.url.partition(":")[2].strip("/") == label.strip("/"):
            continue
        text = f"{before}{label} ({link.url}){after}"
    return text


def calls_of(links: list[Link], user: str) -> list[str]:
    """Return the names by which an account is called."""
    return [link.label for link in links if link.called == user and link.label]


_KINDS = {"m.image": "image", "m.audio": "audio", "m.file": "document"}

_FALLBACK = re.compile(r"\A> (?:\* )?<(@[^>\n]+)> ?(.*(?:\n>.*)*)\n\n?")

"""What older clients put above a reply: the quoted message, behind its author's name."""

_THUMBS = {"👍": 1, "👎": -1}

_TONE = re.compile("[\ufe0f\U0001f3fb-\U0001f3ff]")

"""What gives a thumb a colour."""


@dataclass(frozen=True, slots=True)
class Me:
    """The desk's own account."""

    user: str
    name: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that waits on the server, and the key it is encrypted with, if it is."""

    url: str
    kind: str
    mime: str
    name: str
    key: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message and the file it speaks of."""

    inbound: Inbound
    file: File | None = None
    replied: str | None = None
    """The event that is replied to."""
    fallback: Quote | None = None
    """What an older client says of it."""


def parse(event: dict[str, Any], room: str, members: int, own_events: Mapping[str, str], me: Me) -> Parsed | None:
    """Return what an event says to the desk.

    Args:
        event: the event as the server has it, decrypted.
        room: the room's id.
        members: how many are in the room.
        own_events: events of the desk itself that may be replied or reacted to, and the conversation each is part of.
        me: the desk's own account.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it has not the shape that the specification promises.
    """
    sender, content = event["sender"], event["content"]
    if event.get("type") == "m.reaction":
        return _reaction(event, members, own_events, me)
    if sender == me.user or event.get("type") not in ("m.room.message", "m.room.encrypted"):
        return None
    relation = content.get("m.relates_to") or {}
    kind = content.get("msgtype")
    if relation.get("rel_type") == "m.replace" or kind == "m.notice":
        return None  # a change of an older message; a program's words
    replied = (relation.get("m.in_reply_to") or {}).get("event_id")
    text, fallback = (
        _without_fallback(str(content.get("body") or ""), me) if replied else (content.get("body") or "", None)
    )
    links = links_of(content)
    text = with_addresses(str(text), links)
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
    inbound = Inbound(
        _without_name(text, me, calls_of(links, me.user)),
        f"{room}|{root}" if root else room,
        person=str(sender),
        channel="matrix",
        account=me.user,
        event=str(event["event_id"]),
        reply_to=str(event["event_id"]),
        group=group,
        unsupported_media=unsupported_media,
    )
    # in a thread, what a message replies to is the one before it unless the client says otherwise
    pointed = None if relation.get("is_falling_back") else replied
    return Parsed(inbound, file, pointed, fallback) if inbound.text or file or unsupported_media else None


def quote_of(event: dict[str, Any], me: Me) -> tuple[Quote | None, File | None]:
    """Return what an event says that is replied to, and the file that it is.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it has not the shape that the specification promises.
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
    text = with_addresses(text, links_of(content))
    if kind not in ("m.text", "m.emote", "m.notice"):
        name = str(content.get("filename") or content.get("body") or "")
        text = f"[{kind[2:]} {name}]" + (f"\n{text}" if text != name else "")
    return Quote(text, sender, own=sender == me.user), file


def _without_fallback(text: str, me: Me) -> tuple[str, Quote | None]:
    """Return a reply without what an older client put above it, and that."""
    if (found := _FALLBACK.match(text)) is None:
        return text, None
    said = re.sub(r"^> ?", "", found[2], flags=re.MULTILINE)
    return text[found.end() :], Quote(said, found[1], own=found[1] == me.user)


def _reaction(event: dict[str, Any], members: int, own_events: Mapping[str, str], me: Me) -> Parsed | None:
    """Return a thumb on a message of the desk as what a button says."""
    relation = event["content"].get("m.relates_to") or {}
    thumb = _THUMBS.get(_TONE.sub("", str(relation.get("key") or "")))
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
    return Parsed(inbound)


def _mentioned(content: dict[str, Any], text: str, me: Me) -> bool:
    named = (content.get("m.mentions") or {}).get("user_ids") or []
    # the bare name is no mention: it may be a word like any other
    spelled = rf"(?<![\w@])(?:{re.escape(me.user)}|@{re.escape(me.name)})(?![\w=/+-]|[.:]\w)"
    return me.user in named or bool(re.search(spelled, text, re.IGNORECASE))


def _without_name(text: str, me: Me, calls: Sequence[str] = ()) -> str:
    user, at, bare = (re.escape(name) for name in (me.user, f"@{me.name}", me.name))
    shown = "".join(f"|@?{re.escape(name)}" for name in calls)
    spelled = rf"\A(?:\s*(?:(?:{user}|{at}{shown})(?:[:,]\s*|\s+|\Z)|{bare}[:,]\s*))+"
    return re.sub(spelled, "", text, flags=re.IGNORECASE).strip()


def _file(content: dict[str, Any]) -> File:
    key = content.get("file")
    url = key["url"] if key else content["url"]
    mime = str((content.get("info") or {}).get("mimetype") or "application/octet-stream")
    name = str(content.get("filename") or content.get("body") or "")
    return File(str(url), _KINDS[content["msgtype"]], mime, name, key)
