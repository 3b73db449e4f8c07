"""``qwendesk channels simulate``: a desk and a simulated platform in one process."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import typer

from qwendesk.channel_wiring import COMMON_SETTING_NAMES, make_channel
from qwendesk.errors import ConfigError
from qwendesk.plugins import load
from qwendesk.printable import many_lines, one_line
from qwendesk.service import Service
from qwendesk.settings import Settings, load_settings
from qwendesk.testing.scenario import DEFAULT, check_script, example, play, read_script
from qwendesk.testing.scenario_steps import ScenarioStep
from qwendesk.testing.simulators.base import simulator_for

_STRANGER = """\
- write: {text: "Hello"}
- expect: {messages: 1}
"""


async def simulate(name: str, script: Path | None, engine: str, access: str | None, *, as_json: bool) -> None:
    """Run a script and print the messages.

    Raises:
        ConfigError: the script does not hold, or the platform has no simulator.
        typer.Exit: something was expected in vain.
    """
    rules = _rules(name, access)
    steps = _steps(script, rules["access"])
    kind = load("channels", name)
    check_script(steps, str(script or "the example"), simulator_for(kind), kind.manifest)
    said: list[dict[str, str]] = []

    def show(who: str, what: str) -> None:
        said.append({"who": who, "text": what})
        if not as_json:
            typer.echo(f"{one_line(who):>9}  {many_lines(what)}")

    with tempfile.TemporaryDirectory(prefix="qwendesk-") as folder:
        failures = await _play(name, steps, show, _settings(folder, engine), rules)
    if as_json:
        typer.echo(json.dumps({"said": said, "failures": failures}, ensure_ascii=False))
    else:
        typer.echo("\n".join(failures) or f"All {len(steps)} steps went as expected.")
    if failures:
        raise typer.Exit(1)


async def print_example(name: str) -> None:
    """Print an example script for a platform.

    Raises:
        ConfigError: it has no simulator.
    """
    kind = load("channels", name)
    simulator = simulator_for(kind)
    typer.echo(example(kind.manifest.capabilities, simulator), nl=False)


def _steps(script: Path | None, access: str) -> list[ScenarioStep]:
    if script is None and access != "open":
        typer.echo(f"access = {access!r}: a stranger is not answered; --access open plays the whole example.", err=True)
        return read_script(_STRANGER, "the example")
    if script is None:
        return read_script(DEFAULT, "the example")
    try:
        return read_script(script.read_text("utf-8"), str(script))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The script {str(script)!r} cannot be read: {error}.") from None


def _settings(folder: str, engine: str) -> Settings:
    """Return the user's settings with a free port and a temporary database."""
    database = f"sqlite+aiosqlite:///{folder}/desk.db"
    return load_settings(engine=engine, database_url=database, host="127.0.0.1", port=0, channels={})


def _rules(name: str, access: str | None) -> dict[str, Any]:
    """Return the channel's access rules from the settings; by default a simulation is open to everybody."""
    own = load_settings().channels.get(name, {})
    rules = {"access": "open"} | {key: value for key, value in own.items() if key in COMMON_SETTING_NAMES}
    return rules | ({"access": access} if access else {})


async def _play(
    name: str, steps: list[ScenarioStep], show: Any, settings: Settings, rules: dict[str, Any]
) -> list[str]:
    kind = load("channels", name)
    kind.manifest.check_installed()
    async with simulator_for(kind) as simulator:
        values = simulator.settings()
        played = settings.model_copy(update={"channels": {name: values | rules}})
        channel = make_channel(kind, values, settings)
        async with Service(played, channels={name: channel}) as service:
            assert service.web, "a service that takes messages has a web server"
            simulator.desk_url = service.web.url
            await simulator.wait_started()
            return await play(steps, simulator, show)
