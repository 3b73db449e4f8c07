"""What may come in: the limits of a message, and pictures that can be read."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from qwendesk.errors import InputError
from qwendesk.messages import Attachment, Inbound

_LARGEST_FILE = 20 * 2**20
_MOST_PIXELS = 50_000_000
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def check_limits(inbound: Inbound, *, max_chars: int) -> None:
    """Refuse what no model should be given.

    Raises:
        InputError: the message is empty or too long.
    """
    if not inbound.text.strip() and not inbound.attachments:
        raise InputError("The message is empty.")
    if len(inbound.text) > max_chars:
        raise InputError(
            f"The message has {len(inbound.text):,} characters; at most {max_chars:,} are taken. "
            "Shorten it, or raise QWENDESK_MAX_INPUT_CHARS."
        )


async def read_image(source: Path | str | bytes) -> Attachment:
    """Return a picture, from a file or from its bytes, after a look at whether it is one.

    Raises:
        InputError: it cannot be read, is no picture or is too large.
    """
    return await asyncio.to_thread(_read_image, source)


def _read_image(source: Path | str | bytes) -> Attachment:
    name = "" if isinstance(source, bytes) else Path(source).name
    data = source if isinstance(source, bytes) else _read_file(Path(source).expanduser())
    if len(data) > _LARGEST_FILE:
        raise InputError(f"The picture {name!r} is larger than {_LARGEST_FILE:,} bytes.")
    return Attachment("image", _mime(data, name), data, name)


def _read_file(file: Path) -> bytes:
    try:
        if file.exists() and not file.is_file():
            raise InputError(f"The picture {str(file)!r} is not a file.")
        with file.open("rb") as opened:
            return opened.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"The picture {str(file)!r} cannot be read: {error.strerror or error}.") from None


def _mime(data: bytes, name: str) -> str:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            mime = image.get_format_mimetype()
            if width * height <= _MOST_PIXELS:
                image.verify()
    except Image.DecompressionBombError:
        raise InputError(f"The picture {name!r} has more than {_MOST_PIXELS:,} pixels.") from None
    except Exception as error:  # a broken file makes the decoders raise nearly anything
        kinds = ", ".join(_FORMATS)
        raise InputError(f"{name or 'The attachment'!r} is not a picture that can be read ({kinds}).") from error
    if width * height > _MOST_PIXELS:
        raise InputError(f"The picture {name!r} has {width}x{height} pixels; at most {_MOST_PIXELS:,} are taken.")
    return mime or "image/png"
