"""``qwendesk channels``: list, show, test and simulate channels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.run import run_command

if TYPE_CHECKING:
    from qwendesk.channels.base import Channel, Setting

app = typer.Typer(
    help="List channels, check their credentials, and simulate them without a network.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="A channel's name, such as telegram.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Script = Annotated[Path | None, typer.Option("--script", help="Script of the simulation, in YAML; see --example.")]
Example = Annotated[bool, typer.Option("--example", help="Print an example script with every kind of step and exit.")]
Access = Annotated[
    str | None,
    typer.Option("--access", help="pairing, allowlist or open; default: the channel's own setting, else open."),
]
EngineName = Annotated[str, typer.Option("--engine", help="Engine that answers; the scripted engine needs no model.")]


@app.command("list")
def list_channels(as_json: AsJson = False) -> None:
    """List the channels and which of them are configured."""
    run_command(_list(as_json))


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a channel's settings and capabilities."""
    run_command(_show(name, as_json))


@app.command()
def test(name: Name) -> None:
    """Check the credentials of a configured channel."""
    run_command(_test(name))


@app.command()
def manifest(name: Name) -> None:
    """Print the app manifest of a platform (Slack)."""
    run_command(_manifest(name))


@app.command()
def simulate(
    name: Name,
    script: Script = None,
    engine: EngineName = "scripted",
    access: Access = None,
    example: Example = False,
    as_json: AsJson = False,
) -> None:
    """Run a script on a simulated platform against a desk with a temporary database."""
    from qwendesk.cli.channels.simulation import print_example
    from qwendesk.cli.channels.simulation import simulate as play

    if example:
        run_command(print_example(name))
        return
    run_command(play(name, script, engine, access, as_json=as_json))


async def _list(as_json: bool) -> None:
    from qwendesk.plugins import load_all
    from qwendesk.settings import load_settings

    settings = load_settings()
    rows = []
    kind: type[Channel]
    for name, kind in load_all("channels"):
        known = {"name": name, "title": kind.manifest.title}
        states = {"installed": not _missing(kind), "set_up": name in settings.channels}
        rows.append({**known, **states, "simulator": bool(kind.manifest.simulator)})
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        state = "set up" if row["set_up"] else "" if row["installed"] else f"pip install 'qwendesk[{row['name']}]'"
        simulator = "simulator" if row["simulator"] else ""
        typer.echo(f"{row['name']:<10} {row['title']:<10} {simulator:<10} {state}".rstrip())
    typer.echo(
        "\nqwendesk channels show NAME lists a channel's settings; simulate NAME plays one with a simulator here."
    )


async def _show(name: str, as_json: bool) -> None:
    from dataclasses import asdict

    from qwendesk.channels.base import COMMON_SETTINGS
    from qwendesk.plugins import load

    manifest = load("channels", name).manifest
    if as_json:
        typer.echo(json.dumps(asdict(manifest)))
        return
    manifest.check_served()
    typer.echo(f"# {manifest.title}, in qwendesk.toml\n[channels.{name}]")
    for setting in manifest.settings:
        line = f"{'' if setting.required else '# '}{setting.name} = {json.dumps(setting.default)}"
        typer.echo(f"{line:<34}  # {_notes(name, setting)}")
    typer.echo("# of every channel:")
    for setting in COMMON_SETTINGS:
        line = f"# {setting.name} = {json.dumps(setting.default)}"
        choices = f" One of: {', '.join(setting.choices)}." if setting.choices else ""
        typer.echo(f"{line:<34}  # {setting.help}{choices}")
    if manifest.hint:
        typer.echo(f"\n{manifest.hint}")


async def _test(name: str) -> None:
    from qwendesk.channel_wiring import make_channel
    from qwendesk.errors import ConfigError
    from qwendesk.plugins import load
    from qwendesk.settings import load_settings

    settings = load_settings()
    kind = load("channels", name)
    kind.manifest.check_served()
    if name not in settings.channels:
        raise ConfigError(f"{kind.manifest.title} is not set up: 'qwendesk channels show {name}' prints its settings.")
    channel = make_channel(kind, settings.channels[name], settings)
    try:
        typer.echo(f"{kind.manifest.title}: {await channel.check()}")
    finally:
        await channel.aclose()


async def _manifest(name: str) -> None:
    from importlib.resources import files

    from qwendesk.errors import ConfigError
    from qwendesk.plugins import load

    load("channels", name)
    file = files(f"qwendesk.channels.{name}") / "app_manifest.yaml" if name != "console" else None
    if file is None or not file.is_file():
        raise ConfigError(f"{name} has no app manifest; 'qwendesk channels show {name}' prints its settings.")
    typer.echo(file.read_text("utf-8"), nl=False)


def _notes(channel: str, setting: Setting) -> str:
    variable = (
        f" As a variable: QWENDESK_CHANNELS__{channel.upper()}__{setting.name.upper()}." if setting.secret else ""
    )
    return setting.help + " Required." * setting.required + variable


def _missing(kind: Any) -> bool:
    from qwendesk.errors import ConfigError

    try:
        kind.manifest.check_installed()
    except ConfigError:
        return True
    return False
