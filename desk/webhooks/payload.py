"""The body of a webhook: an event of a ticket, and the ticket as it is now."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from qwendesk.desk.tickets.changes import read_ticket
from qwendesk.desk.tickets.queries import read_event, read_event_text
from qwendesk.desk.tickets.records import TicketEventRecord, TicketGone, TicketRecord
from qwendesk.memory.tenancy import TenantConnection
from qwendesk.webhook_settings import WebhookSettings

VERSION = 1
"""Incremented when a field is removed or changes its meaning; further fields may be added."""


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
        data["text"] = await read_event_text(connection, ticket, event)
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
