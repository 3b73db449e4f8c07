"""From a stanza to a message for the desk."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from slixmpp import JID

from qwendesk.channels.mentions import is_mentioned, strip_mention
from qwendesk.channels.references import Quote, with_quotes
from qwendesk.messages import Inbound, storable

if TYPE_CHECKING:
    from slixmpp import Message

_ENCRYPTED = ("{eu.siacs.conversations.axolotl}encrypted", "{urn:xmpp:omemo:2}encrypted")
_STABLE_ID = "{urn:xmpp:sid:0}stanza-id"


def parse(message: Message, own: JID, nick: str, author: str) -> tuple[Inbound, list[str]] | None:
    """Return what a stanza says to the desk, and the address of the file that came with it, if one did.

    Args:
        message: the stanza.
        own: the desk's account.
        nick: what the desk is called in the room where it was written, or through which it came privately; empty:
            it has to do with no room.
        author: who wrote it.

    Raises:
        ValueError, TypeError, LookupError: it is no stanza as the standards have it.
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
        with_quotes("" if unsupported_media or text.strip() == url else storable(text).strip(), quote),
        sender.full if nick and not group else sender.bare,
        person=author,
        channel="xmpp",
        account=own.bare,
        event=_event_id(message, sender.bare if group else own.bare),
        reply_to=f"{message['id']} {sender.full}" if group else None,
        group=group,
        display_name=storable(sender.resource if nick else sender.user or sender.bare),
        unsupported_media=unsupported_media,
    )
    return inbound, [url] if url and not unsupported_media else []


def _quote(message: Message, own: bool) -> list[Quote]:
    """Return what a client put above a reply for those that cannot show replies."""
    said = storable(str(message["reply"].get_fallback_body()))
    lines = [line.removeprefix(">").removeprefix(" ") for line in said.splitlines()]
    named = bool(lines) and lines[0].endswith(":") and len(lines) > 1
    author = lines[0].rstrip(":") if named else JID(message["reply"]["to"]).resource
    return [Quote("\n".join(lines[1:] if named else lines), author, own=own)] if said.strip() else []


def _is_new_message(message: Message, own: JID, nick: str) -> bool:
    """Tell whether it is a message of somebody else, said now; what waited for the desk alone is said now too."""
    sender = message["from"]
    if message["type"] not in ("chat", "normal", "groupchat") or message["replace"]["id"]:
        return False
    if message["type"] != "groupchat":
        return bool(sender.user and sender.bare != own.bare)  # without a user it is a server's own announcement
    said_before = message.get_plugin("delay", check=True) is not None
    return bool(nick and sender.resource not in ("", nick) and not said_before)


def _event_id(message: Message, server: str) -> str | None:
    """Return a message's name: its server's, or one of all that can be told, since clients count from one again.

    None: its sender did not name it.
    """
    for given in message.xml.iterfind(_STABLE_ID):
        if given.get("by") == server and given.get("id"):
            return f"{server}:{given.get('id')}"
    told = "\0".join((message["from"].full, message["id"], message["body"]))
    return sha256(told.encode()).hexdigest() if message["id"] else None
