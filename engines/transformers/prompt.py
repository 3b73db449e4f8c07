"""Render messages to the tokens of a prompt, by the chat template of the model's tokenizer.

Images and recordings are converted to the tensors and tokens of the model.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage
from PIL import Image

from qwendesk.engines.chat import GenerationOptions
from qwendesk.engines.context_window import context_exceeded, drop_oldest, limit_by_length
from qwendesk.engines.media import MIN_RECORDING_SECONDS, max_recording_seconds, read_image, read_recording
from qwendesk.engines.message_format import mark_control_tokens, openai_messages, openai_tools, split_marks
from qwendesk.engines.stream.thinking import THINK_OPEN
from qwendesk.engines.transformers.vocabulary import Vocabulary
from qwendesk.errors import EngineError
from qwendesk.models.card import ModelCard

_IMAGE_CONTEXT_FRACTION = 4
"""Divisor of the context window: an image is reduced to take at most this fraction of it."""
_MODEL_INPUTS = ("input_features", "feature_attention_mask")
"""Names of the model's input tensors."""
_MIN_ANSWER_TOKENS = 256
"""Tokens of the context window that are reserved for the answer."""


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


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits into the context window."""

    tokens: list[int]
    ends_in_thinking: bool = False
    """Whether it ends inside the thinking."""
    dropped: int = 0
    """Number of the oldest messages that were dropped."""
    media: ModalityInput | None = None
    """Its images or recordings."""
    keys: list[int] | None = None
    """The tokens, with the key of a medium in place of its tokens; None without media."""


class PromptRenderer:
    """Renders the prompts of one model; its methods block and are called in a thread."""

    def __init__(self, vocabulary: Vocabulary, card: ModelCard, context: int, modality: Modality | None = None) -> None:
        self._modality = modality
        self._vocabulary = vocabulary
        self._card = card
        self._context = context

    def fit(self, messages: list[BaseMessage], options: GenerationOptions) -> Prompt:
        """Return a prompt that fits into the context window, without the oldest messages if needed.

        Raises:
            EngineError: the newest message alone is too long.
        """
        room = self._context - min(options.max_tokens, max(_MIN_ANSWER_TOKENS, self._context // 4))
        kept = limit_by_length(messages, self._context)
        messages, dropped = kept, len(messages) - len(kept)
        while True:
            text, media = self._render(messages, list(options.tools), options.think)
            tokens = self._encode(text)
            shown = self._modality.convert(media) if self._modality and media else None
            count = len(tokens) + sum(shown.counts if shown else ())
            if count <= room:
                return self._prompt(tokens, shown, text.rstrip().endswith(THINK_OPEN), dropped)
            kept = drop_oldest(messages, excess=count - room, total=count)
            if len(kept) == len(messages):
                raise context_exceeded(count, room)
            dropped += len(messages) - len(kept)
            messages = kept

    def _prompt(self, tokens: list[int], shown: ModalityInput | None, thinks: bool, dropped: int) -> Prompt:
        if shown is None or self._modality is None:
            return Prompt(tokens, thinks, dropped)
        media_token = self._modality.token
        if tokens.count(media_token) != len(shown.counts):
            raise EngineError(f"The chat template of {self._card.name!r} does not support images or recordings.")
        spread, keys, media = [], [], iter(zip(shown.counts, shown.keys, strict=True))
        for token in tokens:
            count, key = next(media) if token == media_token else (1, token)
            spread += [token] * count
            keys += [key] * count
        return Prompt(spread, thinks, dropped, shown, keys)

    def count(self, messages: list[BaseMessage], tools: list[dict[str, Any]]) -> int:
        """Return the number of tokens of the whole prompt."""
        text, media = self._render(messages, tools, None)
        shown = sum(self._modality.convert(media).counts) - len(media) if self._modality and media else 0
        return len(self._encode(text)) + shown

    def _render(
        self, messages: list[BaseMessage], tools: list[dict[str, Any]], think: bool | None
    ) -> tuple[str, list[Any]]:
        """Return the prompt as text, with foreign control tokens marked, and its media."""
        media: list[Any] = []
        values = {"enable_thinking": think} if think is not None and self._card.thinking == "hybrid" else {}
        written = [
            self._for_template(message, media) for message in openai_messages(messages, text=mark_control_tokens)
        ]
        try:
            text = self._vocabulary.tokenizer.apply_chat_template(
                written,
                tools=openai_tools(tools, text=mark_control_tokens) or None,
                add_generation_prompt=True,
                tokenize=False,
                **values,
            )
            return str(text), media
        except Exception as error:  # templates raise errors of any class
            raise EngineError(f"The chat template of {self._card.name!r} refuses these messages: {error}") from error

    def _encode(self, text: str) -> list[int]:
        return [token for part, plain in split_marks(text) for token in self._vocabulary.encode(part, plain=plain)]

    def _for_template(self, message: dict[str, Any], media: list[Any]) -> dict[str, Any]:
        """Return a message for Qwen's chat templates: arguments of calls as objects, media apart."""
        if isinstance(message["content"], list):
            parts = [made for part in message["content"] for made in self._parts(part, media)]
            texts = [part["text"] for part in parts if part["type"] == "text"]
            message["content"] = parts if len(texts) < len(parts) else "\n".join(texts)
        for call in message.get("tool_calls", ()):
            function = call["function"]
            function["arguments"] = json.loads(function["arguments"])
        return message

    def _parts(self, part: dict[str, Any], media: list[Any]) -> list[dict[str, Any]]:
        if part["type"] == "text":
            return [part]
        if self._modality is None or part["type"] != self._modality.part_type:
            raise EngineError(
                f"{self._card.name!r} does not accept {part['type']!r} in a message: choose a model that does."
            )
        read = self._modality.read(part)
        media += read
        return [dict(self._modality.placeholder) for _ in read]
