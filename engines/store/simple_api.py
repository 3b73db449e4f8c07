"""A package index's project page, as JSON (PEP 691) or as HTML (PEP 503)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import httpx

from qwendesk.engines.catalogue import Wheel
from qwendesk.engines.store.base import RemoteWheel
from qwendesk.engines.store.web import read_json

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


def normalised(package: str) -> str:
    """Return a package's name as indexes spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def find_wheel(page: httpx.Response, wanted: Wheel) -> RemoteWheel | None:
    """Return the wheel of this package and version from a project page; None: it has none."""
    base = str(page.url)
    for file in _files(page):
        if _is_wheel_of(file["filename"], wanted):
            return RemoteWheel(wanted, urljoin(base, file["url"]), file.get("size"), file["sha256"])
    return None


def _is_wheel_of(filename: str, wanted: Wheel) -> bool:
    package, _, rest = filename.removesuffix(".whl").partition("-")
    is_wheel = filename.endswith(".whl")
    return is_wheel and normalised(package) == normalised(wanted.package) and rest.startswith(f"{wanted.version}-")


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
