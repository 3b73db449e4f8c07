"""Client-server API calls: send and edit messages, upload files, show typing; and the errors of matrix-nio."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from qwendesk.errors import ChannelError, reason
from qwendesk.messages import Attachment, Outbound

if TYPE_CHECKING:
    from nio import AsyncClient

T = TypeVar("T")
_UNKNOWN_TOKEN = "M_UNKNOWN_TOKEN"
_NOT_LOGGED_IN = "Not logged in"
"""The library's text of a call after its access token became invalid."""
_CREDENTIALS = {"M_MISSING_TOKEN", "M_USER_DEACTIVATED"}
_PERMANENT = {"M_FORBIDDEN", "M_NOT_FOUND", "M_TOO_LARGE", "M_BAD_JSON", "M_INVALID_PARAM", "M_UNRECOGNIZED"}
ADVICE = "Check QWENDESK_CHANNELS__MATRIX__USER and QWENDESK_CHANNELS__MATRIX__PASSWORD."
_KINDS = {"image": "m.image", "audio": "m.audio", "document": "m.file"}


class LoggedOut(ChannelError):
    """The access token is invalid.

    Args:
        soft: Whether the homeserver keeps the device and its keys.
    """

    def __init__(self, *, soft: bool) -> None:
        super().__init__("The homeserver has invalidated the access token; the desk logs in again with its password.")
        self.soft = soft


def raise_for_error(response: T) -> T:
    """Return a response of the homeserver.

    Raises:
        ChannelError: The response is an error.
    """
    from nio import ErrorResponse

    if not isinstance(response, ErrorResponse):
        return response
    code = response.status_code or ""
    if wait := response.retry_after_ms:
        raise ChannelError(f"The homeserver asks to wait {wait / 1000:g} s.", retry_after=wait / 1000)
    if code == _UNKNOWN_TOKEN:
        raise LoggedOut(soft=response.soft_logout)
    advice = f" {ADVICE}" if code in _CREDENTIALS else ""
    permanent = code in _CREDENTIALS or code in _PERMANENT
    raise ChannelError(f"The homeserver refuses: {code} {response.message}.{advice}", permanent=permanent)


@asynccontextmanager
async def translate_errors() -> AsyncIterator[None]:
    """Raise ``ChannelError`` for exceptions of the library."""
    import aiohttp
    from nio.exceptions import LocalProtocolError

    try:
        yield
    except LocalProtocolError as error:
        if str(error).startswith(_NOT_LOGGED_IN):
            raise LoggedOut(soft=False) from error
        raise ChannelError(f"The library refuses a call to the homeserver: {error}.") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ChannelError(f"The homeserver cannot be reached: {reason(error)}.") from error


async def send(client: AsyncClient, message: Outbound) -> str:
    """Send the text, then the files; return the id of the first event."""
    ids = []
    if message.text:
        ids.append(await _put(client, message, _text(message) | _relation(message), message.key))
    for number, file in enumerate(message.attachments):
        content = await _uploaded(client, message, file)
        ids.append(await _put(client, message, content | _relation(message), f"{message.key}:{number}"))
    return ids[0]


async def edit(client: AsyncClient, message_id: str, message: Outbound) -> None:
    """Replace the text of a message."""
    fresh = _text(message)
    replaced = {"m.new_content": fresh, "m.relates_to": {"rel_type": "m.replace", "event_id": message_id}}
    # the fallback text has no markup: an event is limited to 64 KiB, and encryption turns a non-Latin letter into six
    # to eight bytes
    content = {"msgtype": fresh["msgtype"], "body": f"* {fresh['body']}"} | replaced
    await _put(client, message, content, f"{message_id}:{message.key}:{message.text}")


async def typing(client: AsyncClient, conversation: str, milliseconds: int) -> None:
    """Show the typing indicator."""
    raise_for_error(await client.room_typing(conversation.partition("|")[0], True, milliseconds))


async def _put(client: AsyncClient, message: Outbound, content: dict[str, Any], key: str) -> str:
    room = message.conversation.partition("|")[0]
    # the transaction id: the homeserver ignores a second event with the same one
    transaction = sha256(key.encode()).hexdigest()[:40]
    answer = raise_for_error(
        await client.room_send(room, "m.room.message", content, transaction, ignore_unverified_devices=True)
    )
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
    url = str(getattr(raise_for_error(answer), "content_uri", ""))
    info = {"mimetype": file.mime, "size": len(file.data)}
    where = {"file": {**(key or {}), "url": url}} if secret else {"url": url}
    return {"msgtype": _KINDS[file.kind], "body": name, "info": info} | where
