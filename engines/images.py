"""What pictures and recordings of a message have in common: they come as base64 inside of it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from functools import cache
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_openai_data_block, is_data_content_block
from PIL import Image, ImageOps, UnidentifiedImageError

from qwendesk.errors import EngineError


def data_of(url: str, what: str) -> bytes:
    """Return the bytes of a ``data:`` URL.

    Raises:
        EngineError: it is another kind of address, which is never fetched, or no base64.
    """
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise EngineError(f"A {what} has to be in the message itself, as a data: URL in base64.")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise EngineError(f"The {what} cannot be read: {error}") from error


_MAX_PIXELS = 80_000_000

"""A picture of more is refused before it is unpacked: a small file can hold a huge one."""

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")

"""What people send; Pillow's other decoders, some of which start programs, read nothing that comes from outside."""

_GLANCE = 1_000_000

"""To so many pixels a picture is brought that is only to be looked at."""

_MAX_RATIO = 200

"""The family's own limit on how much longer one side may be than the other."""


async def look_at_pictures(messages: list[BaseMessage]) -> None:
    """See that every picture of the messages can be read, for engines that send them on as they are.

    Raises:
        EngineError: one is broken, of too many pixels, or not in the message itself.
    """
    parts = [part for message in messages for part in message.content if isinstance(message.content, list)]
    pictures = [part for part in parts if isinstance(part, dict) and part.get("type") in ("image_url", "image")]
    if pictures:
        await asyncio.to_thread(_look_at, pictures)


def _look_at(pictures: list[dict[Any, Any]]) -> None:
    for part in pictures:
        known = convert_to_openai_data_block(part) if is_data_content_block(part) else part
        read_picture(known, _GLANCE)


def read_picture(part: dict[str, Any], pixels: int) -> Image.Image:
    """Return the picture of a message's part upright in RGB, made smaller where it has more than so many pixels.

    Raises:
        EngineError: it is no picture, one of too many pixels, or not in the message itself.
    """
    try:
        image = Image.open(
            io.BytesIO(data_of(str(part.get("image_url", {}).get("url", "")), "picture")), formats=_formats()
        )
        _check(image)
        upright = ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError as error:
        raise EngineError("The picture cannot be read: it is of no known format, or broken.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise EngineError(f"The picture cannot be read: {error}") from error
    scale = min(1.0, (pixels / (upright.width * upright.height)) ** 0.5)
    if scale == 1.0:
        return upright
    return upright.resize((max(1, int(upright.width * scale)), max(1, int(upright.height * scale))))


@cache
def _formats() -> list[str]:
    """Return those of the formats that this build of Pillow knows."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _check(image: Image.Image) -> None:
    count, sides = image.width * image.height, sorted(image.size)
    if count > _MAX_PIXELS:
        raise EngineError(f"The picture has {count} pixels; {_MAX_PIXELS} are the most. Send a smaller one.")
    if sides[1] > _MAX_RATIO * sides[0]:
        raise EngineError(f"The picture is too narrow: {image.width}x{image.height} pixels. Cut a part out of it.")
