"""Decode the audio recordings of a message."""

from __future__ import annotations

import binascii
import io
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwendesk.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOKENS_PER_SECOND = 25
"""Tokens for one second of audio in Qwen's audio models."""
_CONTEXT_FRACTION = 2
"""Divisor of the context window: a recording takes at most this fraction of it."""
MIN_RECORDING_SECONDS = 0.1
"""Minimum length; a shorter recording is a single token, which the models do not support."""
_UNKNOWN_LENGTH = 0xFFFFFFFF
"""Length in the header of a WAV file that was streamed."""


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
            _check(file.frames, file.samplerate, max_seconds)
            sound = Recording(file.read(file.frames, dtype="float32", always_2d=True).mean(axis=1), file.samplerate)
            if len(sound.samples) < file.frames or _is_truncated(data):
                raise EngineError("The recording is broken off: it is shorter than it says. Send it again.")
    except soundfile.LibsndfileError as error:
        raise EngineError(f"The recording cannot be read: {error.error_string}") from error
    except (RuntimeError, ValueError, MemoryError) as error:
        raise EngineError(f"The recording cannot be read: {error}") from error
    return sound


def _check(frames: int, rate: int, max_seconds: float) -> None:
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
