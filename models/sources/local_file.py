"""A local file as a source: ``qwendesk models pull NAME --from FILE``."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from qwendesk.models.card import ModelCard
from qwendesk.models.gguf import find_projector
from qwendesk.models.sources.base import (
    BLOCK_BYTES,
    ByteCallback,
    ModelFileKind,
    ModelSource,
    PartialFile,
    RemoteFile,
    SourceFailed,
)

_NUMBERED = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")


class LocalFile(ModelSource):
    """A GGUF file on this machine, with its numbered parts and its projector in the same folder."""

    name = "file"

    def __init__(self, file: Path) -> None:
        self._file = file.expanduser().resolve()
        self.label = f"file {str(file)!r}"

    def offers(self, card: ModelCard) -> bool:
        """Return True, because the user named the file."""
        return True

    async def plan(self, card: ModelCard) -> tuple[RemoteFile, ...]:
        """Return the file, its parts and its projector."""
        files = [_remote(path, card) for path in self._parts()]
        if card.vision or card.audio:
            beside = find_projector(self._file, is_multimodal=True)
            files += [_remote(beside, card, "projector")] if beside else []
        return tuple(files)

    async def fetch(self, file: RemoteFile, part: PartialFile, report: ByteCallback) -> None:
        """Copy the missing bytes."""
        with await asyncio.to_thread(Path(file.url).open, "rb") as original:
            original.seek(part.size)
            while block := await asyncio.to_thread(original.read, BLOCK_BYTES):
                await part.write(block)
                report(part.size)

    def _parts(self) -> list[Path]:
        if not self._file.is_file():
            raise SourceFailed("there is no such file")
        numbered = _NUMBERED.search(self._file.name)
        if not numbered:
            return [self._file]
        stem, count = self._file.name[: numbered.start()], numbered[1]
        parts = [self._file.with_name(f"{stem}-{n:05}-of-{count}.gguf") for n in range(1, int(count) + 1)]
        if missing := [part.name for part in parts if not part.is_file()]:
            raise SourceFailed(f"its other parts have to be in the same folder; missing: {', '.join(missing)}")
        return parts


def _remote(path: Path, card: ModelCard, kind: ModelFileKind = "model") -> RemoteFile:
    # a file with the name in the catalogue has to be that file; any other is accepted as it is
    same = card.weights if card.weights and card.weights.filename == path.name else None
    stat = path.stat()
    if same and same.bytes and stat.st_size != same.bytes:
        raise SourceFailed(f"{path.name} has {stat.st_size} bytes instead of {same.bytes}")
    return RemoteFile(
        path.name, str(path), kind, stat.st_size, same.sha256 if same else None, version=str(stat.st_mtime_ns)
    )
