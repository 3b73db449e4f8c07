"""The hubs, whose listings contain checksums: Hugging Face, ModelScope and the Ollama registry."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from qwendesk.models.card import ModelCard, Weights
from qwendesk.models.sources.base import (
    ByteCallback,
    ModelFileKind,
    ModelSource,
    PartialFile,
    RemoteFile,
    SourceFailed,
    SourceSettings,
)
from qwendesk.models.sources.http import SourceClient

_NUMBERED = "-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_OLLAMA_KINDS: dict[str, ModelFileKind] = {
    "application/vnd.ollama.image.model": "model",
    "application/vnd.ollama.image.projector": "projector",
}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file in the listing of a repository."""

    path: str
    bytes: int | None
    sha256: str | None


class _Hub(ModelSource):
    def __init__(self, web: SourceClient, url: str) -> None:
        self._web = web
        self._url = url.rstrip("/")

    @abstractmethod
    def _repo(self, weights: Weights) -> str | None:
        """Return the repository of the model on this hub."""

    @abstractmethod
    async def _list(self, repo: str) -> list[RepositoryFile]:
        """Return the files of a repository."""

    @abstractmethod
    def _address(self, repo: str, path: str) -> str:
        """Return the download URL of a file."""

    def offers(self, card: ModelCard) -> bool:
        return card.weights is not None and self._repo(card.weights) is not None

    async def plan(self, card: ModelCard) -> tuple[RemoteFile, ...]:
        weights = card.weights
        repo = self._repo(weights) if weights else None
        if not weights or not repo:
            raise SourceFailed(f"the catalogue names no repository for {card.name!r}")
        listing = await self._list(repo)
        files = [self._file(repo, entry) for entry in _model_files(listing, weights.filename, repo)]
        if weights.projector:
            files.append(self._file(repo, _projector(listing, weights.projector, repo), "projector"))
        files[0] = (
            _with_catalogue_values(files[0], weights) if len(files) == 1 or files[1].kind == "projector" else files[0]
        )
        return tuple(files)

    async def fetch(self, file: RemoteFile, part: PartialFile, report: ByteCallback) -> None:
        await self._web.download(file.url, part, file.bytes, report)

    def _file(self, repo: str, entry: RepositoryFile, kind: ModelFileKind = "model") -> RemoteFile:
        name = entry.path.rpartition("/")[2]
        return RemoteFile(name, self._address(repo, entry.path), kind, entry.bytes, entry.sha256)


class HuggingFace(_Hub):
    """The Hugging Face Hub or a mirror."""

    name = "huggingface"
    label = "Hugging Face"

    def _repo(self, weights: Weights) -> str | None:
        return weights.huggingface

    async def _list(self, repo: str) -> list[RepositoryFile]:
        tree = await self._web.json(f"{self._url}/api/models/{repo}/tree/main?recursive=true")
        return [_hugging_face_entry(item) for item in _dicts(tree) if isinstance(item.get("path"), str)]

    def _address(self, repo: str, path: str) -> str:
        return f"{self._url}/{repo}/resolve/main/{quote(path)}"


class ModelScope(_Hub):
    """The ModelScope hub."""

    name = "modelscope"
    label = "ModelScope"

    def _repo(self, weights: Weights) -> str | None:
        return weights.modelscope

    async def _list(self, repo: str) -> list[RepositoryFile]:
        url = f"{self._url}/api/v1/models/{repo}/repo/files?Revision=master&Recursive=true"
        tree = await self._web.json(url)
        data = tree.get("Data") if isinstance(tree, dict) else None
        items = _dicts(data.get("Files") if isinstance(data, dict) else None)
        return [_entry(item["Path"], item.get("Size"), item.get("Sha256")) for item in items if item.get("Path")]

    def _address(self, repo: str, path: str) -> str:
        return f"{self._url}/models/{repo}/resolve/master/{quote(path)}"


def hubs(web: SourceClient, remotes: SourceSettings) -> list[ModelSource]:
    """Return the hubs of repositories."""
    return [HuggingFace(web, remotes.huggingface_url), ModelScope(web, remotes.modelscope_url)]


def _hugging_face_entry(item: dict[str, Any]) -> RepositoryFile:
    lfs = item.get("lfs") if isinstance(item.get("lfs"), dict) else {}
    # outside LFS, `oid` is a git SHA-1, which cannot be compared
    return _entry(item["path"], lfs.get("size", item.get("size")) if lfs else item.get("size"), (lfs or {}).get("oid"))


def _entry(path: str, size: object, total: object) -> RepositoryFile:
    bytes_ = size if isinstance(size, int) and size > 0 else None
    given = total.lower().removeprefix("sha256:") if isinstance(total, str) else ""
    return RepositoryFile(path, bytes_, given if _SHA256.fullmatch(given) else None)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _model_files(listing: Sequence[RepositoryFile], filename: str, repo: str) -> list[RepositoryFile]:
    """Return the file, or its numbered parts."""
    whole = _matching(listing, filename)
    if whole:
        return whole[:1]
    parts = _matching(listing, f"{filename.removesuffix('.gguf')}{_NUMBERED}.gguf")
    if not parts:
        raise SourceFailed(f"{repo} holds no file {filename!r}")
    count = int(parts[0].path[-10:-5])
    if len(parts) != count:
        raise SourceFailed(f"{repo} holds {len(parts)} of the {count} parts of {filename!r}")
    return sorted(parts, key=lambda entry: entry.path)


def _projector(listing: Sequence[RepositoryFile], pattern: str, repo: str) -> RepositoryFile:
    found = _matching(listing, pattern)
    if not found:
        raise SourceFailed(f"{repo} holds no file {pattern!r}, which the model needs for images and audio")
    return min(found, key=lambda entry: entry.bytes or 0)


def _matching(listing: Sequence[RepositoryFile], pattern: str) -> list[RepositoryFile]:
    wanted = pattern.lower()
    return [entry for entry in listing if fnmatchcase(entry.path.rpartition("/")[2].lower(), wanted)]


def _with_catalogue_values(file: RemoteFile, weights: Weights) -> RemoteFile:
    """Replace size and checksum of the listing by those of the catalogue; refuse another version."""
    for ours, theirs in ((weights.sha256, file.sha256), (weights.bytes, file.bytes)):
        if ours and theirs and ours != theirs:
            raise SourceFailed(f"holds another version of {file.name!r} ({theirs} instead of {ours})")
    return replace(file, bytes=weights.bytes or file.bytes, sha256=weights.sha256 or file.sha256)


class OllamaRegistry(ModelSource):
    """The library behind ``ollama pull``; Ollama need not be installed."""

    name = "ollama"
    label = "Ollama's registry"

    def __init__(self, web: SourceClient, url: str) -> None:
        self._web = web
        self._url = url.rstrip("/")

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
            raise SourceFailed(f"{card.ollama[0]!r} has no projector as a separate layer there, which llama.cpp needs")


def _file(card: ModelCard, base: str, layer: dict[str, Any]) -> RemoteFile | None:
    kind = _OLLAMA_KINDS.get(str(layer.get("mediaType")))
    digest = str(layer.get("digest", ""))
    if not kind or not _DIGEST.fullmatch(digest):
        return None
    # quantised separately from the file on the hubs, so it gets another name; its digest is its checksum
    name = f"{card.name}-ollama.gguf" if kind == "model" else f"mmproj-{card.name}-ollama.gguf"
    size = layer.get("size")
    return RemoteFile(
        name, f"{base}/blobs/{digest}", kind, size if isinstance(size, int) else None, digest.removeprefix("sha256:")
    )
