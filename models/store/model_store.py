"""The model store: find, download, verify and remove model files in one folder."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import httpx
from filelock import FileLock, Timeout

from qwendesk.errors import ConfigError, EngineUnavailable, ModelStoreError, no_such
from qwendesk.models.card import ModelCard, without_media
from qwendesk.models.gguf import find_projector
from qwendesk.models.sources.base import (
    ModelFileKind,
    ModelSource,
    ProgressCallback,
    PullProgress,
    SourceSettings,
    file_sha256,
)
from qwendesk.models.sources.http import SourceClient, open_client
from qwendesk.models.sources.hub import OllamaRegistry, hubs
from qwendesk.models.sources.local_file import LocalFile
from qwendesk.models.sources.package_index import PackageIndex
from qwendesk.models.store.pull import FreeBytes, Pull, StoredModel, free_bytes, read_record

_LOCK_POLL_SECONDS = 0.2
SOURCE_NAMES = ("index", "huggingface", "modelscope", "ollama")
"""Names of the sources in order of preference."""


@asynccontextmanager
async def hold_lock(path: Path, waiting: Callable[[], None]) -> AsyncIterator[None]:
    """Hold a lock file, which the system releases if the process is killed.

    Args:
        path: the lock file; its folder is created.
        waiting: called once if another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)
    if not _try_lock(lock):
        waiting()
        # a lock of another process gives no event to wait for
        while not _try_lock(lock):  # noqa: ASYNC110
            await asyncio.sleep(_LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _try_lock(lock: FileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


class ModelStore:
    """A folder of models, with a subfolder for each model.

    Args:
        folder: folder of the store; the first pull creates it.
        remotes: addresses and time limits of the sources.
        transport: replaces the network.
        free: returns the free bytes of a disk.
    """

    def __init__(
        self,
        folder: Path,
        remotes: SourceSettings | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        free: FreeBytes = free_bytes,
    ) -> None:
        self.folder = folder
        self._remotes = remotes or SourceSettings()
        self._transport = transport
        self._free = free

    def installed(self) -> list[StoredModel]:
        """Return the stored models by name, from their records only."""
        if not self.folder.is_dir():
            return []
        records = [read_record(path) for path in sorted(self.folder.iterdir()) if path.is_dir()]
        return [record for record in records if record]

    def record(self, card: ModelCard) -> StoredModel | None:
        """Return the record of a model; None: it is not completely stored."""
        return read_record(self._model_folder(card))

    def path(self, card: ModelCard) -> Path:
        """Return the GGUF file of a model (the first of several parts).

        Raises:
            EngineUnavailable: the model is missing or damaged; the text says how to get it.
        """
        return self._path(card, "model") or self._raise_unavailable(card, "it has not been pulled")

    def projector(self, card: ModelCard) -> Path | None:
        """Return the projector file of a model for images and audio; None: it has none."""
        if card.file:
            return find_projector(card.file, is_multimodal=card.vision or card.audio)
        return self._path(card, "projector")

    def served(self, card: ModelCard) -> ModelCard:
        """Return the card as llama.cpp serves the model: with vision and audio only if it has a projector.

        A model that has not been pulled yet has one if its weights include one.
        """
        if card.file:
            beside = self.projector(card)
            return without_media(card) if beside is None else replace(card, vision=card.vision or not card.audio)
        record = self.record(card)
        comes = record.first("projector") if record else card.weights and card.weights.projector
        return card if comes else without_media(card)

    async def pull(
        self,
        card: ModelCard,
        progress: ProgressCallback | None = None,
        source: str | None = None,
        file: Path | None = None,
    ) -> Path:
        """Pull a model unless it is stored, and return its GGUF file; an interrupted pull is resumed.

        Args:
            card: the model.
            progress: receives the progress of the pull.
            source: the only source to query, one of ``SOURCE_NAMES``; None: all that have it.
            file: a GGUF file to copy instead; it replaces the stored one.

        Raises:
            ModelStoreError: every source failed, with the reasons; or the disk is full.
            ConfigError: the source does not exist, or the catalogue names none for the model.
        """
        if card.file:
            return card.file
        report = progress or _ignore_progress
        async with self._lock(card, report):
            if file is None and await self._is_intact(card, report):
                return self.path(card)
            async with open_client(self._remotes, self._transport) as web:
                chosen = [LocalFile(file)] if file else self._sources(web, card, source)
                await Pull(card, self._model_folder(card), report, self._free).run(chosen)
        return self.path(card)

    async def verify(self, card: ModelCard, deep: bool = False) -> list[str]:
        """Return the faults of a model's files; empty: none.

        Args:
            card: the model.
            deep: read the files and compare their checksums; takes seconds for each gigabyte.
        """
        return await asyncio.to_thread(self._faults, card, deep)

    def check(self, card: ModelCard) -> None:
        """Raise ``ModelStoreError`` if the store has no files of a model."""
        if not self._model_folder(card).is_dir():
            raise ModelStoreError(f"{card.name!r} is not in the store: 'qwendesk models list' shows the stored models.")

    async def remove(self, card: ModelCard) -> int:
        """Delete a model and the rest of an interrupted pull; return the freed bytes.

        Raises:
            ModelStoreError: the store has no files of it, or it is being pulled.
        """
        self.check(card)
        home = self._model_folder(card)
        async with self._lock(card, _refuse_waiting):
            freed = sum(path.stat().st_size for path in home.iterdir())
            await asyncio.to_thread(shutil.rmtree, home)
        return freed

    async def _is_intact(self, card: ModelCard, report: ProgressCallback) -> bool:
        """Return whether a model is stored and unchanged; reads all of its files."""
        if self.record(card) is None:
            return False
        report(PullProgress(card.name, "", note="checking the stored files"))
        return not await self.verify(card, deep=True)

    def _model_folder(self, card: ModelCard) -> Path:
        return self.folder / card.name

    def _path(self, card: ModelCard, kind: ModelFileKind) -> Path | None:
        if card.file and kind == "model":
            return card.file
        record = self.record(card)
        if not record:
            return None
        if faults := record.faults(self._model_folder(card)):
            self._raise_unavailable(card, f"it is damaged ({'; '.join(faults)})")
        found = record.first(kind)
        return self._model_folder(card) / found.name if found else None

    def _raise_unavailable(self, card: ModelCard, reason: str) -> NoReturn:
        raise EngineUnavailable(f"The model {card.name!r} is not here: {reason}. Run: qwendesk models pull {card.name}")

    def _faults(self, card: ModelCard, deep: bool) -> list[str]:
        home, record = self._model_folder(card), self.record(card)
        if not record:
            return ["it has not been pulled"]
        faults = record.faults(home)
        if deep and not faults:
            changed = [file.name for file in record.files if file_sha256(home / file.name) != file.sha256]
            faults = [f"{name} has another checksum than when it was pulled" for name in changed]
        return faults

    def _lock(self, card: ModelCard, report: ProgressCallback) -> AbstractAsyncContextManager[None]:
        waiting = PullProgress(card.name, "", note="another pull of this model is running; waiting for it")
        return hold_lock(self.folder / ".locks" / f"{card.name}.lock", lambda: report(waiting))

    def _sources(self, web: SourceClient, card: ModelCard, wanted: str | None) -> list[ModelSource]:
        index = PackageIndex(web, self._remotes.index_url)
        sources = [index, *hubs(web, self._remotes), OllamaRegistry(web, self._remotes.ollama_url)]
        if wanted is not None and wanted not in SOURCE_NAMES:
            raise ConfigError(no_such("There is no source", wanted, SOURCE_NAMES))
        offering = [source for source in sources if source.offers(card)]
        chosen = [source for source in offering if wanted in (None, source.name)]
        if not chosen:
            raise ConfigError(_no_source_message(card, wanted, offering))
        return chosen


def _no_source_message(card: ModelCard, wanted: str | None, offering: list[ModelSource]) -> str:
    others = ", ".join(source.name for source in offering) or "none"
    place = f"at {wanted!r} (it knows: {others})" if wanted else "anywhere"
    return (
        f"The catalogue knows no GGUF file of {card.name!r} {place}. Take a file you have: "
        f"qwendesk models pull {card.name} --from FILE"
    )


def _ignore_progress(progress: PullProgress) -> None:
    """Ignore progress."""


def _refuse_waiting(progress: PullProgress) -> None:
    raise ModelStoreError(f"{progress.model!r} is being pulled: stop that pull first.")
