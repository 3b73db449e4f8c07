"""Read pictures, recordings and documents as attachments of a message."""

from __future__ import annotations

import asyncio
import io
import mimetypes
from pathlib import Path

from qwendesk.errors import InputError
from qwendesk.messages import MAX_ATTACHMENT_BYTES, Attachment

_MAX_PIXELS = 50_000_000
_AUDIO_FORMATS = {"WAV": "wav", "WAVEX": "wav", "MP3": "mpeg", "FLAC": "flac", "OGG": "ogg", "AIFF": "aiff"}
"""Supported audio formats of libsndfile, and their names in MIME types."""
_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


async def read_image(source: Path | str | bytes) -> Attachment:
    """Return a picture from a file or its bytes, after checking its format.

    Raises:
        InputError: it cannot be read, is no picture or is too large.
    """
    return await asyncio.to_thread(_read_image, source)


def _read_image(source: Path | str | bytes) -> Attachment:
    name = "" if isinstance(source, bytes) else Path(source).name
    data = _bytes(source, "picture")
    return Attachment("image", _mime(data, name), data, name)


async def read_audio(source: Path | str | bytes) -> Attachment:
    """Return a recording from a file or its bytes, after checking its format.

    Raises:
        InputError: it cannot be read, is no recording or is too large.
    """
    return await asyncio.to_thread(_read_audio, source)


def _read_audio(source: Path | str | bytes) -> Attachment:
    name = "" if isinstance(source, bytes) else Path(source).name
    data = _bytes(source, "recording")
    return Attachment("audio", f"audio/{_sound(data, name)}", data, name)


async def read_document(source: Path | str | bytes) -> Attachment:
    """Return a document from a file or its bytes; its content is checked when it is ingested.

    Raises:
        InputError: it cannot be read or is too large.
    """
    return await asyncio.to_thread(_read_document, source)


def _read_document(source: Path | str | bytes) -> Attachment:
    name = "" if isinstance(source, bytes) else Path(source).name
    data = _bytes(source, "document")
    return Attachment("document", mimetypes.guess_type(name)[0] or "application/octet-stream", data, name)


def _bytes(source: Path | str | bytes, what: str) -> bytes:
    data = source if isinstance(source, bytes) else _read_file(Path(source).expanduser(), what)
    if len(data) > MAX_ATTACHMENT_BYTES:
        name = "" if isinstance(source, bytes) else f" {Path(source).name!r}"
        raise InputError(f"The {what}{name} is larger than {MAX_ATTACHMENT_BYTES:,} bytes.")
    return data


def _read_file(file: Path, what: str) -> bytes:
    try:
        if file.exists() and not file.is_file():
            raise InputError(f"The {what} {str(file)!r} is not a file.")
        with file.open("rb") as opened:
            return opened.read(MAX_ATTACHMENT_BYTES + 1)
    except OSError as error:
        raise InputError(f"The {what} {str(file)!r} cannot be read: {error.strerror or error}.") from None


def _sound(data: bytes, name: str) -> str:
    """Return the format by the header; the model limits the length."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            kind, frames = str(file.format), int(file.frames)
    except (soundfile.LibsndfileError, RuntimeError, ValueError):
        kind, frames = "", 0
    if kind not in _AUDIO_FORMATS:
        kinds = ", ".join(sorted({*_AUDIO_FORMATS} - {"WAVEX"}))
        raise InputError(f"{name or 'The attachment'!r} is not a recording that can be read ({kinds}).")
    if not frames:
        raise InputError(f"The recording {name!r} has no sound in it.")
    return _AUDIO_FORMATS[kind]


def _mime(data: bytes, name: str) -> str:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_IMAGE_FORMATS) as image:
            width, height = image.size
            mime = image.get_format_mimetype()
            if width * height <= _MAX_PIXELS:
                image.verify()
    except Image.DecompressionBombError:
        raise InputError(f"The picture {name!r} has more than {_MAX_PIXELS:,} pixels.") from None
    except Exception as error:  # decoders raise many kinds of errors on damaged files
        kinds = ", ".join(_IMAGE_FORMATS)
        raise InputError(f"{name or 'The attachment'!r} is not a picture that can be read ({kinds}).") from error
    if width * height > _MAX_PIXELS:
        raise InputError(f"The picture {name!r} has {width}x{height} pixels; at most {_MAX_PIXELS:,} are taken.")
    return mime or "image/png"
