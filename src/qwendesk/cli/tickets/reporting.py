"""What is learned from tickets, on the command line: reports, exports, drafts for the knowledge base, scenarios."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO
from zoneinfo import ZoneInfo

import typer

from qwendesk.cli.run import run_command
from qwendesk.errors import ConfigError
from qwendesk.printable import many_lines, one_line

if TYPE_CHECKING:
    from qwendesk.desk.reports.ticket_report import TicketReport, Times
    from qwendesk.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Since = Annotated[str, typer.Option("--since", help="Begin: a date such as 2026-03-01, or days such as 7d.")]
Until = Annotated[str | None, typer.Option("--until", help="End, which does not belong to it; default: now.")]
As = Annotated[str, typer.Option("--as", metavar="NAME", help="The operator who decides, by log-in name.")]
DraftId = Annotated[str, typer.Argument(metavar="ID", help="The draft's id, from 'qwendesk tickets drafts list'.")]
drafts = typer.Typer(
    help="Answers of operators as drafts for the knowledge base.", no_args_is_help=True, rich_markup_mode=None
)
_BAR_CHARS = 30


def register(app: typer.Typer) -> None:
    """Add the commands to those of tickets."""
    app.command()(report)
    app.command()(export)
    app.command()(simulate)
    app.add_typer(drafts, name="drafts")


def report(since: Since = "7d", until: Until = None, as_json: AsJson = False) -> None:
    """Report on a period: volume, languages, deflection, response times, ratings, questions without an answer.

    Times are counted in opening hours where those are set.
    """
    run_command(_report(since, until, as_json))


def export(
    file: Annotated[Path | None, typer.Argument(help="The file to write; default: the standard output.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Only tickets opened since then.")] = None,
    until: Until = None,
) -> None:
    """Export tickets as JSON Lines: one a line, with messages, notes, events and rating."""
    run_command(_export(file, since, until))


def simulate(
    scenarios: Annotated[Path, typer.Argument(metavar="FILE", help="A YAML file, or a folder of such files.")],
    as_json: AsJson = False,
    only: Annotated[str, typer.Option("--only", help="Only scenarios with these words in their name.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="Show only what does not go as expected.")] = False,
) -> None:
    """Play conversations of customers, operators and the bot on a desk of its own, and compare what happens."""
    run_command(_simulate(scenarios, only, quiet=quiet, as_json=as_json))


@drafts.command("list")
def list_drafts(
    status: Annotated[str, typer.Option("--status", help="open, approved, dismissed or all.")] = "open",
    since: Annotated[str, typer.Option("--since", help="Look for new drafts in tickets resolved since then.")] = "30d",
    as_json: AsJson = False,
) -> None:
    """Look for new drafts in resolved tickets, and list them."""
    run_command(_list_drafts(status, since, as_json))


@drafts.command()
def edit(
    id_: DraftId,
    question: Annotated[str | None, typer.Option("--question", help="The question, without what is personal.")] = None,
    answer: Annotated[str | None, typer.Option("--answer", help="The answer, without what is personal.")] = None,
) -> None:
    """Change the texts of a draft."""
    run_command(_edit(id_, question, answer))


@drafts.command()
def approve(id_: DraftId, operator: As) -> None:
    """Add a draft to the knowledge base."""
    run_command(_approve(id_, operator))


@drafts.command()
def dismiss(id_: DraftId, operator: As) -> None:
    """Leave a draft out of the knowledge base."""
    run_command(_dismiss(id_, operator))


def read_time(text: str, now: datetime, zone: str = "UTC") -> datetime:
    """Return the time of a text such as ``2026-03-01``, ``2026-03-01T12:00`` or ``7d``.

    Args:
        text: the text.
        now: what days are counted back from.
        zone: the time zone of a date without one.

    Raises:
        ConfigError: it is none.
    """
    if text.endswith("d") and text[:-1].isdecimal() and len(text) < 6:
        midnight = datetime.combine(now.astimezone(ZoneInfo(zone)).date(), time(), ZoneInfo(zone))
        return midnight - timedelta(days=int(text[:-1]))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time; write a date such as '2026-03-01', or days such as '7d'.") from None
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))


def _zone(settings: Settings) -> str:
    return settings.hours.zone or "UTC"


def _period(settings: Settings, since: str, until: str | None) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    begin, end = read_time(since, now, _zone(settings)), read_time(until, now, _zone(settings)) if until else now
    if begin >= end:
        raise ConfigError(f"The period ends before it begins: {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}.")
    return begin, end


async def _report(since: str, until: str | None, as_json: bool) -> None:
    from qwendesk.cli.memory import opened
    from qwendesk.desk.hours.desk_hours import DeskHours
    from qwendesk.desk.reports.ticket_report import make_report
    from qwendesk.settings import load_settings

    settings = load_settings()
    begin, end = _period(settings, since, until)
    hours = DeskHours(settings.hours)
    async with opened() as memory:
        made = await make_report(memory.scope, begin, end, zone=_zone(settings), elapsed=hours.open_time_between)
    if as_json:
        values = {**asdict(made), "deflection": made.deflection}
        typer.echo(json.dumps(values, default=str, ensure_ascii=False, indent=2))
        return
    _print_report(made)


def _print_report(made: TicketReport) -> None:
    def line(label: str, value: object) -> None:
        typer.echo(f"{label:<24}{value}")

    line("period", f"{made.since:%Y-%m-%d %H:%M} to {made.until:%Y-%m-%d %H:%M}")
    line("opened", made.opened)
    line("resolved", f"{made.resolved}, by the bot alone {made.deflected}{_percent(made.deflection)}")
    line("reopened", made.reopened)
    line("first response", _minutes(made.first_response))
    line("resolution", _minutes(made.resolution))
    rated = sum(made.ratings.values())
    line("ratings", f"{rated} of {made.asked_for_rating} asked; 4 or 5{_percent(made.satisfaction)}")
    for title, counts in (
        ("opened by day", made.by_day),
        ("languages", made.by_language),
        ("channels", made.by_channel),
        ("states", made.by_state),
        ("handed over because", made.handed_over),
        ("answers by role", made.answers_by_role),
    ):
        _print_counts(title, counts)
    if made.operators:
        typer.echo("\noperators")
    for one in made.operators:
        typer.echo(
            f"  {one_line(one.name):<22}{one.replies} replies, {one.resolved} resolved, "
            f"first response {_minutes(one.first_response)}, 4 or 5{_percent(one.satisfaction)}"
        )
    if made.open_questions:
        typer.echo("\nquestions without a good answer")
    for question in made.open_questions:
        tickets = ", ".join(f"#{number}" for number in question.tickets[:5])
        typer.echo(f"  {question.count:>4}  {one_line(question.examples[0])}  ({tickets})")
    if made.open_questions:
        typer.echo("\n'qwendesk tickets drafts list' has what operators answered, for the knowledge base.")


def _print_counts(title: str, counts: Mapping[str, int]) -> None:
    if not any(counts.values()):
        return
    typer.echo(f"\n{title}")
    highest = max(counts.values())
    for name, count in counts.items():
        typer.echo(f"  {one_line(name):<22}{count:>5}  {'#' * round(_BAR_CHARS * count / highest)}".rstrip())


def _percent(share: float | None) -> str:
    return "" if share is None else f" ({share:.0%})"


def _minutes(times: Times) -> str:
    if times.median is None or times.p90 is None:
        return "-"
    return f"median {times.median:g} min, 90 % within {times.p90:g} min (n {times.count})"


async def _export(file: Path | None, since: str | None, until: str | None) -> None:
    from qwendesk.cli.memory import opened
    from qwendesk.desk.operators.audit import AuditActor, OperatorAuditLog
    from qwendesk.desk.reports.export import export_tickets
    from qwendesk.settings import load_settings

    settings, now, count = load_settings(), datetime.now(UTC), 0
    begin = read_time(since, now, _zone(settings)) if since else None
    end = read_time(until, now, _zone(settings)) if until else None
    async with opened() as memory:
        out = _create(file) if file else None
        # before the first line: one that is broken off has exported something
        noted = {"file": file.name if file else None, "since": since, "until": until}
        await OperatorAuditLog(memory.scope).add(AuditActor(), "export", "tickets", noted)
        try:
            async for line in export_tickets(memory.scope, begin, end):
                count += 1
                text = json.dumps(line, ensure_ascii=False)
                if out:
                    out.write(text + "\n")
                else:
                    typer.echo(text)
        finally:
            if out:
                out.close()
    typer.echo(f"{count} tickets exported.", err=True)


def _create(file: Path) -> TextIO:
    """Create a file that only its owner reads.

    Raises:
        ConfigError: there is one, or it cannot be written.
    """
    from qwendesk.settings import PRIVATE_FILE_MODE

    try:
        file.touch(PRIVATE_FILE_MODE, exist_ok=False)
        return file.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The file {str(file)!r} cannot be written: {error.strerror}.") from None


async def _simulate(scenarios: Path, only: str, *, quiet: bool, as_json: bool) -> None:
    from qwendesk.cli.tickets.simulation import play_scenario
    from qwendesk.testing.ticket_scenario import read_scenarios

    chosen = [one for one in read_scenarios(scenarios) if only.casefold() in one.name.casefold()]
    if not chosen:
        raise ConfigError(f"No scenario of {str(scenarios)!r} has {only!r} in its name.")
    failed: list[str] = []
    for scenario in chosen:
        said: list[dict[str, str]] = []
        show = _shower(said, is_printed=not (quiet or as_json))
        if not (quiet or as_json):
            typer.echo(f"\n{one_line(scenario.name)}")
        with tempfile.TemporaryDirectory(prefix="qwendesk-") as folder:
            failures = await play_scenario(scenario, Path(folder), show)
        if as_json:
            typer.echo(json.dumps({"name": scenario.name, "said": said, "failures": failures}, ensure_ascii=False))
        elif failures:
            typer.echo("\n".join(f"  ! {many_lines(failure)}" for failure in failures))
        failed += [scenario.name] if failures else []
    if not as_json:
        typer.echo(f"\n{len(chosen) - len(failed)} of {len(chosen)} scenarios went as expected.")
    if failed:
        raise typer.Exit(1)


def _shower(said: list[dict[str, str]], *, is_printed: bool) -> Callable[[str, str], None]:
    def show(who: str, what: str) -> None:
        said.append({"who": who, "text": what})
        if is_printed:
            typer.echo(f"{one_line(who):>12}  {many_lines(what)}")

    return show


async def _list_drafts(status: str, since: str, as_json: bool) -> None:
    from qwendesk.cli.memory import opened
    from qwendesk.desk.reports.drafts import KnowledgeDrafts, draft_status

    wanted, begin = draft_status(status), read_time(since, datetime.now(UTC))
    async with opened() as memory:
        found = KnowledgeDrafts(memory.scope)
        await found.collect(begin)
        listed = await found.listed(wanted)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in listed], default=str, ensure_ascii=False, indent=2))
        return
    for one in listed:
        typer.echo(f"{one.id}  ticket {one.ticket}  {one.status}")
        typer.echo(f"    {one_line(one.question)}\n    {one_line(' '.join(one.answer.split()))}")
    if not listed:
        typer.echo("There are no such drafts.")
    elif wanted in (None, "open"):
        typer.echo("Read them for what is personal ('drafts edit'), then 'drafts approve ID --as NAME' or 'dismiss'.")


async def _edit(id_: str, question: str | None, answer: str | None) -> None:
    from qwendesk.cli.memory import opened
    from qwendesk.desk.reports.drafts import KnowledgeDrafts

    async with opened() as memory:
        await KnowledgeDrafts(memory.scope).edit(id_, question=question, answer=answer)
        await _note(memory, "draft.edit", id_)
    typer.echo("The draft is changed.")


async def _approve(id_: str, operator: str) -> None:
    from qwendesk.cli.memory import opened
    from qwendesk.desk.reports.drafts import KnowledgeDrafts
    from qwendesk.settings import load_settings
    from qwendesk.wiring import build_knowledge

    settings: Any = load_settings()
    async with opened() as memory:
        knowledge = build_knowledge(settings, memory)
        try:
            actor = await _operator(memory, settings, operator)
            name = await KnowledgeDrafts(memory.scope).approve(id_, actor, knowledge.base.add_bytes)
            await _note(memory, "draft.approve", id_, operator)
        finally:
            await knowledge.aclose()
    typer.echo(f"The knowledge base has the document {name!r} now.")


async def _dismiss(id_: str, operator: str) -> None:
    from qwendesk.cli.memory import opened
    from qwendesk.desk.reports.drafts import KnowledgeDrafts
    from qwendesk.settings import load_settings

    async with opened() as memory:
        await KnowledgeDrafts(memory.scope).dismiss(id_, await _operator(memory, load_settings(), operator))
        await _note(memory, "draft.dismiss", id_, operator)
    typer.echo("The draft is dismissed.")


async def _note(memory: Any, action: str, draft: str, operator: str = "") -> None:
    """Note in the audit log what a command did with a draft, as the pages do."""
    from qwendesk.desk.operators.audit import AuditActor, OperatorAuditLog
    from qwendesk.desk.reports.drafts import KnowledgeDrafts

    ticket = (await KnowledgeDrafts(memory.scope).get(draft)).ticket
    details = {"for": operator} if operator else None
    await OperatorAuditLog(memory.scope).add(AuditActor(), action, f"ticket:{ticket}", details)


async def _operator(memory: Any, settings: Settings, name: str) -> Any:
    from qwendesk.desk.operators.operators import Operators
    from qwendesk.desk.tickets.records import Actor

    account = await Operators(memory.scope, settings.operators).accounts.named(name)
    return Actor.operator(account.id, account.display_name)
