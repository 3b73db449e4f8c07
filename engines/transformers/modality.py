"""Convert the images or recordings of a message to the tensors and tokens of a model."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from PIL import Image

from qwendesk.engines.audio import MIN_RECORDING_SECONDS, max_recording_seconds, read_recording
from qwendesk.engines.images import read_image
from qwendesk.errors import EngineError


@dataclass(frozen=True, slots=True)
class ModalityInput:
    """The media of one prompt as the model's input."""

    tensors: dict[str, Any]
    """Tensors by the names of the model's arguments."""
    counts: list[int]
    """Number of tokens of each medium."""
    keys: list[int]
    """A negative number for each medium, which identifies it where tokens are compared."""


class Modality(ABC):
    """Prepares images or recordings for one model; its methods block."""

    part_type: str
    """Type of the message parts that it takes, in OpenAI's format."""
    placeholder: dict[str, str]
    """Replaces one medium in the messages for the chat template."""

    def __init__(self, token: int) -> None:
        self.token = token
        """The token that the tokens of a medium replace."""

    @property
    def template(self) -> str | None:
        """A chat template that overrides the tokenizer's; None: the tokenizer's is used."""
        return None

    @abstractmethod
    def read(self, part: dict[str, Any]) -> list[Any]:
        """Return the media of a message part.

        Raises:
            EngineError: the part cannot be read, or is too large for the model.
        """

    @abstractmethod
    def convert(self, media: list[Any]) -> ModalityInput:
        """Return the model's input.

        Raises:
            EngineError: the model cannot take the media.
        """


def media_key(data: bytes) -> int:
    """Return a negative number that identifies a medium."""
    return -1 - int.from_bytes(hashlib.sha256(data).digest()[:6])


_IMAGE_CONTEXT_FRACTION = 4
"""Divisor of the context window: an image is reduced to take at most this fraction of it."""


class ImageModality(Modality):
    """Prepares images for one model.

    Args:
        processor: transformers' image processor of the model.
        token: the token that the tokens of an image replace.
        context: the context window in tokens.
    """

    part_type = "image_url"
    placeholder = {"type": "image"}

    def __init__(self, processor: Any, token: int, context: int) -> None:
        super().__init__(token)
        self._processor = processor
        side = int(processor.patch_size) * int(processor.merge_size)
        self._pixels = context // _IMAGE_CONTEXT_FRACTION * side * side
        self._merged = int(processor.merge_size) ** 2

    def read(self, part: dict[str, Any]) -> list[Image.Image]:
        """Return the image, reduced if it is too large."""
        return [read_image(part, self._pixels)]

    def convert(self, media: list[Image.Image]) -> ModalityInput:
        """Return the model's input.

        Raises:
            EngineError: the model cannot take the media.
        """
        try:
            made = self._processor(images=media, return_tensors="pt")
        except ValueError as error:
            raise EngineError(f"The model cannot take the picture: {error}") from error
        counts = [int(grid.prod()) // self._merged for grid in made["image_grid_thw"]]
        return ModalityInput(dict(made), counts, [media_key(image.tobytes()) for image in media])


_MODEL_INPUTS = ("input_features", "feature_attention_mask")
"""Names of the model's input tensors."""


class AudioModality(Modality):
    """Prepares recordings for one model: one channel, the model's sample rate, in segments of its maximum length.

    Args:
        processor: transformers' processor of the model.
        token: the token that the tokens of a recording replace.
        context: the context window in tokens.
    """

    part_type = "input_audio"
    placeholder = {"type": "audio"}

    def __init__(self, processor: Any, token: int, context: int) -> None:
        super().__init__(token)
        self._processor = processor
        self._rate = int(processor.feature_extractor.sampling_rate)
        self._segment = int(processor.feature_extractor.n_samples)
        self._max_seconds = max_recording_seconds(context)

    @property
    def template(self) -> str | None:
        """The processor's chat template; the tokenizer's does not support recordings."""
        return self._processor.chat_template or None

    def read(self, part: dict[str, Any]) -> list[Any]:
        """Return the recording's samples, in segments."""
        import soxr

        sound = read_recording(part, self._max_seconds)
        samples = soxr.resample(sound.samples, sound.rate, self._rate)
        segments = [samples[start : start + self._segment] for start in range(0, len(samples), self._segment)]
        # a last segment that is too short is dropped
        return [segment for segment in segments if len(segment) >= MIN_RECORDING_SECONDS * self._rate] or [samples]

    def convert(self, media: list[Any]) -> ModalityInput:
        """Return the model's input."""
        texts = [self._processor.audio_token] * len(media)
        try:
            made = self._processor(text=texts, audio=media, sampling_rate=self._rate, padding=True, return_tensors="pt")
        except ValueError as error:
            raise EngineError(f"The model cannot take the recording: {error}") from error
        counts = [int((row == self.token).sum()) for row in made["input_ids"]]
        return ModalityInput(
            {name: made[name] for name in _MODEL_INPUTS}, counts, [media_key(part.tobytes()) for part in media]
        )
