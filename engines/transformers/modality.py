"""Pictures of a message, as the tensors and tokens that a vision model is shown."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from PIL import Image

from qwendesk.engines.audio import SHORTEST, longest, read_sound
from qwendesk.engines.images import read_picture
from qwendesk.errors import EngineError


@dataclass(frozen=True, slots=True)
class Shown:
    """The media of one prompt, ready for the model."""

    media: dict[str, Any]
    """Tensors by the names of the model's own arguments."""
    counts: list[int]
    """How many tokens stand for each medium."""
    marks: list[int]
    """A negative number for each medium, which tells it from others where only tokens are compared."""


class Sense(ABC):
    """Prepares the pictures or the recordings for one model; its methods block."""

    kind: str
    """Type of the parts of a message that it takes, in OpenAI's form."""
    place: dict[str, str]
    """What stands for one medium in what the chat template is given."""

    def __init__(self, token: int) -> None:
        self.token = token
        """The token in whose place a medium stands."""

    @property
    def template(self) -> str | None:
        """A chat template that comes before the tokenizer's own; None: that one will do."""
        return None

    @abstractmethod
    def read(self, part: dict[str, Any]) -> list[Any]:
        """Return the media of a message's part.

        Raises:
            EngineError: it cannot be read, or is more than the model can take.
        """

    @abstractmethod
    def show(self, media: list[Any]) -> Shown:
        """Return what the model is shown."""


def mark_of(data: bytes) -> int:
    """Return a medium's own negative number."""
    return -1 - int.from_bytes(hashlib.sha256(data).digest()[:6])


_SHARE = 4

"""A picture takes at most this part of the context window; a larger one is made smaller."""


class Pictures(Sense):
    """Prepares the pictures for one model.

    Args:
        processor: transformers' image processor of the model.
        token: the token in whose place a picture stands.
        context: the context window in tokens.
    """

    kind = "image_url"
    place = {"type": "image"}

    def __init__(self, processor: Any, token: int, context: int) -> None:
        super().__init__(token)
        self._processor = processor
        side = int(processor.patch_size) * int(processor.merge_size)
        self._pixels = context // _SHARE * side * side
        self._merged = int(processor.merge_size) ** 2

    def read(self, part: dict[str, Any]) -> list[Image.Image]:
        """Return the picture, made smaller where it is too large."""
        return [read_picture(part, self._pixels)]

    def show(self, media: list[Image.Image]) -> Shown:
        """Return what the model is shown."""
        try:
            made = self._processor(images=media, return_tensors="pt")
        except ValueError as error:
            raise EngineError(f"The model cannot take the picture: {error}") from error
        counts = [int(grid.prod()) // self._merged for grid in made["image_grid_thw"]]
        return Shown(dict(made), counts, [mark_of(image.tobytes()) for image in media])


_WANTED = ("input_features", "feature_attention_mask")

"""Tensors that the model takes."""


class Sounds(Sense):
    """Prepares the recordings for one model: one channel, the model's own rate, in stretches of what it hears at once.

    Args:
        processor: transformers' processor of the model.
        token: the token in whose place a recording stands.
        context: the context window in tokens.
    """

    kind = "input_audio"
    place = {"type": "audio"}

    def __init__(self, processor: Any, token: int, context: int) -> None:
        super().__init__(token)
        self._processor = processor
        self._rate = int(processor.feature_extractor.sampling_rate)
        self._stretch = int(processor.feature_extractor.n_samples)
        self._longest = longest(context)

    @property
    def template(self) -> str | None:
        """The chat template with a place for recordings: the tokenizer's own has none."""
        return self._processor.chat_template or None

    def read(self, part: dict[str, Any]) -> list[Any]:
        """Return the recording's samples; a long one is cut into stretches."""
        import soxr

        sound = read_sound(part, self._longest)
        samples = soxr.resample(sound.samples, sound.rate, self._rate)
        cut = [samples[start : start + self._stretch] for start in range(0, len(samples), self._stretch)]
        # a rest of less than a tenth of a second cannot be heard
        return [stretch for stretch in cut if len(stretch) >= SHORTEST * self._rate] or [samples]

    def show(self, media: list[Any]) -> Shown:
        """Return what the model is played."""
        texts = [self._processor.audio_token] * len(media)
        try:
            made = self._processor(text=texts, audio=media, sampling_rate=self._rate, padding=True, return_tensors="pt")
        except ValueError as error:
            raise EngineError(f"The model cannot take the recording: {error}") from error
        counts = [int((row == self.token).sum()) for row in made["input_ids"]]
        return Shown({name: made[name] for name in _WANTED}, counts, [mark_of(part.tobytes()) for part in media])
