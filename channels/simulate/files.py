"""A file that a person sends, as her app tells what it is: by how it begins, else by its name."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from qwendesk.errors import ConfigError
from qwendesk.messages import Attachment, kind_of

_SIGNS = (
    (0, b"\x89PNG\r\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
)
"""Where a kind of file has its sign, the sign, and its MIME type."""


def read_file(path: Path) -> Attachment:
    """Return a file as it is sent: a picture, a recording, or a document.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The file {str(path)!r} cannot be read: {error.strerror}.") from None
    mime = _mime(data, path.name)
    return Attachment(kind_of(mime), mime, data, path.name)


def _mime(data: bytes, name: str) -> str:
    for place, sign, mime in _SIGNS:
        if data.startswith(sign, place):
            return mime
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
