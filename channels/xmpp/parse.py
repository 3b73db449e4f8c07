"""Parse message stanzas to inbound messages: mentions, replies, files and encrypted messages."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from slixmpp import JID

from qwendesk.channels.ingest import Quote, is_mentioned, strip_mention, with_quotes
from qwendesk.messages import Inbound, storable_text

if TYPE_CHECKING:
    from slixmpp import Message

_ENCRYPTED = ("{eu.siacs.conversations.axolotl}encrypted", "{urn:xmpp:omemo:2}encrypted")
_STABLE_ID = "{urn:xmpp:sid:0}stanza-id"


def parse(message: Message, own: JID, nick: str, author: str) -> tuple[Inbound, list[str]] | None:
    """Return the message of a stanza and the URL of its file; None if it does not address the desk.

    Args:
        message: The stanza.
        own: The desk's account.
        nick: The desk's nick in the room of a group or private room message; empty outside of rooms.
        author: The author's id.

    Raises:
        ValueError, TypeError, LookupError: The stanza does not conform to the XMPP standards.
    """
    sender, group = message["from"], message["type"] == "groupchat"
    url, encrypted = str(message["oob"]["url"]), any(message.xml.find(name) is not None for name in _ENCRYPTED)
    if not _is_new_message(message, own, nick) or not (message["body"] or url or encrypted):
        return None
    text = str(message["reply"].strip_fallback_content())
    text = text.removeprefix("/me ")
    answers = bool(nick) and message["reply"]["to"] == f"{sender.bare}/{nick}"
    if group:
        if not (answers or is_mentioned(text, [nick])):
            return None
        text = strip_mention(text, [nick])
    quote = _quote(message, own=answers or JID(message["reply"]["to"]).bare == own.bare)
    unsupported_media = "encrypted message" if encrypted else "encrypted file" if text.startswith("aesgcm://") else None
    inbound = Inbound(
        with_quotes("" if unsupported_media or text.strip() == url else storable_text(text).strip(), quote),
        sender.full if nick and not group else sender.bare,
        person=author,
        channel="xmpp",
        account=own.bare,
        event=_event_id(message, sender.bare if group else own.bare),
        reply_to=f"{message['id']} {sender.full}" if group else None,
        quoted_id=str(message["reply"]["id"]) or None,
        group=group,
        display_name=storable_text(sender.resource if nick else sender.user or sender.bare),
        unsupported_media=unsupported_media,
    )
    return inbound, [url] if url and not unsupported_media else []


def _quote(message: Message, own: bool) -> list[Quote]:
    """Return the reply fallback of a client as a quote."""
    said = storable_text(str(message["reply"].get_fallback_body()))
    lines = [line.removeprefix(">").removeprefix(" ") for line in said.splitlines()]
    named = bool(lines) and lines[0].endswith(":") and len(lines) > 1
    author = lines[0].rstrip(":") if named else JID(message["reply"]["to"]).resource
    return [Quote("\n".join(lines[1:] if named else lines), author, own=own)] if said.strip() else []


def _is_new_message(message: Message, own: JID, nick: str) -> bool:
    """Return whether a message is new: not the desk's own, no correction, and no history of a room."""
    sender = message["from"]
    if message["type"] not in ("chat", "normal", "groupchat") or message["replace"]["id"]:
        return False
    if message["type"] != "groupchat":
        return bool(sender.user and sender.bare != own.bare)  # without a local part it is an announcement of a server
    said_before = message.get_plugin("delay", check=True) is not None
    return bool(nick and sender.resource not in ("", nick) and not said_before)


def _event_id(message: Message, server: str) -> str | None:
    """Return the stable id of the server, or a hash of sender, id and body, because clients reuse ids.

    None if the stanza has no id.
    """
    for given in message.xml.iterfind(_STABLE_ID):
        if given.get("by") == server and given.get("id"):
            return f"{server}:{given.get('id')}"
    told = "\0".join((message["from"].full, message["id"], message["body"]))
    return sha256(told.encode()).hexdigest() if message["id"] else None
