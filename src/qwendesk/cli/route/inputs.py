"""Inputs of the route commands: router, policy, stored turns, ``--since``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from qwendesk.cli.memory import opened
from qwendesk.errors import ConfigError
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import PastTurn
from qwendesk.routing.classifier.classifier import read_classifier
from qwendesk.routing.classifier.trained_router import TrainedRouter
from qwendesk.routing.policy.policy_file import POLICY_FILE, RoutingPolicy, load_policy, read_policy
from qwendesk.settings import Settings
from qwendesk.wiring import build_router

_SPAN = re.compile(r"(\d{1,6})\s*([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
PAGE_TURNS = 500
"""Turns read from the database at once."""
STEP_TURNS = 50
"""Turns per step of the progress bar."""
SHORT_TURNS = 1000
"""Number of turns up to which no progress bar is shown."""


async def chosen_router(name: str | None, settings: Settings) -> TrainedRouter:
    """Return a router by name or file, ready for use; None: the router of the settings.

    Raises:
        ConfigError: there is no such router.
    """
    router = _router(name, settings)
    await asyncio.to_thread(router.warm_up)
    return router


def chosen_policy(file: Path | None, settings: Settings) -> RoutingPolicy:
    """Return the policy of a file; None: the current policy.

    Raises:
        ConfigError: it is not valid.
    """
    return read_policy(file) if file else load_policy(settings.data_dir / POLICY_FILE)


def _router(name: str | None, settings: Settings) -> TrainedRouter:
    match name:
        case None:
            return build_router(settings)
        case "default" | "accurate":
            return TrainedRouter(tier=name)
        case _ if Path(name).is_file():
            return TrainedRouter(read_classifier(Path(name)))
    raise ConfigError(f"There is no router {name!r}: write default, accurate, or the file of one (.npz).")


def moment(since: str | None, now: datetime | None = None) -> datetime | None:
    """Return the time of ``24h``, ``7d``, ``2w`` or an ISO date; a date is in the local time zone.

    Raises:
        ConfigError: it is none of them.
    """
    if since is None:
        return None
    now = now or datetime.now(UTC)
    try:
        if span := _SPAN.fullmatch(since.strip().lower()):
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        return datetime.fromisoformat(since.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"--since {since!r} is not a time: write 24h, 7d, 2w, or a date such as 2026-01-31 or 2026-01-31T08:00."
        ) from None


async def stored_turns(settings: Settings, since: datetime | None, limit: int) -> list[PastTurn]:
    """Return the newest turns in the database of the settings."""
    async with opened(settings) as memory:
        return await _all_pages(memory, since, limit)


def with_bar(turns: Sequence[PastTurn], doing: str) -> Iterator[Sequence[PastTurn]]:
    """Yield turns in batches; with many turns a progress bar is shown on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    quiet = len(turns) <= SHORT_TURNS or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(doing, total=len(turns))
        for begin in range(0, len(turns), STEP_TURNS):
            some = turns[begin : begin + STEP_TURNS]
            yield some
            bar.advance(task, len(some))


async def _all_pages(memory: Memory, since: datetime | None, limit: int) -> list[PastTurn]:
    turns: list[PastTurn] = []
    while len(turns) < limit:
        before = turns[-1].id if turns else None
        page = await memory.feedback.turns(since=since, before=before, limit=min(PAGE_TURNS, limit - len(turns)))
        if not page:
            break
        turns += page
    return turns
