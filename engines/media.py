"""Read the images and recordings of a message, and decode its data URLs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from base64 import b64decode
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, convert_to_openai_data_block, is_data_content_block
from PIL import Image, ImageOps, UnidentifiedImageError

from qwendesk.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_PIXELS = 80_000_000
"""Larger images are refused before they are decompressed, because a small file can contain a huge image."""
_IMAGE_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")
"""Accepted formats; Pillow's other decoders, some of which start programs, are not used for foreign files."""
_CHECK_PIXELS = 1_000_000
"""Size to which an image is reduced when it is only checked."""
_MAX_RATIO = 200
"""Maximum ratio of the longer to the shorter side; a limit of Qwen's vision models."""
TOKENS_PER_SECOND = 25
"""Tokens for one second of audio in Qwen's audio models."""
_CONTEXT_FRACTION = 2
"""Divisor of the context window: a recording takes at most this fraction of it."""
MIN_RECORDING_SECONDS = 0.1
"""Minimum length; a shorter recording is a single token, which the models do not support."""
_UNKNOWN_LENGTH = 0xFFFFFFFF
"""Length in the header of a WAV file that was streamed."""


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
        data = decode_data_url(str(part.get("image_url", {}).get("url", "")), "picture")
        image = Image.open(io.BytesIO(data), formats=_image_formats())
        _check_size(image)
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
def _image_formats() -> list[str]:
    """Return the accepted formats that this build of Pillow supports."""
    Image.init()
    return [name for name in _IMAGE_FORMATS if name in Image.OPEN]


def _check_size(image: Image.Image) -> None:
    count, sides = image.width * image.height, sorted(image.size)
    if count > _MAX_PIXELS:
        raise EngineError(f"The picture has {count} pixels; {_MAX_PIXELS} are the most. Send a smaller one.")
    if sides[1] > _MAX_RATIO * sides[0]:
        raise EngineError(f"The picture is too narrow: {image.width}x{image.height} pixels. Cut a part out of it.")


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording, mixed to one channel."""

    samples: NDArray[np.float32]
    rate: int
    """Samples per second."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


def max_recording_seconds(context: int) -> float:
    """Return the length in seconds of the longest recording that fits into a context window."""
    return context / _CONTEXT_FRACTION / TOKENS_PER_SECOND


def read_recording(part: dict[str, Any], max_seconds: float) -> Recording:
    """Return the recording of a message part.

    Args:
        part: a part of type ``input_audio``, with the file in base64.
        max_seconds: length of the longest accepted recording.

    Raises:
        EngineError: the part is not a recording, or is truncated, empty or too long.
    """
    try:
        data = b64decode(str(part.get("input_audio", {}).get("data", "")), validate=True)
    except binascii.Error as error:
        raise EngineError(f"The recording cannot be read: {error}") from error
    return _decoded(data, max_seconds)


def _decoded(data: bytes, max_seconds: float) -> Recording:
    import soundfile

    if not data:
        raise EngineError("The recording is empty.")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_length(file.frames, file.samplerate, max_seconds)
            sound = Recording(file.read(file.frames, dtype="float32", always_2d=True).mean(axis=1), file.samplerate)
            if len(sound.samples) < file.frames or _is_truncated(data):
                raise EngineError("The recording is broken off: it is shorter than it says. Send it again.")
    except soundfile.LibsndfileError as error:
        raise EngineError(f"The recording cannot be read: {error.error_string}") from error
    except (RuntimeError, ValueError, MemoryError) as error:
        raise EngineError(f"The recording cannot be read: {error}") from error
    return sound


def _check_length(frames: int, rate: int, max_seconds: float) -> None:
    if not 0 < rate <= 768_000:
        raise EngineError(f"The recording says that it has {rate} samples a second, which is not possible.")
    seconds = frames / rate
    if seconds < MIN_RECORDING_SECONDS:
        raise EngineError(
            f"The recording is {seconds:.2f} seconds long; it has to be {MIN_RECORDING_SECONDS} at least."
        )
    if seconds > max_seconds:
        raise EngineError(
            f"The recording is {_minutes(seconds)} long; the model takes {_minutes(max_seconds)} at most. Send a "
            "shorter one, or raise QWENDESK_CONTEXT_TOKENS."
        )


def _is_truncated(data: bytes) -> bool:
    """Return whether a WAV file is shorter than its header says; the decoder checks other formats."""
    if data[:4] != b"RIFF":
        return False
    length = int.from_bytes(data[4:8], "little")
    return length not in (0, _UNKNOWN_LENGTH) and len(data) < length + 8


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
