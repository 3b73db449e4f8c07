"""Download one model: query the sources, use the first that has it, check the files and record them in the store."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from qwendesk.errors import ModelStoreError
from qwendesk.models.card import ModelCard
from qwendesk.models.gguf import MAGIC, truncation_fault
from qwendesk.models.sources.base import (
    ModelSource,
    PartialFile,
    ProgressCallback,
    PullProgress,
    RemoteFile,
    SourceFailed,
)

RECORD_FILE = "model.json"
PREFERRED_SOURCE_SECONDS = 3.0
"""Seconds to wait for a preferred source before a faster one is used."""
MIN_FREE_BYTES = 16 << 20
"""Bytes that have to stay free on the disk."""
Plan = tuple[RemoteFile, ...]
FreeBytes = Callable[[Path], int]


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


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk on which ``folder`` is or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class Pull:
    """One download of a model."""

    card: ModelCard
    folder: Path
    """Folder of the model."""
    progress: ProgressCallback
    free: FreeBytes = free_bytes

    async def run(self, sources: Sequence[ModelSource]) -> StoredModel:
        """Download the model from the first source that has it.

        Raises:
            ModelStoreError: every source failed, with the reasons; or the disk is full.
        """
        failures: list[str] = []
        async with _query_sources(sources, self.card) as plans:
            while plans:
                source, plan = await _next_plan(plans)
                try:
                    return await self._from(source, await plan)
                except SourceFailed as failed:
                    failures.append(f"{source.label}: {failed}")
                    self.progress(PullProgress(self.card.name, source.name, note=failures[-1]))
        raise ModelStoreError(
            f"No source provides {self.card.name!r}. {'. '.join(failures)}. Check the network or the proxy, "
            f"or take a file you have: qwendesk models pull {self.card.name} --from FILE"
        )

    async def _from(self, source: ModelSource, plan: Plan) -> StoredModel:
        await asyncio.to_thread(self._make_room, plan)
        stored = []
        before, sizes = 0, [file.download_bytes for file in plan]
        total = sum(size or 0 for size in sizes) if all(sizes) else None
        for file, size in zip(plan, sizes, strict=True):
            stored.append(await self._file(source, file, self._meter(source, before, total)))
            before += size or stored[-1].bytes
        record = StoredModel(self.card.name, tuple(stored), source.name, datetime.now(UTC).isoformat("T", "seconds"))
        await asyncio.to_thread(self._finish, record)
        self.progress(PullProgress(self.card.name, source.name, total or record.bytes, total or record.bytes))
        return record

    async def _file(self, source: ModelSource, file: RemoteFile, meter: Callable[[int], None]) -> StoredModelFile:
        final, path = self.folder / file.name, self.folder / file.part_name
        if file.sha256 and final.exists() and not path.exists():
            # left by a pull killed before the record was written, or damaged: checked like a partial file
            final.replace(path)
        async with PartialFile(path) as part:
            had = part.size
            await self._complete(source, file, part, meter)
            if had and _mismatch(file, part):
                await part.discard()
                await self._complete(source, file, part, meter)
            await self._check(file, part)
            stored = StoredModelFile(file.name, part.size, part.sha256, file.kind)
        path.replace(final)
        return stored

    async def _complete(
        self, source: ModelSource, file: RemoteFile, part: PartialFile, meter: Callable[[int], None]
    ) -> None:
        if file.bytes is None or part.size != file.bytes:
            await source.fetch(file, part, meter)
        await part.flush()

    async def _check(self, file: RemoteFile, part: PartialFile) -> None:
        fault = _mismatch(file, part)
        if not fault and (head := await part.head(len(MAGIC))) != MAGIC:
            fault = f"{file.name} is not a GGUF file (it begins with {head!r})"
        # the header detects truncation if size and checksum are unknown
        if not fault and (short := await asyncio.to_thread(truncation_fault, part.path)):
            fault = f"{file.name} {short}"
        if fault:
            await part.discard()
            part.path.unlink(missing_ok=True)
            raise SourceFailed(fault)

    def _make_room(self, plan: Plan) -> None:
        here = sum(path.stat().st_size for file in plan for path in self.folder.glob(f"{file.part_name}*"))
        needed = sum(file.bytes or 0 for file in plan) - here + MIN_FREE_BYTES
        needed += max(file.temporary_bytes for file in plan)
        free = self.free(self.folder)
        if free < needed:
            raise ModelStoreError(
                f"{self.card.name!r} needs {_size(needed)} of disk and only {_size(free)} are free in "
                f"{str(self.folder.parent)!r}: free some space, or set QWENDESK_MODELS_DIR to a larger disk."
            )

    def _finish(self, record: StoredModel) -> None:
        """Write the record and delete files of older versions and other sources."""
        write_record(self.folder, record)
        keep = {RECORD_FILE, *(file.name for file in record.files)}
        for path in self.folder.iterdir():
            if path.name not in keep:
                path.unlink(missing_ok=True)

    def _meter(self, source: ModelSource, before: int, total: int | None) -> Callable[[int], None]:
        def tell(done: int) -> None:
            here = before + done if total is None else min(before + done, total)
            self.progress(PullProgress(self.card.name, source.name, here, total))

        return tell


@asynccontextmanager
async def _query_sources(
    sources: Iterable[ModelSource], card: ModelCard
) -> AsyncIterator[dict[ModelSource, asyncio.Task[Plan]]]:
    """Query all sources concurrently, so that unresponsive ones are waited for only once."""
    tasks = {source: asyncio.create_task(source.plan(card)) for source in sources}
    try:
        yield dict(tasks)
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _next_plan(plans: dict[ModelSource, asyncio.Task[Plan]]) -> tuple[ModelSource, asyncio.Task[Plan]]:
    """Return the preferred source, or one that has answered if the preferred one has not in time."""
    first = next(iter(plans))
    await asyncio.wait([plans[first]], timeout=PREFERRED_SOURCE_SECONDS)
    chosen = next((source for source, plan in plans.items() if plan.done()), first)
    return chosen, plans.pop(chosen)


def _mismatch(file: RemoteFile, part: PartialFile) -> str:
    if file.bytes is not None and part.size != file.bytes:
        return f"{file.name} has {part.size} bytes instead of {file.bytes}"
    if file.sha256 and part.sha256 != file.sha256:
        return f"{file.name} has the checksum {part.sha256} instead of {file.sha256}"
    return ""


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
