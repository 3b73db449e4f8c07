"""The files of a message on Slack: where each is, and which of them can be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qwendesk.channels.base import MAX_FILE_BYTES
from qwendesk.messages import kind_of

_UNHAD = ("tombstone", "hidden_by_limit")


@dataclass(frozen=True, slots=True)
class File:
    """A file that waits on Slack, readable with the bot's token."""

    url: str
    """Empty: Slack has to be asked for it."""
    kind: str
    mime: str
    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one message."""

    found: tuple[File, ...] = ()
    links: tuple[str, ...] = ()
    """Files that lie elsewhere, with their addresses."""
    unsupported_media: str | None = None
    """Why one is missing."""


def files_of(files: list[dict[str, Any]]) -> Files:
    """Return what of a message's files can be had."""
    found, links, reasons = [], [], []
    for one in files:
        if one.get("is_external") or one.get("mode") == "external":
            links.append(
                f"{one.get('title') or one.get('name') or 'file'}: {_address(one) or one.get('permalink') or ''}"
            )
        elif reason := _reason(one):
            reasons.append(reason)
        else:
            found.append(file_of(one))
    return Files(tuple(found), tuple(links), reasons[0] if reasons else None)


def file_of(file: dict[str, Any]) -> File:
    """Return a file as Slack describes it."""
    mime = str(file.get("mimetype") or "application/octet-stream")
    return File(
        _address(file), kind_of(mime), mime, str(file.get("name") or file.get("title") or ""), str(file.get("id") or "")
    )


def _address(file: dict[str, Any]) -> str:
    return str(file.get("url_private_download") or file.get("url_private") or "")


def _reason(file: dict[str, Any]) -> str | None:
    """Return why a file is not taken; None where it is."""
    size = file.get("size")
    if size is not None and int(size) > MAX_FILE_BYTES:
        return "large file"
    if size is not None and int(size) == 0 and _address(file):
        return "empty file"
    # of a file of another workspace only its name is told, and Slack has to be asked
    is_known = _address(file) or file.get("id")
    return (
        None if is_known and file.get("mode") not in _UNHAD and file.get("file_access") != "access_denied" else "file"
    )
