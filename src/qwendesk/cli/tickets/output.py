"""Print tickets and their threads, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from qwendesk.printable import many_lines, one_line

if TYPE_CHECKING:
    from qwendesk.desk.tickets.approval_records import ApprovalRecord
    from qwendesk.desk.tickets.queries import ThreadMessage, TicketThread
    from qwendesk.desk.tickets.records import TicketRecord

_SUBJECT_CHARS = 60


def print_tickets(tickets: Sequence[TicketRecord], *, as_json: bool) -> None:
    """Print a list of tickets, a line each."""
    for ticket in tickets:
        if as_json:
            _print_json(_plain(ticket))
            continue
        cells = [f"#{ticket.number:<5}", f"{ticket.state:<8}", f"{ticket.priority:<6}", _local(ticket.last_message_at)]
        who = ticket.operator_name or "-"
        more = [f"{one_line(who)[:16]:<16}", f"{one_line(ticket.customer)[:20]:<20}"]
        typer.echo("  ".join([*cells, *more, one_line(ticket.subject)[:_SUBJECT_CHARS]]).rstrip())
    if not tickets and not as_json:
        typer.echo("No tickets.", err=True)


def print_ticket(ticket: TicketRecord, *, as_json: bool) -> None:
    """Print a ticket as it is after a change."""
    if as_json:
        _print_json(_plain(ticket))
        return
    holder = f", {one_line(ticket.operator_name)}" if ticket.operator_name else ""
    tags = f" [{', '.join(map(one_line, ticket.tags))}]" if ticket.tags else ""
    typer.echo(f"#{ticket.number} {ticket.state}{holder}{tags}: {one_line(ticket.subject)}")


def print_thread(thread: TicketThread, *, as_json: bool) -> None:
    """Print a ticket with its messages, notes and events, in the order of their times."""
    if as_json:
        messages = [_plain_message(message) for message in thread.messages]
        notes = [_json(asdict(note)) for note in thread.notes]
        events = [_json(asdict(event)) for event in thread.events]
        texts = [_json(asdict(text)) for text in thread.texts]
        approvals = [_plain_approval(one) for one in thread.approvals]
        more = {"messages": messages, "notes": notes, "events": events, "texts": texts, "approvals": approvals}
        _print_json({**_plain(thread.ticket), **more})
        return
    ticket = thread.ticket
    print_ticket(ticket, as_json=False)
    typer.echo(f"customer  {one_line(ticket.customer)} ({ticket.channel}, {ticket.language or 'language unknown'})")
    lines = [(message.created_at, _message_line(message)) for message in thread.messages]
    lines += [(note.created_at, f"note by {one_line(note.operator_name)}: {note.text}") for note in thread.notes]
    lines += [(text.created_at, f"desk: {text.text}") for text in thread.texts]
    for event in thread.events:
        who = one_line(event.operator_name) or event.actor
        reason = f" ({event.reason})" if event.reason else ""
        lines.append((event.at, f"- {event.kind} by {who}{reason}"))
    for at, line in sorted(lines, key=lambda one: one[0]):
        typer.echo(f"{_local(at)}  {many_lines(line)}")
    for approval in thread.approvals:
        print_approval(ticket, approval, as_json=False)


def print_approval(ticket: TicketRecord, approval: ApprovalRecord, *, as_json: bool) -> None:
    """Print calls that wait for an approval or did, with what was decided on each."""
    if as_json:
        _print_json({"ticket": ticket.number, "customer": ticket.customer, **_plain_approval(approval)})
        return
    for call in approval.calls:
        decision = approval.decisions.get(call.id)
        arguments = ", ".join(f"{name}={value!r}" for name, value in approval.arguments(call).items())
        status = "declined" if decision and not decision.approved else "approved" if decision else approval.status
        by = f" by {one_line(decision.operator)}" if decision else ""
        why = f" ({approval.reason.replace('_', ' ')})" if approval.reason else ""
        ended = f", {decision.outcome}" if decision and decision.outcome else ""
        typer.echo(f"#{ticket.number} {status}{by}{ended}{why}: {one_line(f'{call.tool}({arguments})')}  [{call.id}]")
        if decision and decision.error:
            typer.echo(f"    {one_line(decision.error)}")
        if approval.status == "waiting" and decision is None:
            for reason in call.reason.split("; "):
                typer.echo(f"    {one_line(reason)}")
            typer.echo(f"    until {_local(approval.expires_at)}; customer: {one_line(ticket.customer)}")


def _message_line(message: ThreadMessage) -> str:
    who = message.operator_name if message.role == "operator" else message.role
    files = "".join(f" [{file['type']}]" for file in message.attachments)
    failed = " (not delivered)" if message.delivery == "failed" else ""
    return f"[{message.sequence}] {one_line(who)}{failed}: {message.text}{files}"


def _plain(ticket: TicketRecord) -> dict[str, Any]:
    values = {name: getattr(ticket, name) for name in ticket.__slots__ if name not in ("delivery", "signals")}
    return _json({**values, "customer": ticket.customer})


def _plain_approval(approval: ApprovalRecord) -> dict[str, Any]:
    values = {
        name: getattr(approval, name) for name in ("id", "sequence", "status", "reason", "created_at", "expires_at")
    }
    return _json({**values, "calls": approval.plain()})


def _plain_message(message: ThreadMessage) -> dict[str, Any]:
    return _json(asdict(message))


def _json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _print_json(values: dict[str, Any]) -> None:
    typer.echo(json.dumps(values, ensure_ascii=False))


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
