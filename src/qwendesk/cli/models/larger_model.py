"""The model that replaces the starter model: whether this machine has room for it, and what the person decided."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

from qwendesk.engines.cpu_threads import usable_cores
from qwendesk.engines.pool import ModelPool
from qwendesk.models.card import ModelCard
from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.recommend import MachineResources, estimate_size_gb, obstacle
from qwendesk.models.store.pull import free_bytes
from qwendesk.settings import LARGER_STARTER_MODEL, PRIVATE_FILE_MODE, Settings

OFFERS_FILE = "offers.json"
"""File of the data folder with the answer to each offer."""
_DISK_SHARE = 1.1
"""Disk that a download takes, as a share of the model's size: parts are unpacked one by one."""
Decision = Literal["yes", "no"]


async def missing_larger_model(pool: ModelPool) -> ModelCard | None:
    """Return the model that may replace the starter model; None: it is here, or the settings choose models."""
    settings = pool.settings
    if settings.model or settings.roles or not pool.engine(settings.engine).uses_store:
        return None
    is_here = any(card.name == LARGER_STARTER_MODEL for card in await pool.models())
    return None if is_here else load_catalogue(settings.data_dir / "models.toml").get(LARGER_STARTER_MODEL)


def fetch_obstacle(card: ModelCard, settings: Settings) -> str | None:
    """Return why this machine has no room for a model; None: memory, speed and disk allow it."""
    machine = MachineResources.with_free_memory(psutil.virtual_memory().available / 1e9, usable_cores())
    if reason := obstacle(card, machine):
        return reason
    free, needed = free_bytes(settings.store_dir) / 1e9, estimate_size_gb(card) * _DISK_SHARE
    here = sum(file.stat().st_size for file in (settings.store_dir / card.name).glob("*.part")) / 1e9
    if free + here < needed:
        return f"it needs {needed:.1f} GB of disk, and {free:.1f} GB are free"
    return None


class OfferDecisions:
    """What the person answered when a model was offered.

    Args:
        settings: say where the data folder is.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = settings.data_dir / OFFERS_FILE

    def get(self, name: str) -> Decision | None:
        """Return the answer to the offer of a model; None: there is none."""
        said = _read(self._file).get(name)
        return said if said in ("yes", "no") else None

    def remember(self, name: str, decision: Decision | None) -> None:
        """Keep an answer, or forget it; a folder that cannot be written only means that the offer comes again."""
        kept = {key: value for key, value in _read(self._file).items() if key != name}
        if decision:
            kept[name] = decision
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file.touch(PRIVATE_FILE_MODE)
            self._file.write_text(json.dumps(kept) + "\n", "utf-8")


def _read(file: Path) -> dict[str, Decision]:
    try:
        kept = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
