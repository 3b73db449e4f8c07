"""Recordings of a message, as the tensors and tokens that an audio model is played."""

from __future__ import annotations

from typing import Any

from qwendesk.engines.hf.sense import Sense, Shown, mark_of
from qwendesk.engines.sound import SHORTEST, longest, read_sound
from qwendesk.errors import EngineError

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
