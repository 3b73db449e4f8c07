"""The rows of accepted messages, made from what comes in, and back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from qwendesk.memory.conversations.turns import title
from qwendesk.messages import Attachment, Inbound, as_role, storable

Row = dict[str, Any]


def conversation_key(account: str, conversation: str) -> str:
    """Return a conversation's key in the memory, which knows channels but not the desk's accounts on them."""
    return f"{account}/{conversation}" if account else conversation


def conversation(inbound: Inbound, now: datetime) -> Row:
    """Make the row of a conversation whose first message is being taken."""
    return {
        "id": str(uuid7()),
        "channel": inbound.channel,
        "account": "",
        "external_id": conversation_key(inbound.account, inbound.conversation),
        "next_sequence": 1,
        "title": title(inbound),
        "locale": inbound.locale,
        "created_at": now,
        "updated_at": now,
    }


def event(inbound: Inbound, conversation: str, sequence: int, now: datetime) -> Row:
    """Make the row of an accepted message."""
    return {
        "id": str(uuid7()),
        "channel": inbound.channel,
        "account": inbound.account,
        "event": inbound.event,
        "conversation_id": conversation,
        "sequence": sequence,
        "person": inbound.person,
        "payload": _payload(inbound),
        "received_at": now,
    }


def files(inbound: Inbound, event_id: str) -> list[Row]:
    """Make the rows of a message's files."""
    return [
        {
            "id": str(uuid7()),
            "inbound_id": event_id,
            "ordinal": ordinal,
            "kind": file.kind,
            "mime": storable(file.mime),
            "name": storable(file.name),
            "content": file.data,
        }
        for ordinal, file in enumerate(inbound.attachments)
    ]


def inbound(row: Any, files: list[Attachment]) -> Inbound:
    """Return a stored message as it came in."""
    payload = row.payload
    return Inbound(
        text=payload["text"],
        conversation=payload["conversation"],
        attachments=tuple(files),
        role=as_role(payload.get("role") or ""),
        model=payload.get("model"),
        think=payload.get("think"),
        person=row.person,
        channel=row.channel,
        account=row.account,
        event=row.event,
        reply_to=payload.get("reply_to"),
        locale=payload.get("locale"),
        group=bool(payload.get("group")),
        display_name=payload.get("display_name", ""),
        retry=bool(payload.get("retry")),
        unsupported_media=payload.get("unsupported_media"),
        sequence=row.sequence,
    )


def _payload(inbound: Inbound) -> Row:
    values = {
        "text": storable(inbound.text),
        "conversation": inbound.conversation,
        "role": inbound.role,
        "model": inbound.model,
        "think": inbound.think,
        "reply_to": inbound.reply_to,
        "locale": inbound.locale,
        "group": inbound.group,
        "display_name": inbound.display_name,
        "retry": inbound.retry,
        "unsupported_media": inbound.unsupported_media,
        "files": len(inbound.attachments),
    }
    needed = ("text", "conversation", "think")
    return {key: value for key, value in values.items() if value or key in needed}
