"""One pull: ask the sources, take the first that gives the model, check it, put it into place."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from qwendesk.errors import ModelStoreError
from qwendesk.models.card import ModelCard
from qwendesk.models.gguf import truncation_fault
from qwendesk.models.sources.base import ModelSource, ProgressCallback, PullProgress, RemoteFile, SourceFailed
from qwendesk.models.sources.partial_file import PartialFile
from qwendesk.models.store.record import RECORD_FILE, StoredModel, StoredModelFile, write_record

MAGIC = b"GGUF"
PREFERRED_SOURCE_SECONDS = 3.0
"""Seconds that a preferred source may take to answer before a quicker one is taken."""
MIN_FREE_BYTES = 16 << 20
"""Bytes of disk that have to stay free."""

Plan = tuple[RemoteFile, ...]
FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free where ``folder`` is or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class Pull:
    """What one pull works with."""

    card: ModelCard
    folder: Path
    """The model's own folder."""
    progress: ProgressCallback
    free: FreeBytes = free_bytes

    async def run(self, sources: Sequence[ModelSource]) -> StoredModel:
        """Fetch the model from the first source that can give it.

        Raises:
            ModelStoreError: no source could, each with its reason; or the disk is full.
        """
        failures: list[str] = []
        async with _query_sources(sources, self.card) as plans:
            while plans:
                source, plan = await _next_plan(plans)
                try:
                    return await self._from(source, await plan)
                except SourceFailed as failed:
                    failures.append(f"{source.place}: {failed}")
                    self.progress(PullProgress(self.card.name, source.name, note=failures[-1]))
        raise ModelStoreError(
            f"No source could give {self.card.name!r}. {'. '.join(failures)}. Check the network or the proxy, "
            f"or take a file you have: qwendesk models pull {self.card.name} --from FILE"
        )

    async def _from(self, source: ModelSource, plan: Plan) -> StoredModel:
        await asyncio.to_thread(self._make_room, plan)
        stored = []
        before, sizes = 0, [file.transfer for file in plan]
        total = sum(size or 0 for size in sizes) if all(sizes) else None
        for file, size in zip(plan, sizes, strict=True):
            stored.append(await self._file(source, file, self._meter(source, before, total)))
            before += size or stored[-1].bytes
        record = StoredModel(self.card.name, tuple(stored), source.name, datetime.now(UTC).isoformat("T", "seconds"))
        await asyncio.to_thread(self._settle, record)
        self.progress(PullProgress(self.card.name, source.name, total or record.bytes, total or record.bytes))
        return record

    async def _file(self, source: ModelSource, file: RemoteFile, meter: Callable[[int], None]) -> StoredModelFile:
        final, path = self.folder / file.name, self.folder / file.part_name
        if file.sha256 and final.exists() and not path.exists():
            # a pull that was killed between file and record, or a file that was damaged: checked like any part
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
            fault = f"{file.name} is no GGUF file (it begins with {head!r})"
        # where nobody has told its size and sum, its own header does
        if not fault and (short := await asyncio.to_thread(truncation_fault, part.path)):
            fault = f"{file.name} {short}"
        if fault:
            await part.discard()
            part.path.unlink(missing_ok=True)
            raise SourceFailed(fault)

    def _make_room(self, plan: Plan) -> None:
        here = sum(path.stat().st_size for file in plan for path in self.folder.glob(f"{file.part_name}*"))
        needed = sum(file.bytes or 0 for file in plan) + max(file.scratch for file in plan) - here + MIN_FREE_BYTES
        free = self.free(self.folder)
        if free < needed:
            raise ModelStoreError(
                f"{self.card.name!r} needs {_size(needed)} of disk and only {_size(free)} are free in "
                f"{str(self.folder.parent)!r}: free some space, or set QWENDESK_MODELS_DIR to a larger disk."
            )

    def _settle(self, record: StoredModel) -> None:
        """Write the record and sweep out what older versions and other sources have left."""
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
    """Ask all sources at once, so that several silent ones take no longer than one."""
    tasks = {source: asyncio.create_task(source.plan(card)) for source in sources}
    try:
        yield dict(tasks)
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _next_plan(plans: dict[ModelSource, asyncio.Task[Plan]]) -> tuple[ModelSource, asyncio.Task[Plan]]:
    """Take the preferred source, but one that keeps silent only after those that have answered."""
    first = next(iter(plans))
    await asyncio.wait([plans[first]], timeout=PREFERRED_SOURCE_SECONDS)
    chosen = next((source for source, plan in plans.items() if plan.done()), first)
    return chosen, plans.pop(chosen)


def _mismatch(file: RemoteFile, part: PartialFile) -> str:
    if file.bytes is not None and part.size != file.bytes:
        return f"{file.name} has {part.size} bytes instead of {file.bytes}"
    if file.sha256 and part.sha256 != file.sha256:
        return f"{file.name} has the sum {part.sha256} instead of {file.sha256}"
    return ""


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
