"""The rows to be stored, made from the values that come in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from qwendesk.errors import InputError
from qwendesk.messages import Attachment, Inbound, Reply, ToolUse

Row = dict[str, Any]

MAX_FILE = 20 * 1024 * 1024
"""Largest file kept, in bytes."""
TITLE_CHARS = 60


def conversation(inbound: Inbound, account: str, now: datetime) -> Row:
    """Make a conversation's row, and whom to look for with it."""
    return {
        "id": str(uuid7()),
        "channel": inbound.channel,
        "account": account,
        "external_id": inbound.conversation,
        "next_sequence": 2,
        "step": 1 if inbound.sequence is None else 0,
        "title": title(inbound),
        "created_at": now,
        "updated_at": now,
        "of_channel": inbound.channel,
        "of_account": account,
        "of_person": inbound.person,
        "at": inbound.sequence,
    }


def title(inbound: Inbound) -> str:
    """Return the first words of a message, or the name of its first file."""
    start = " ".join(inbound.text[: TITLE_CHARS * 8].split())
    named = next((file.name or file.kind for file in inbound.attachments), "")
    words = "".join(char for char in start if char.isprintable()) or named
    return words if len(words) <= TITLE_CHARS else words[: TITLE_CHARS - 1].rstrip() + "…"


def person(name: str, channel: str, account: str, now: datetime) -> tuple[Row, Row]:
    """Make the rows of a person and of the person's name on the channel."""
    new = {"id": str(uuid7()), "created_at": now}
    identity = {
        "id": str(uuid7()),
        "person_id": new["id"],
        "channel": channel,
        "account": account,
        "external_user_id": name,
        "created_at": now,
    }
    return new, identity


def question(
    inbound: Inbound, conversation: str, sequence: int, person: str, files: Sequence[Row], now: datetime
) -> Row:
    """Make the row of a person's message."""
    return {
        "id": str(uuid7()),
        "conversation_id": conversation,
        "sequence": sequence,
        "role": "user",
        "part": 0,
        "person_id": person,
        "text": inbound.text,
        "parts": [{"type": file["kind"], "attachment": file["id"]} for file in files] or None,
        "model": inbound.model,
        "created_at": now,
    }


def answer(conversation: str, sequence: int, *, text: str, model: str | None, now: datetime) -> Row:
    """Make the row of an answer."""
    return {
        "id": str(uuid7()),
        "conversation_id": conversation,
        "sequence": sequence,
        "role": "assistant",
        "part": 0,
        "person_id": None,
        "text": text,
        "parts": None,
        "model": model,
        "created_at": now,
    }


def turn(question: Row, now: datetime) -> Row:
    """Make the row of a turn that begins."""
    return {
        "id": str(uuid7()),
        "conversation_id": question["conversation_id"],
        "sequence": question["sequence"],
        "question_id": question["id"],
        "status": "running",
        "started_at": now,
    }


def done(reply: Reply) -> Row:
    """Make what changes in a turn that is answered."""
    receipt = reply.receipt
    return {
        "status": "done",
        "error": None,
        "role": receipt.role,
        "confidence": receipt.confidence,
        "model": receipt.model,
        "engine": receipt.engine,
        "receipt": receipt.as_dict(),
        "thinking": reply.thinking,
    }


def tool_calls(turn: str, uses: Sequence[ToolUse]) -> list[Row]:
    """Make the rows of a turn's tool calls."""
    return [
        {
            "id": str(uuid7()),
            "turn_id": turn,
            "ordinal": ordinal,
            "name": use.name,
            "arguments": use.arguments,
            "ok": use.ok,
            "result": use.result,
            "duration_ms": use.duration_ms,
        }
        for ordinal, use in enumerate(uses)
    ]


def attachments(inbound: Inbound) -> list[Row]:
    """Make the rows of a message's files, all but the message's id."""
    return [_attachment(ordinal, file) for ordinal, file in enumerate(inbound.attachments)]


def _attachment(ordinal: int, file: Attachment) -> Row:
    size = len(file.data)
    if size > MAX_FILE:
        raise InputError(f"The file {file.name!r} has {size:,} bytes; send one of at most {MAX_FILE:,} bytes.")
    return {
        "id": str(uuid7()),
        "ordinal": ordinal,
        "kind": file.kind,
        "mime": file.mime,
        "name": file.name,
        "size": size,
        "sha256": hashlib.sha256(file.data).hexdigest(),
        "content": file.data,
    }
