"""The Ollama registry, whose manifests name blobs by their checksums."""

from __future__ import annotations

import re
from typing import Any

from qwendesk.models.card import ModelCard
from qwendesk.models.sources.base import ByteCallback, ModelFileKind, ModelSource, RemoteFile, SourceFailed
from qwendesk.models.sources.http import SourceClient
from qwendesk.models.sources.partial_file import PartialFile

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_KINDS: dict[str, ModelFileKind] = {
    "application/vnd.ollama.image.model": "model",
    "application/vnd.ollama.image.projector": "projector",
}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class OllamaRegistry(ModelSource):
    """The library behind ``ollama pull``; Ollama need not be installed."""

    name = "ollama"

    def __init__(self, web: SourceClient, url: str) -> None:
        self._web = web
        self._url = url.rstrip("/")
        self.place = "Ollama's registry"

    def offers(self, card: ModelCard) -> bool:
        """Return whether the catalogue names a tag and a GGUF file."""
        return bool(card.ollama and card.weights)

    async def plan(self, card: ModelCard) -> tuple[RemoteFile, ...]:
        """Return the files in the manifest of the first tag."""
        name, _, tag = card.ollama[0].partition(":")
        base = f"{self._url}/v2/{name if '/' in name else f'library/{name}'}"
        manifest = await self._web.json(f"{base}/manifests/{tag or 'latest'}", _MANIFEST)
        layers = manifest.get("layers") if isinstance(manifest, dict) else None
        files = [file for layer in layers or [] if (file := _file(card, base, layer))]
        self._check(card, files)
        return tuple(sorted(files, key=lambda file: file.kind))

    async def fetch(self, file: RemoteFile, part: PartialFile, report: ByteCallback) -> None:
        """Download the blob."""
        await self._web.download(file.url, part, file.bytes, report)

    def _check(self, card: ModelCard, files: list[RemoteFile]) -> None:
        kinds = [file.kind for file in files]
        if kinds.count("model") != 1:
            raise SourceFailed(f"{card.ollama[0]!r} is not one GGUF file there")
        if card.weights and card.weights.projector and "projector" not in kinds:
            raise SourceFailed(f"{card.ollama[0]!r} has no projector of its own there, which llama.cpp needs")


def _file(card: ModelCard, base: str, layer: dict[str, Any]) -> RemoteFile | None:
    kind = _KINDS.get(str(layer.get("mediaType")))
    digest = str(layer.get("digest", ""))
    if not kind or not _DIGEST.fullmatch(digest):
        return None
    # quantised separately from the file on the hubs, so it gets another name; its digest is its checksum
    name = f"{card.name}-ollama.gguf" if kind == "model" else f"mmproj-{card.name}-ollama.gguf"
    size = layer.get("size")
    return RemoteFile(
        name, f"{base}/blobs/{digest}", kind, size if isinstance(size, int) else None, digest.removeprefix("sha256:")
    )
