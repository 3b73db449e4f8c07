"""The record file of a stored model, with the sizes and checksums of its files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

RECORD_FILE = "model.json"


@dataclass(frozen=True, slots=True)
class StoredModelFile:
    """One file of a model in the store."""

    name: str
    bytes: int
    sha256: str
    kind: Literal["model", "projector"] = "model"


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model in the store."""

    name: str
    files: tuple[StoredModelFile, ...]
    """Files; the first part of the model is first."""
    source: str
    """Name of the source."""
    pulled_at: str
    """Time of the pull in ISO 8601, UTC."""

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)

    def first(self, kind: Literal["model", "projector"]) -> StoredModelFile | None:
        """Return the first file of a kind; None: there is none."""
        return next((file for file in self.files if file.kind == kind), None)

    def faults(self, folder: Path) -> list[str]:
        """Return which files are missing or have another size than recorded."""
        return [fault for file in self.files if (fault := _fault(folder / file.name, file.bytes))]


def read_record(folder: Path) -> StoredModel | None:
    """Return the record in a model folder; None: there is no valid one."""
    try:
        tree = json.loads((folder / RECORD_FILE).read_text("utf-8"))
        files = tuple(StoredModelFile(**file) for file in tree.pop("files"))
        record = StoredModel(files=files, **tree)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return record if record.first("model") else None


def write_record(folder: Path, record: StoredModel) -> None:
    """Write the record atomically."""
    fresh = folder / f"{RECORD_FILE}.part"
    fresh.write_text(json.dumps(asdict(record), indent=2) + "\n", "utf-8")
    fresh.replace(folder / RECORD_FILE)


def _fault(path: Path, size: int) -> str:
    if not path.is_file():
        return f"{path.name} is missing"
    found = path.stat().st_size
    return "" if found == size else f"{path.name} has {found} bytes instead of {size}"
