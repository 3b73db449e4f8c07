"""Which router a command works with, and which moment ``--since`` means."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from qwendesk.agents.policy_file import FILE, Policy, load_policy, read_policy
from qwendesk.agents.routing.installed import read_classifier
from qwendesk.agents.routing.trained import TrainedRouter
from qwendesk.app import build_router
from qwendesk.errors import ConfigError
from qwendesk.settings import Settings

_SPAN = re.compile(r"(\d{1,6})\s*([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


async def chosen_router(name: str | None, settings: Settings) -> TrainedRouter:
    """Return the router of that name or file, ready for use; None takes the one of the settings.

    Raises:
        ConfigError: there is no such router.
    """
    router = _router(name, settings)
    await asyncio.to_thread(router.warm_up)
    return router


def chosen_policy(file: Path | None, settings: Settings) -> Policy:
    """Return the policy of that file; None takes the one in force.

    Raises:
        ConfigError: it does not hold.
    """
    return read_policy(file) if file else load_policy(settings.data_dir / FILE)


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
    """Return the moment that ``24h``, ``7d``, ``2w`` or an ISO date stands for; a date alone is of this time zone.

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
            f"--since {since!r} is no time: write 24h, 7d, 2w, or a date such as 2026-01-31 or 2026-01-31T08:00."
        ) from None
