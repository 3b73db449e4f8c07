"""Read the recordings of a message, for engines that hand samples to their model."""

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

TOKENS_A_SECOND = 25
"""Tokens that stand for a second of sound in the models of the family."""
_SHARE = 2
"""A recording takes at most this part of the context window."""
SHORTEST = 0.1
"""Seconds; of less a model is left with a single token, which none is made for."""
_OPEN_END = 0xFFFFFFFF
"""Length in the header of a WAV file that was written to a pipe."""


@dataclass(frozen=True, slots=True)
class Sound:
    """One recording, with all channels mixed into one."""

    samples: NDArray[np.float32]
    rate: int
    """Samples a second."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate


def longest(context: int) -> float:
    """Return the seconds of the longest recording that a context window has room for."""
    return context / _SHARE / TOKENS_A_SECOND


def read_sound(part: dict[str, Any], most: float) -> Sound:
    """Return the recording of a message's part.

    Args:
        part: a part of the type ``input_audio``, with the file in base64.
        most: seconds of the longest recording that is taken.

    Raises:
        EngineError: it is no recording, broken off, empty or too long.
    """
    try:
        data = b64decode(str(part.get("input_audio", {}).get("data", "")), validate=True)
    except binascii.Error as error:
        raise EngineError(f"The recording cannot be read: {error}") from error
    return _decoded(data, most)


def _decoded(data: bytes, most: float) -> Sound:
    import soundfile

    if not data:
        raise EngineError("The recording is empty.")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check(file.frames, file.samplerate, most)
            sound = Sound(file.read(file.frames, dtype="float32", always_2d=True).mean(axis=1), file.samplerate)
            if len(sound.samples) < file.frames or _is_cut(data):
                raise EngineError("The recording is broken off: it is shorter than it says. Send it again.")
    except soundfile.LibsndfileError as error:
        raise EngineError(f"The recording cannot be read: {error.error_string}") from error
    except (RuntimeError, ValueError, MemoryError) as error:
        raise EngineError(f"The recording cannot be read: {error}") from error
    return sound


def _check(frames: int, rate: int, most: float) -> None:
    if not 0 < rate <= 768_000:
        raise EngineError(f"The recording says that it has {rate} samples a second, which none has.")
    seconds = frames / rate
    if seconds < SHORTEST:
        raise EngineError(f"The recording is {seconds:.2f} seconds long; it has to be {SHORTEST} at least.")
    if seconds > most:
        raise EngineError(
            f"The recording is {_clock(seconds)} long; this model takes {_clock(most)} at most. Send a shorter one, "
            "or raise QWENDESK_CONTEXT_TOKENS."
        )


def _is_cut(data: bytes) -> bool:
    """Tell whether a WAV file is shorter than its own header says; of other kinds the decoder tells."""
    if data[:4] != b"RIFF":
        return False
    told = int.from_bytes(data[4:8], "little")
    return told not in (0, _OPEN_END) and len(data) < told + 8


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
