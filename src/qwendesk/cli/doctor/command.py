"""``qwendesk doctor``: checks of installation and configuration."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qwendesk.cli.doctor.checks import Finding

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_MARKS = {"ok": "[green]✓[/green]", "note": "[yellow]•[/yellow]", "problem": "[red]✗[/red]"}

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check installation and configuration, and print the next steps.

    The exit code is 1 where something keeps the desk from answering.
    """
    import json
    from dataclasses import asdict

    from qwendesk.cli.run import run_command

    findings = run_command(_examine())
    healthy = all(finding.status != "problem" for finding in findings)
    if as_json:
        typer.echo(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}))
    else:
        _print(findings, healthy)
    if not healthy:
        raise typer.Exit(1)


async def _examine() -> list[Finding]:
    from qwendesk.cli.doctor.checks import examine, examine_without_settings
    from qwendesk.errors import ConfigError
    from qwendesk.settings import load_settings

    try:
        settings = load_settings()
    except ConfigError as error:
        return await examine_without_settings(error)
    return await examine(settings)


def _print(findings: list[Finding], healthy: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    from qwendesk.printable import many_lines

    # a command that is wrapped cannot be copied from a file or found by a program
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for finding in findings:
        console.print(f"{_MARKS[finding.status]} {escape(finding.name)}: {escape(many_lines(finding.detail))}")
        if finding.next_step:
            console.print(f"  → {escape(many_lines(finding.next_step))}", style="bold")
    served = any(finding.name.startswith("channel ") for finding in findings)
    ready = "Ready: qwendesk serve (the channels), qwendesk chat (this terminal)" if served else "Ready: qwendesk chat"
    console.print(ready if healthy else "Not ready: see the lines marked ✗.", style="bold")
