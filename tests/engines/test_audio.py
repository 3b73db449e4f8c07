"""Decoding of recordings: common formats, and files that are invalid, truncated or too long."""

from __future__ import annotations

import base64
import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
import soundfile

from qwendesk.engines.media import read_recording
from qwendesk.errors import EngineError


def saved(samples: Any, rate: int = 16_000, kind: str = "WAV", **options: Any) -> bytes:
    held = io.BytesIO()
    soundfile.write(held, samples, rate, format=kind, **options)
    return held.getvalue()


def part(data: bytes) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode()}}


TONE = (0.3 * np.sin(np.arange(16_000) / 9)).astype(np.float32)
WHOLE = saved(TONE)
BAD = {
    "empty": (b"", "empty"),
    "no samples": (saved(TONE[:0]), "long"),
    "a click": (saved(TONE[:100]), "long"),
    "no sound": (b"this is no recording at all", "cannot be read"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "cannot be read"),
    "truncated": (WHOLE[: len(WHOLE) // 2], "broken off"),
    "truncated flac": (saved(TONE, kind="FLAC")[:-4000], "cannot be read|broken off"),
    "truncated ogg": (saved(TONE, kind="OGG")[:3000], "cannot be read|broken off"),
    "truncated mp3": (saved(TONE, kind="MP3")[:1500], "cannot be read|broken off"),
    "too long": (saved(np.tile(TONE, 61)), "1:01 long.*1:00 at most"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_heard_is_an_error_that_says_why(bad: str) -> None:
    data, reason = BAD[bad]
    with pytest.raises(EngineError, match=reason) as error:
        read_recording(part(data), 60)
    assert "0x" not in str(error.value)


def test_ten_hours_in_a_small_file_are_not_unpacked() -> None:
    held = io.BytesIO()
    with soundfile.SoundFile(held, "w", 1_000, 1, format="FLAC", subtype="PCM_16") as file:
        hour = np.zeros(1_000 * 3_600, np.int16)
        for _ in range(10):
            file.write(hour)
    assert len(held.getvalue()) < 500_000
    sound = part(held.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(EngineError, match="10:00:00 long"):
            read_recording(sound, 60)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_channels_are_mixed_into_one(kind: str) -> None:
    sound = read_recording(part(saved(np.stack([TONE, -TONE], axis=1), 44_100, kind)), 60)
    assert sound.samples.ndim == 1 and sound.rate == 44_100
    assert sound.seconds == pytest.approx(16_000 / 44_100, abs=0.1)
    assert np.abs(sound.samples).max() < 0.1


def test_what_was_written_to_a_pipe_is_taken() -> None:
    open_end = WHOLE[:4] + b"\xff\xff\xff\xff" + WHOLE[8:]
    assert read_recording(part(open_end), 60).seconds == pytest.approx(1.0)
