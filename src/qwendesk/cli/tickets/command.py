"""The commands of ``qwendesk tickets``; they change tickets by the same path as the operators' pages."""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qwendesk.cli.run import run_command
from qwendesk.cli.tickets import approvals, reporting
from qwendesk.cli.tickets.opened import opened
from qwendesk.cli.tickets.output import print_thread, print_ticket, print_tickets
from qwendesk.desk.workspace.snoozing import time_or_duration

if TYPE_CHECKING:
    from qwendesk.cli.tickets.opened import TicketDesk
    from qwendesk.desk.tickets.queries import TicketFilter
    from qwendesk.desk.tickets.records import Actor, TicketRecord, TicketState
    from qwendesk.messages import Attachment

app = typer.Typer(
    help="List, answer and change the tickets of customers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
approvals.register(app)
reporting.register(app)

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="The ticket's number.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
As = Annotated[str | None, typer.Option("--as", metavar="NAME", help="The operator who does it, by log-in name.")]
AsNeeded = Annotated[str, typer.Option("--as", metavar="NAME", help="The operator who does it, by log-in name.")]
Force = Annotated[bool, typer.Option("--force", help="Although a colleague holds the ticket.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a word.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of tickets.")]
OfState = Annotated[
    list[str] | None,
    typer.Option("--state", help="bot, waiting, human, snoozed or resolved; repeat it. Default: all but resolved."),
]
OfOperator = Annotated[str | None, typer.Option("--operator", help="Only those of this operator, by log-in name.")]
Text = Annotated[str, typer.Argument(metavar="TEXT", help="The text, in your language.")]
Files = Annotated[list[Path] | None, typer.Option("--file", help="A file that goes with it; repeat it.")]


@app.command("list")
def listed(
    state: OfState = None,
    operator: OfOperator = None,
    team: Annotated[str | None, typer.Option("--team", help="Only those of this team.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only those with this tag.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List tickets: the waiting ones first, then by their newest message."""
    run_command(_list(state, operator, team, tag, "", limit, as_json))


@app.command()
def search(
    words: Annotated[str, typer.Argument(metavar="WORDS", help="Words of a message, a subject or a name.")],
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Search all tickets, the resolved ones too."""
    run_command(_list(["all"], None, None, None, words, limit, as_json))


@app.command()
def show(number: Number, as_json: AsJson = False) -> None:
    """Show a ticket with its messages, notes and events."""
    run_command(_show(number, as_json))


@app.command()
def take(number: Number, name: AsNeeded, force: Force = False, as_json: AsJson = False) -> None:
    """Take a ticket over: the bot is silent, and its running answer is stopped."""
    _change(number, name, as_json, lambda desk, id_, by: desk.tickets.take_over(id_, by, force=force))


@app.command()
def reply(
    number: Number, text: Text, name: AsNeeded, file: Files = None, force: Force = False, as_json: AsJson = False
) -> None:
    """Send a message to the customer, which takes the ticket over; a running 'qwendesk serve' delivers it."""
    files = [_attachment(path) for path in file or ()]
    _change(number, name, as_json, lambda desk, id_, by: desk.tickets.reply(id_, by, text, files, force=force))


@app.command("hand-over")
def hand_over(
    number: Number,
    reason: Reason = "operator",
    team: Annotated[str | None, typer.Option("--team", help="The team that gets it.")] = None,
    name: As = None,
    as_json: AsJson = False,
) -> None:
    """Let a ticket wait for an operator: the bot is silent."""
    _change(number, name, as_json, lambda desk, id_, by: desk.tickets.hand_over(id_, by, reason, team=team))


@app.command("hand-back")
def hand_back(number: Number, reason: Reason = "", name: As = None, as_json: AsJson = False) -> None:
    """Let the bot answer again."""
    _change(number, name, as_json, lambda desk, id_, by: desk.tickets.hand_back(id_, by, reason))


@app.command()
def assign(
    number: Number,
    to: Annotated[str | None, typer.Argument(metavar="NAME", help="The operator's log-in name; none: nobody.")] = None,
    name: As = None,
    as_json: AsJson = False,
) -> None:
    """Assign a ticket to an operator, or to nobody."""

    async def work(desk: TicketDesk, id_: str, by: Actor) -> TicketRecord:
        return await desk.tickets.assign(id_, by, (await desk.operator(to)).operator_id if to else None)

    _change(number, name, as_json, work)


@app.command()
def resolve(number: Number, reason: Reason = "", name: As = None, as_json: AsJson = False) -> None:
    """Close a ticket."""
    _change(number, name, as_json, lambda desk, id_, by: desk.tickets.resolve(id_, by, reason))


@app.command()
def reopen(number: Number, name: As = None, as_json: AsJson = False) -> None:
    """Open a resolved ticket again."""
    _change(number, name, as_json, lambda desk, id_, by: desk.tickets.reopen(id_, by))


@app.command()
def snooze(
    number: Number,
    until: Annotated[
        str, typer.Argument(metavar="TIME", help="For how long, such as 30m, 4h, 2d; or until when: 2026-12-24T09:00.")
    ],
    name: As = None,
    as_json: AsJson = False,
) -> None:
    """Set a ticket aside until a time, or until its customer writes."""
    _change(number, name, as_json, lambda desk, id_, by: desk.tickets.snooze(id_, by, time_or_duration(until)))


@app.command()
def tag(
    number: Number,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Tags to add.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove them instead.")] = False,
    name: As = None,
    as_json: AsJson = False,
) -> None:
    """Add tags to a ticket, or remove them."""
    added, removed = ((), tags) if remove else (tags, ())
    _change(
        number, name, as_json, lambda desk, id_, by: desk.tickets.update(id_, by, add_tags=added, remove_tags=removed)
    )


@app.command()
def note(number: Number, text: Text, name: AsNeeded, as_json: AsJson = False) -> None:
    """Add a note that only operators see."""

    async def work(desk: TicketDesk, id_: str, by: Actor) -> TicketRecord:
        await desk.tickets.note(id_, by, text)
        return await desk.queries.get(id_)

    _change(number, name, as_json, work)


@app.command()
def merge(
    number: Number,
    into: Annotated[int, typer.Argument(metavar="INTO", help="Number of the ticket that remains.")],
    name: As = None,
    as_json: AsJson = False,
) -> None:
    """Move the messages and notes of a ticket into another one of the same conversation."""

    async def work(desk: TicketDesk, id_: str, by: Actor) -> TicketRecord:
        return await desk.tickets.merge(id_, (await desk.queries.numbered(into)).id, by)

    _change(number, name, as_json, work)


@app.command()
def split(
    number: Number,
    first: Annotated[int, typer.Argument(metavar="MESSAGE", help="Number of the first message that is moved.")],
    subject: Annotated[str, typer.Option("--subject", help="Subject of the new ticket.")] = "",
    name: As = None,
    as_json: AsJson = False,
) -> None:
    """Move the messages of a ticket from one on into a new ticket; 'tickets show' has their numbers."""
    _change(number, name, as_json, lambda desk, id_, by: desk.tickets.split(id_, by, first, subject))


Change = Callable[["TicketDesk", str, "Actor"], Awaitable["TicketRecord"]]


def _change(number: int, name: str | None, as_json: bool, change: Change) -> None:
    """Change a ticket and print it as it is then."""

    async def work() -> None:
        async with opened() as desk:
            by = await desk.operator(name) if name else desk.program
            ticket = await change(desk, (await desk.queries.numbered(number)).id, by)
        print_ticket(ticket, as_json=as_json)

    run_command(work())


async def _list(
    states: list[str] | None,
    operator: str | None,
    team: str | None,
    tag: str | None,
    text: str,
    limit: int,
    as_json: bool,
) -> None:
    async with opened() as desk:
        id_ = (await desk.operator(operator)).operator_id if operator else None
        chosen = _filter(states, id_, team, tag, text)
        found = await desk.queries.listed(chosen, limit=limit, waiting_first=not text)
    print_tickets(found, as_json=as_json)


def _filter(
    states: list[str] | None, operator: str | None, team: str | None, tag: str | None, text: str
) -> TicketFilter:
    from qwendesk.desk.tickets.queries import TicketFilter
    from qwendesk.desk.tickets.records import OPEN_STATES

    chosen = OPEN_STATES if not states else () if states == ["all"] else tuple(_state(state) for state in states)
    return TicketFilter(chosen, operator, team=team, tag=tag, text=text)


def _state(text: str) -> TicketState:
    from qwendesk.desk.tickets.records import TICKET_STATES
    from qwendesk.errors import InputError, no_such

    for known in TICKET_STATES:
        if known == text.strip().lower():
            return known
    raise InputError(no_such("There is no state", text, TICKET_STATES))


async def _show(number: int, as_json: bool) -> None:
    async with opened() as desk:
        thread = await desk.queries.thread((await desk.queries.numbered(number)).id)
        await desk.audit_read(number)
    print_thread(thread, as_json=as_json)


def _attachment(path: Path) -> Attachment:
    """Return a file to be sent.

    Raises:
        typer.BadParameter: it cannot be read, or is too large.
    """
    from qwendesk.messages import MAX_ATTACHMENT_BYTES, Attachment, kind_of

    try:
        data = path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{str(path)!r} cannot be read: {error.strerror or error}.") from None
    if len(data) > MAX_ATTACHMENT_BYTES:
        raise typer.BadParameter(f"{str(path)!r} has more than {MAX_ATTACHMENT_BYTES:,} bytes.")
    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Attachment(kind_of(mime), mime, data, path.name)
