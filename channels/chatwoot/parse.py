"""Parse webhook bodies to inbound messages; see https://www.chatwoot.com/docs (agent bots, webhooks)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from qwendesk.messages import Inbound, storable


@dataclass(frozen=True, slots=True)
class ChatwootFile:
    """An attachment with its download URL."""

    url: str
    kind: str
    name: str
    """The file name; for an unsupported attachment, its type."""


@dataclass(frozen=True, slots=True)
class ChatwootMessage:
    """A parsed webhook call: the customer's message and its files."""

    inbound: Inbound
    files: tuple[ChatwootFile, ...] = ()


def parse(body: dict[str, Any]) -> ChatwootMessage | None:
    """Return a customer's message; None for other events, private notes, agents' messages and open conversations.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: The body does not conform to the documentation.
    """
    if body.get("event") != "message_created" or body.get("message_type") not in ("incoming", 0) or body.get("private"):
        return None
    conversation, sender = body["conversation"], body["sender"]
    if conversation.get("status", "pending") != "pending" or sender.get("type") in ("user", "agent_bot"):
        return None
    found = tuple(_files(body.get("attachments") or ()))
    readable = tuple(file for file in found if file.kind)
    text = str(body.get("content") or "")
    if not text and not found:
        return None
    contact = conversation.get("meta", {}).get("sender", {})
    return ChatwootMessage(
        Inbound(
            text,
            str(int(conversation["id"])),
            person=str(int(sender["id"])),
            channel="chatwoot",
            account=str(int(body["account"]["id"])),
            event=str(int(body["id"])),
            locale=_locale(sender, contact, conversation),
            display_name=storable(str(sender.get("name") or ""))[:200],
            unsupported_media=next((file.name for file in found if not file.kind), None),
        ),
        readable,
    )


def _files(attachments: Any) -> list[ChatwootFile]:
    kinds = {"image": "image", "audio": "audio", "file": "document"}
    return [_file(one, kinds.get(str(one.get("file_type")), "")) for one in attachments]


def _file(attachment: dict[str, Any], kind: str) -> ChatwootFile:
    url = attachment.get("data_url")
    if not (url and kind):  # contacts and locations have no URL; videos are not supported
        return ChatwootFile("", "", str(attachment.get("file_type") or "file")[:20])
    return ChatwootFile(str(url), kind, unquote(str(url).partition("?")[0].rpartition("/")[2])[:200])


def _locale(*places: dict[str, Any]) -> str | None:
    for place in places:
        more = place.get("additional_attributes") or {}
        if found := more.get("browser_language") or (more.get("browser") or {}).get("browser_language"):
            return str(found)[:20]
    return None
