"""Pictures of a message, as the tensors and tokens that a vision model is shown."""

from __future__ import annotations

from typing import Any

from PIL import Image

from qwendesk.engines.hf.sense import Sense, Shown, mark_of
from qwendesk.engines.pictures import read_picture
from qwendesk.errors import EngineError

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
