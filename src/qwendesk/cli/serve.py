"""``qwendesk serve``."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from qwendesk.printable import many_lines, one_line
from qwendesk.redaction import redact

if TYPE_CHECKING:
    from qwendesk.channels.base import Component
    from qwendesk.messages import Inbound
    from qwendesk.service import Service

app = typer.Typer(add_completion=False, rich_markup_mode=None)
log = logging.getLogger("qwendesk")
COMPONENTS = ("all", "ingress", "worker", "web")
STOP_GRACE_SECONDS = 10.0
"""Seconds to close connections and files, in addition to ``shutdown_timeout``."""
_KILL_SECONDS = 3.0
"""Seconds after which the process is killed even if the interpreter is blocked."""
_SHOWN_CHARS = 80
"""Characters shown of a stranger's first message."""
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

ComponentName = Annotated[
    str,
    typer.Option(
        "--component", help="The component to run: all, ingress (accept messages), worker (answer them) or web."
    ),
]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on; default: QWENDESK_HOST.")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on; default: QWENDESK_PORT.")]


@app.command()
def serve(component: ComponentName = "all", host: Host = None, port: Port = None) -> None:
    """Run the desk: the configured channels, the worker, the web server.

    Channels are set up in qwendesk.toml, each as a table [channels.NAME], or by variables QWENDESK_CHANNELS__NAME__KEY.
    """
    from qwendesk.cli.run import run_command

    run_command(_serve(component, {"host": host, "port": port}), interrupted="Stopped.", service=True)


async def _serve(component: str, given: dict[str, object]) -> None:
    from qwendesk.errors import ConfigError, no_such
    from qwendesk.server.limits import raise_open_files, release_large_blocks
    from qwendesk.service import Service
    from qwendesk.settings import load_settings, unknown_variables

    configure_logging()
    # files written from now on may contain people's messages
    os.umask(0o077)
    if component not in COMPONENTS:
        raise ConfigError(no_such("There is no component", component, COMPONENTS))
    checked: Component = component  # type: ignore[assignment]  # looked up just now
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    if strange := unknown_variables():
        log.warning("No setting is called %s; check the spelling.", ", ".join(strange))
    told = listen(settings.shutdown_timeout + STOP_GRACE_SECONDS)
    raise_open_files(settings.http.connections)
    release_large_blocks()
    async with Service(settings, checked, on_request=show_request) as service:
        typer.echo(greeting(service))
        warming = asyncio.create_task(_warm_up(service))
        await told.wait()
        warming.cancel()
        limit = f"{settings.shutdown_timeout:g} s"
        typer.echo(f"Stopping: answers in progress get {limit}; Ctrl-C again stops at once.")


async def _warm_up(service: Service) -> None:
    """Load the default model and print that it is ready; errors are logged."""
    from time import monotonic

    from qwendesk.errors import reason

    if service.models is None:
        return
    begun = monotonic()
    await service.models.check()
    if service.models.problem:
        return
    try:
        model = await service.models.warm_up()
    except Exception as error:  # an installed engine may raise anything
        log.warning("The model cannot be loaded: %s", reason(error))
        return
    if missing := await service.models.missing():
        typer.echo(f"  model       {missing} Until then {model or 'no model'} answers.")
    if model:
        typer.echo(f"  model       {model} is ready ({monotonic() - begun:.1f} s)")


def show_request(inbound: Inbound, code: str) -> None:
    """Print a stranger's name and first words, and the command that approves the person."""
    name = f"{inbound.display_name} ({inbound.person})" if inbound.display_name else inbound.person
    words = one_line(" ".join(inbound.text.split()))
    shown = words if len(words) <= _SHOWN_CHARS else words[: _SHOWN_CHARS - 1] + "…"
    typer.echo(f"  stranger    {one_line(name)} on {inbound.channel}: {shown!r}; qwendesk pairing approve {code}")


def greeting(service: Service) -> str:
    """Return the lines that are printed at the start: settings, model, web server and channels."""
    from qwendesk.engines.registry import is_engine
    from qwendesk.settings import config_file

    settings, file = service.settings, config_file().absolute()
    lines = [f"Qwendesk runs ({service.component}); Ctrl-C stops it."]
    lines.append(f"  settings    {file if file.is_file() else f'none read; they would be in {file}'}")
    if service.models:
        named = settings.roles.get("general") or settings.model or "the best that is installed"
        engine, colon, _ = named.partition(":")  # a name such as 'ollama:qwen3' has its engine
        has_engine = colon and is_engine(engine, settings)
        lines.append(f"  model       {named}" + ("" if has_engine else f", engine {settings.engine}"))
    if service.web:
        lines.append(f"  web server  {service.web.url}/healthz")
    if service.desk_address:
        lines.append(f"  operators   {service.desk_address}")
    for name, channel in service.channels.items():
        access = service.settings.channels.get(name, {}).get("access", "pairing")
        has_page = channel.manifest.has_page and service.web and name in service.supervisors
        where = f"  {service.web.url}/channels/{name}/" if has_page and service.web else ""
        lines.append(f"  channel     {channel.manifest.title} (access: {access}){where}")
        if channel.manifest.has_page and "access" not in service.settings.channels.get(name, {}):
            lines.append('  visitors are shown a code and have to be let in; access = "open" lets everybody write')
    if not service.channels:
        lines.append(
            f"  no channel is set up: 'qwendesk channels list' names them; add a table [channels.NAME] to {file}"
        )
    return "\n".join(lines)


def listen(limit: float) -> asyncio.Event:
    """Return an event that SIGTERM or Ctrl-C sets; a second signal ends the process at once.

    Args:
        limit: seconds after which a process that was told to stop is ended, whatever it does; it exits with 1 then.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(number: int, frame: FrameType | None) -> None:
        # a handler of the interpreter, since a blocked loop would not call its own
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        end_after(limit)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(told.set)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, tell)
    return told


def end_after(seconds: float) -> None:
    """End this process after a number of seconds."""
    timer = threading.Timer(seconds, _end, [seconds])
    timer.daemon = True
    timer.start()
    with suppress(RuntimeError, ValueError, AttributeError, OSError):  # stderr may be closed, or no file
        faulthandler.dump_traceback_later(seconds + _KILL_SECONDS, exit=True)


def _end(seconds: float) -> None:
    with suppress(Exception):
        sys.stderr.write(
            f"The desk did not stop within {seconds:g} s and is ended; the next start answers what was left.\n"
        )
        sys.stderr.flush()
    os._exit(1)


class SafeFormatter(logging.Formatter):
    """Formats records on one line; names of people, chats and files in them cannot add lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line of a record, its message on one line."""
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record and its traceback."""
        return redact(many_lines(super().format(record)))


def configure_logging(level: int = logging.WARNING) -> None:
    """Log to stderr with ``SafeFormatter``, unless logging is configured already."""
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter(_LOG_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
