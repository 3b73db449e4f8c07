"""Pictures of a message, as the tensors and tokens that a vision model is shown."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from PIL import Image

from qwendesk.engines.pictures import read_picture
from qwendesk.errors import EngineError

_SHARE = 4
"""A picture takes at most this part of the context window; a larger one is made smaller."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The pictures of one prompt, ready for the model."""

    media: dict[str, Any]
    """Tensors by the names of the model's own arguments."""
    counts: list[int]
    """How many tokens stand for each picture."""
    marks: list[int]
    """A negative number for each picture, which tells it from others where only tokens are compared."""


class Pictures:
    """Prepares the pictures for one model.

    Args:
        processor: transformers' image processor of the model.
        token: the token in whose place a picture stands.
        context: the context window in tokens.
    """

    def __init__(self, processor: Any, token: int, context: int) -> None:
        self.token = token
        self._processor = processor
        side = int(processor.patch_size) * int(processor.merge_size)
        self._pixels = context // _SHARE * side * side
        self._merged = int(processor.merge_size) ** 2

    def read(self, part: dict[str, Any]) -> Image.Image:
        """Return the picture of a message's part, made smaller where it is too large.

        Raises:
            EngineError: it is no picture, one of too many pixels, or not in the message itself.
        """
        return read_picture(part, self._pixels)

    def show(self, images: list[Image.Image]) -> Shown:
        """Return what the model is shown."""
        try:
            made = self._processor(images=images, return_tensors="pt")
        except ValueError as error:
            raise EngineError(f"The model cannot take the picture: {error}") from error
        counts = [int(grid.prod()) // self._merged for grid in made["image_grid_thw"]]
        marks = [-1 - int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:6]) for image in images]
        return Shown(dict(made), counts, marks)
