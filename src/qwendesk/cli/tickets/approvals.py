"""``qwendesk tickets approvals``, ``approve`` and ``decline``: operators decide on what the bot is about to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from qwendesk.cli.run import run_command
from qwendesk.cli.tickets.opened import opened
from qwendesk.cli.tickets.output import print_approval

if TYPE_CHECKING:
    from qwendesk.desk.tickets.approval_records import ApprovalRecord
    from qwendesk.desk.tickets.records import TicketRecord

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="The ticket's number.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
AsNeeded = Annotated[str, typer.Option("--as", metavar="NAME", help="The operator who decides, by log-in name.")]
Call = Annotated[
    str | None,
    typer.Option(
        "--call", metavar="ID", help="This call, or all of an approval; without it, what waits is shown and confirmed."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another value for an argument; repeat it."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to those of tickets."""
    app.command()(approvals)
    app.command()(approve)
    app.command()(decline)


def approvals(as_json: AsJson = False) -> None:
    """List the calls of risky tools that wait for an approval, the oldest first."""
    run_command(_list(as_json))


def approve(number: Number, name: AsNeeded, call: Call = None, set_: Set = None, as_json: AsJson = False) -> None:
    """Approve the calls of a ticket: a running 'qwendesk serve' makes them, and the customer gets the answer."""
    run_command(_decide(number, name, call, True, set_ or [], as_json))


def decline(number: Number, name: AsNeeded, call: Call = None, as_json: AsJson = False) -> None:
    """Decline the calls of a ticket: they are not made, and the customer is told."""
    run_command(_decide(number, name, call, False, [], as_json))


async def _list(as_json: bool) -> None:
    async with opened() as desk:
        found = await desk.approvals.waiting()
        for one in found:
            ticket = await desk.queries.get(one.ticket_id)
            await desk.audit_read(ticket.number)
            print_approval(ticket, one, as_json=as_json)
    if not found and not as_json:
        typer.echo("No call waits for an approval.", err=True)


async def _decide(number: int, name: str, call: str | None, approve: bool, given: list[str], as_json: bool) -> None:
    from qwendesk.desk.operators.audit import AuditActor

    arguments = dict(_pair(text) for text in given)
    async with opened() as desk:
        operator, ticket = await desk.operator(name), await desk.queries.numbered(number)
        approval = await desk.approvals.find(ticket, call)
        if call is None:
            _confirm(ticket, approval, approve)
        if call == approval.id:
            call = None
        decided = await desk.approvals.decide(
            ticket.id, operator, approval.id, call, approve, arguments, by=AuditActor()
        )
    print_approval(ticket, decided, as_json=as_json)


def _confirm(ticket: TicketRecord, approval: ApprovalRecord, approve: bool) -> None:
    """Show what waits, and ask whether it is meant: another call may wait than the one that the operator has read.

    Raises:
        typer.BadParameter: nobody can be asked.
        typer.Abort: it is not meant.
    """
    if not sys.stdin.isatty():
        ids = ", ".join(f"{call.id} ({call.tool})" for call in approval.undecided)
        raise typer.BadParameter(f"Name what was read, by '--call ID'. These wait on ticket {ticket.number}: {ids}.")
    print_approval(ticket, approval, as_json=False)
    typer.confirm("Approve this?" if approve else "Decline this?", abort=True, err=True)


def _pair(text: str) -> tuple[str, str]:
    """Return the name and the value of an argument.

    Raises:
        typer.BadParameter: it is no such pair.
    """
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as amount=40.")
    return name.strip(), value
