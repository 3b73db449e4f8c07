"""``qwendesk imports``: move here from another help desk, and undo it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from qwendesk.cli.imports.output import import_progress, print_report, write_left_out
from qwendesk.cli.imports.request import ImportRequest, import_options, import_source
from qwendesk.cli.run import run_command
from qwendesk.errors import ConfigError, QwendeskError
from qwendesk.printable import one_line

app = typer.Typer(
    help="Import contacts, conversations, articles and canned answers from Chatwoot or Zammad.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

From = Annotated[
    str, typer.Argument(metavar="PATH|URL", help="A folder or file of answers of the API or a CSV, or its address.")
]
Account = Annotated[int | None, typer.Option("--account", min=1, help="Number of the Chatwoot account of an address.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="contacts, tickets, articles or canned; repeat it. Default: all.")
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", help="Only conversations active since then: a date such as 2026-03-01, or days such as 90d."
    ),
]
OpenAs = Annotated[str, typer.Option("--open-as", help="State of open conversations: waiting or resolved.")]
ByMail = Annotated[
    bool,
    typer.Option("--reply-by-mail", help="Let operators answer imported tickets by the mail channel of the settings."),
]
Trust = Annotated[
    bool,
    typer.Option("--trust-addresses", help="Let an e-mail address of a contact join the person with the other names."),
]
Language = Annotated[str, typer.Option("--language", "-l", help="Language of canned answers too short to tell it.")]
Source = Annotated[
    str | None, typer.Option("--source", help="Name of the installation, where there are several. Default: the system.")
]
Private = Annotated[bool, typer.Option("--private", help="Allow an address in a private network.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would be imported.")]
LeftOutFile = Annotated[
    Path | None, typer.Option("--left-out", help="A new file for everything that is left out, with reasons.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Id of the import or its end, from 'imports list'; or last: the newest that has added something.",
    ),
]


@app.command()
def chatwoot(
    place: From,
    token: Annotated[
        str | None, typer.Option("--token", envvar="CHATWOOT_TOKEN", help="Access token of an administrator.")
    ] = None,
    account: Account = None,
    only: Only = None,
    since: Since = None,
    open_as: OpenAs = "waiting",
    by_mail: ByMail = False,
    language: Language = "en",
    source: Source = None,
    private: Private = False,
    dry_run: DryRun = False,
    left_out: LeftOutFile = None,
    trust_addresses: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Import from Chatwoot; a second run adds only what is new, and nothing is sent to anybody."""
    name = source or "chatwoot"
    _run(
        "chatwoot",
        ImportRequest(
            place=place,
            token=token,
            only=only,
            since=since,
            open_as=open_as,
            by_mail=by_mail,
            language=language,
            source=name,
            private=private,
            dry_run=dry_run,
            left_out=left_out,
            as_json=as_json,
            account=account,
            trust_addresses=trust_addresses,
        ),
    )


@app.command()
def zammad(
    place: From,
    token: Annotated[
        str | None, typer.Option("--token", envvar="ZAMMAD_TOKEN", help="Access token of an agent.")
    ] = None,
    only: Only = None,
    since: Since = None,
    open_as: OpenAs = "waiting",
    by_mail: ByMail = False,
    language: Language = "en",
    source: Source = None,
    private: Private = False,
    dry_run: DryRun = False,
    left_out: LeftOutFile = None,
    as_json: AsJson = False,
) -> None:
    """Import from Zammad; a second run adds only what is new, and nothing is sent to anybody."""
    name = source or "zammad"
    _run(
        "zammad",
        ImportRequest(
            place=place,
            token=token,
            only=only,
            since=since,
            open_as=open_as,
            by_mail=by_mail,
            language=language,
            source=name,
            private=private,
            dry_run=dry_run,
            left_out=left_out,
            as_json=as_json,
        ),
    )


@app.command("list")
def listed(as_json: AsJson = False) -> None:
    """List the imports that were not undone, the newest first."""
    run_command(_list(as_json))


@app.command()
def undo(
    run: Run,
    force: Annotated[bool, typer.Option("--force", help="Delete also tickets that were used here since.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete what an import has added, except tickets that were answered or changed here since."""
    run_command(_undo(run, force, yes, as_json), interrupted="Stopped. Run it again to go on.")


def _run(system: Literal["chatwoot", "zammad"], asked: ImportRequest) -> None:
    run_command(_import(system, asked), interrupted="Stopped. What is in stays in; run it again to go on.")


async def _import(system: Literal["chatwoot", "zammad"], asked: ImportRequest) -> None:
    """Import, and tell what was done, also if it ends with an error or is stopped.

    Raises:
        ConfigError: the source cannot be read, or an option is wrong.
    """
    from qwendesk.cli.memory import opened
    from qwendesk.desk.imports.importer import Importer
    from qwendesk.desk.imports.report import ImportReport
    from qwendesk.desk.operators.audit import AuditActor, OperatorAuditLog
    from qwendesk.settings import load_settings
    from qwendesk.wiring import build_knowledge

    settings = load_settings()
    if asked.left_out and asked.left_out.exists():
        raise ConfigError(f"{str(asked.left_out)!r} exists already; name another file.")
    options = import_options(asked, settings)
    desk, items = import_source(system, asked)
    async with opened() as memory:
        knowledge = build_knowledge(settings, memory)
        report, failure = ImportReport(""), "it was stopped"
        try:
            with import_progress() as progress:
                importer = Importer(memory, knowledge.base, desk, items, options, progress)
                report = importer.report
                await importer.run()
            failure = ""
        except QwendeskError as error:
            failure = str(error)
            raise
        finally:
            print_report(report, dry_run=asked.dry_run, as_json=asked.as_json, failure=failure)
            if asked.left_out:
                write_left_out(asked.left_out, report)
            if report.run:
                details = {"system": system, "status": "stopped" if failure else "done"}
                await OperatorAuditLog(memory.scope).add(AuditActor(), "import", f"import:{report.run}", details)
            try:
                await knowledge.base.maintain_indexes()
            finally:
                await knowledge.aclose()


async def _list(as_json: bool) -> None:
    from qwendesk.cli.memory import opened
    from qwendesk.desk.imports.runs import ImportRuns

    async with opened() as memory:
        runs = await ImportRuns(memory.scope).listed()
    if as_json:
        typer.echo(json.dumps([asdict(run) for run in runs], default=str, ensure_ascii=False, indent=2))
        return
    for run in runs:
        tickets = cast(dict[str, Any], run.counts.get("ticket", {})).get("added", 0)
        cells = [run.id, f"{run.started_at.astimezone():%Y-%m-%d %H:%M}", f"{run.status:<7}", f"{tickets} tickets"]
        typer.echo("  ".join([*cells, one_line(f"{run.source}: {run.location}")]))
    if not runs:
        typer.echo("There was no import.", err=True)


async def _undo(name: str, force: bool, yes: bool, as_json: bool) -> None:
    from qwendesk.cli.memory import opened
    from qwendesk.desk.imports.runs import ImportRuns
    from qwendesk.desk.imports.undo import ImportUndo
    from qwendesk.settings import load_settings
    from qwendesk.wiring import build_knowledge

    async with opened() as memory:
        run = await ImportRuns(memory.scope).named(name)
        if not yes:
            typer.confirm(f"Delete what was imported from {one_line(run.location)!r}?", abort=True, err=True)
        knowledge = build_knowledge(load_settings(), memory)
        try:
            undone = await ImportUndo(memory.scope, knowledge.base).undo(run, force=force)
        finally:
            await knowledge.aclose()
    if as_json:
        kept = {"kept": undone.kept, "kept_contacts": undone.kept_contacts}
        typer.echo(json.dumps({"run": run.id, "deleted": dict(undone.deleted), **kept}))
        return
    for kind, count in undone.deleted.items():
        typer.echo(f"{kind:<10}{count} deleted")
    if undone.kept:
        shown = ", ".join(f"#{number}" for number in undone.kept[:20])
        typer.echo(f"{len(undone.kept)} tickets were used here and stay (--force deletes them, too): {shown}", err=True)
    if undone.kept_contacts:
        typer.echo(f"{undone.kept_contacts} contacts have more here and stay, without what the import knew.", err=True)
