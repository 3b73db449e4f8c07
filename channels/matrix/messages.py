"""Send, change and announce messages in a room."""

from __future__ import annotations

import io
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from qwendesk.channels.matrix.errors import good
from qwendesk.messages import Attachment, Outbound

if TYPE_CHECKING:
    from nio import AsyncClient

_KINDS = {"image": "m.image", "audio": "m.audio", "document": "m.file"}


async def send(client: AsyncClient, message: Outbound) -> str:
    """Send a message, then its files, and return the id of what came first."""
    ids = []
    if message.text:
        ids.append(await _put(client, message, _text(message) | _relation(message), message.key))
    for number, file in enumerate(message.attachments):
        content = await _uploaded(client, message, file)
        ids.append(await _put(client, message, content | _relation(message), f"{message.key}:{number}"))
    return ids[0]


async def edit(client: AsyncClient, message_id: str, message: Outbound) -> None:
    """Replace a message's text by a newer one."""
    fresh = _text(message)
    replaced = {"m.new_content": fresh, "m.relates_to": {"rel_type": "m.replace", "event_id": message_id}}
    # what clients show that know of no changes goes without markup: an event may have 64 KiB, and encryption makes six
    # bytes of every letter that is not Latin, and eight of those
    content = {"msgtype": fresh["msgtype"], "body": f"* {fresh['body']}"} | replaced
    await _put(client, message, content, f"{message_id}:{message.text}")


async def typing(client: AsyncClient, conversation: str, milliseconds: int) -> None:
    """Show that an answer is being written."""
    good(await client.room_typing(conversation.partition("|")[0], True, milliseconds))


async def _put(client: AsyncClient, message: Outbound, content: dict[str, Any], key: str) -> str:
    room = message.conversation.partition("|")[0]
    # the homeserver drops a second event of the same name from the same device
    name = sha256(key.encode()).hexdigest()[:40]
    answer = good(await client.room_send(room, "m.room.message", content, name, ignore_unverified_devices=True))
    return str(getattr(answer, "event_id", ""))


def _text(message: Outbound) -> dict[str, Any]:
    return {
        "msgtype": "m.text",
        "body": message.plain or message.text,
        "format": "org.matrix.custom.html",
        "formatted_body": message.text,
    }


def _relation(message: Outbound) -> dict[str, Any]:
    root = message.conversation.partition("|")[2]
    quoted = {"m.in_reply_to": {"event_id": message.reply_to}} if message.reply_to else {}
    thread = {"rel_type": "m.thread", "event_id": root, "is_falling_back": True} if root else {}
    return {"m.relates_to": thread | quoted} if thread or quoted else {}


async def _uploaded(client: AsyncClient, message: Outbound, file: Attachment) -> dict[str, Any]:
    room = client.rooms.get(message.conversation.partition("|")[0])
    secret = bool(room and room.encrypted)
    name = file.name or file.kind
    answer, key = await client.upload(
        io.BytesIO(file.data), file.mime, None if secret else name, encrypt=secret, filesize=len(file.data)
    )
    url = str(getattr(good(answer), "content_uri", ""))
    info = {"mimetype": file.mime, "size": len(file.data)}
    where = {"file": {**(key or {}), "url": url}} if secret else {"url": url}
    return {"msgtype": _KINDS[file.kind], "body": name, "info": info} | where
