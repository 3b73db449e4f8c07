"""The body of a webhook: an event of a ticket, and the ticket as it is now."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from qwendesk.desk.tickets.changes import read_ticket
from qwendesk.desk.tickets.queries import read_event
from qwendesk.desk.tickets.records import TicketEventRecord, TicketGone, TicketRecord
from qwendesk.memory.tables.conversations import Message
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tenancy import TenantConnection
from qwendesk.webhook_settings import WebhookSettings

VERSION = 1
"""Incremented when a field is removed or changes its meaning; further fields may be added."""
_TEXT_OF_INBOX = ("message", "replied")
"""Events about a message that is stored before a turn stores its own."""


async def read_payload(connection: TenantConnection, event_id: str, webhook: WebhookSettings) -> bytes | None:
    """Return the body for an event; None if the event was deleted with its customer."""
    event = await read_event(connection, event_id)
    if event is None:
        return None
    try:
        ticket = await read_ticket(connection, event.ticket_id)
    except TicketGone:
        return None
    data: dict[str, Any] = {"event": _event(event), "ticket": _ticket(ticket)}
    if webhook.include_text:
        data["ticket"] |= {"subject": ticket.subject, "customer": ticket.customer}
        data["text"] = await _text(connection, ticket, event)
    return _body(f"ticket.{event.kind}", event.at, data)


def test_payload(webhook: WebhookSettings) -> bytes:
    """Return the body of a test."""
    return _body("webhook.test", datetime.now(UTC), {"webhook": webhook.label})


def _body(type_: str, at: datetime, data: dict[str, Any]) -> bytes:
    body = {"type": type_, "timestamp": at.isoformat(), "version": VERSION, "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _event(event: TicketEventRecord) -> dict[str, Any]:
    operator = {"id": event.operator_id, "name": event.operator_name} if event.operator_id else None
    return {
        "id": event.id,
        "kind": event.kind,
        "actor": event.actor,
        "operator": operator,
        "reason": event.reason,
        "changes": event.changes,
    }


def _ticket(ticket: TicketRecord) -> dict[str, Any]:
    operator = {"id": ticket.operator_id, "name": ticket.operator_name} if ticket.operator_id else None
    moments = {
        name: moment.isoformat() if (moment := getattr(ticket, name)) else None
        for name in ("created_at", "waiting_since", "first_response_at", "snoozed_until", "resolved_at")
    }
    return {
        "id": ticket.id,
        "number": ticket.number,
        "conversation": ticket.conversation_id,
        "person": ticket.person_id,
        "channel": ticket.channel,
        "state": ticket.state,
        "operator": operator,
        "priority": ticket.priority,
        "tags": list(ticket.tags),
        "team": ticket.team,
        "language": ticket.language,
        "reason": ticket.reason,
        **moments,
    }


async def _text(connection: TenantConnection, ticket: TicketRecord, event: TicketEventRecord) -> str | None:
    """Return the text of the message that an event is about; None if it is about none."""
    sequence = event.changes.get("sequence")
    if sequence is None:
        return None
    if event.kind in _TEXT_OF_INBOX:
        inbound = (InboundEvent.conversation_id == ticket.conversation_id) & (InboundEvent.sequence == sequence)
        payload = (await connection.execute(select(InboundEvent.payload).where(inbound))).scalar_one_or_none()
        return str(payload["text"]) if payload else None
    if event.kind == "answered":
        message = (Message.conversation_id == ticket.conversation_id) & (Message.sequence == sequence)
        answers = select(Message.text).where(message, Message.role == "assistant").order_by(Message.part)
        parts = (await connection.execute(answers)).scalars().all()
        return "\n\n".join(parts) if parts else None
    return None
