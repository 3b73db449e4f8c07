"""Read the images of a message, and decode its data URLs."""

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


def decode_data_url(url: str, what: str) -> bytes:
    """Return the bytes of a ``data:`` URL.

    Args:
        url: the URL; other schemes are refused, not fetched.
        what: the kind of content, for error texts.

    Raises:
        EngineError: the URL is not a ``data:`` URL in base64.
    """
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise EngineError(f"A {what} has to be in the message itself, as a data: URL in base64.")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise EngineError(f"The {what} cannot be read: {error}") from error


_MAX_PIXELS = 80_000_000
"""Larger images are refused before they are decompressed, because a small file can contain a huge image."""

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")
"""Accepted formats; Pillow's other decoders, some of which start programs, are not used for foreign files."""

_CHECK_PIXELS = 1_000_000
"""Size to which an image is reduced when it is only checked."""

_MAX_RATIO = 200
"""Maximum ratio of the longer to the shorter side; a limit of Qwen's vision models."""


async def check_images(messages: list[BaseMessage]) -> None:
    """Check that the images of the messages can be read, for engines that forward them unchanged.

    Raises:
        EngineError: an image is broken, has too many pixels, or is not contained in the message.
    """
    parts = [part for message in messages for part in message.content if isinstance(message.content, list)]
    images = [part for part in parts if isinstance(part, dict) and part.get("type") in ("image_url", "image")]
    if images:
        await asyncio.to_thread(_check_images, images)


def _check_images(images: list[dict[Any, Any]]) -> None:
    for part in images:
        known = convert_to_openai_data_block(part) if is_data_content_block(part) else part
        read_image(known, _CHECK_PIXELS)


def read_image(part: dict[str, Any], pixels: int) -> Image.Image:
    """Return the image of a message part in RGB, rotated upright and reduced to at most ``pixels`` pixels.

    Raises:
        EngineError: the part is not an image, has too many pixels, or is not contained in the message.
    """
    try:
        image = Image.open(
            io.BytesIO(decode_data_url(str(part.get("image_url", {}).get("url", "")), "picture")), formats=_formats()
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
    """Return the accepted formats that this build of Pillow supports."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _check(image: Image.Image) -> None:
    count, sides = image.width * image.height, sorted(image.size)
    if count > _MAX_PIXELS:
        raise EngineError(f"The picture has {count} pixels; {_MAX_PIXELS} are the most. Send a smaller one.")
    if sides[1] > _MAX_RATIO * sides[0]:
        raise EngineError(f"The picture is too narrow: {image.width}x{image.height} pixels. Cut a part out of it.")
