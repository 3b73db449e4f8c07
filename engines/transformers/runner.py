"""One forward pass of a loaded model over many sequences."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from qwendesk.engines.transformers.attention import PackedBatch, SequenceCache
from qwendesk.engines.transformers.prefix_cache import CroppableCache
from qwendesk.engines.transformers.sequence import Sequence

C = TypeVar("C", bound=CroppableCache)


class Runner(ABC, Generic[C]):
    """Runs forward passes of a model."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @abstractmethod
    def new_cache(self) -> C:
        """Return an empty cache."""

    @abstractmethod
    def forward(self, work: list[tuple[Sequence[C], int]]) -> list[Tensor | None]:
        """Process the given number of new tokens of each sequence.

        Returns:
            The logits of the next token for each sequence; None for a sequence with unprocessed tokens.
        """


class PackedRunner(Runner[SequenceCache]):
    """Processes all sequences in one forward pass."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._has_vision = getattr(model.config, "image_token_id", None) is not None
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._selects_logits = "logits_to_keep" in inspect.signature(base.forward).parameters

    def new_cache(self) -> SequenceCache:
        """Return an empty cache."""
        return SequenceCache()

    def forward(self, work: list[tuple[Sequence[SequenceCache], int]]) -> list[Tensor | None]:
        """Process the new tokens of all sequences in one pass, and each prompt with media in a separate one."""
        separate = {id(sequence): self._media(sequence) for sequence, _ in work if sequence.is_unprocessed_media}
        rest = [(sequence, count) for sequence, count in work if id(sequence) not in separate]
        rows = iter(self._pack(rest) if rest else ())
        return [separate[id(sequence)] if id(sequence) in separate else next(rows) for sequence, _ in work]

    def _media(self, sequence: Sequence[SequenceCache]) -> Tensor:
        device, count = self.model.device, len(sequence.tokens)
        pack = PackedBatch([sequence.cache], [count])
        tokens = torch.tensor([sequence.tokens], device=device)
        media = {name: part.to(device) for name, part in sequence.request.media.items()}
        # the model computes the positions of media tokens
        logits = self._logits(1, input_ids=tokens, qwendesk_pack=pack, **media, **self._positions(tokens))[-1].float()
        pack.advance()
        if self._has_vision:
            sequence.cache.shift = int(self.model.model.rope_deltas.reshape(-1)[0])
        return logits

    def _positions(self, tokens: Tensor) -> dict[str, Tensor]:
        """Return the argument for the tokens' positions; a model with vision computes them from the image tokens."""
        if self._has_vision:
            return {"mm_token_type_ids": (tokens == self.model.config.image_token_id).int()}
        return {"position_ids": torch.arange(tokens.shape[1], device=tokens.device)[None]}

    def _pack(self, work: list[tuple[Sequence[SequenceCache], int]]) -> list[Tensor | None]:
        device = self.model.device
        pack = PackedBatch([sequence.cache for sequence, _ in work], [count for _, count in work])
        tokens, positions, last = _row(work)
        wanted = torch.tensor([at for at in last if at is not None], dtype=torch.long, device=device)
        logits = self._logits(
            # at least one row, because models fail on an empty selection
            wanted if len(wanted) else 1,
            input_ids=torch.tensor([tokens], device=device),
            position_ids=torch.tensor([positions], device=device),
            qwendesk_pack=pack,
        )
        pack.advance()
        # some models ignore the selection and return all rows
        chosen = logits if len(logits) == max(1, len(wanted)) else logits[wanted]
        rows = iter(chosen.float() if len(wanted) else ())
        return [None if at is None else next(rows) for at in last]

    def _logits(self, keep: Any, **inputs: Any) -> Tensor:
        """Return the logits of some rows; ``keep`` selects them by index, or by number from the end."""
        if self._selects_logits:
            logits: Tensor = self.model(use_cache=False, logits_to_keep=keep, **inputs).logits[0]
            return logits
        # this model computes the logits of the whole prompt, which takes hundreds of megabytes
        states = self.model.model(use_cache=False, **inputs).last_hidden_state[0]
        made: Tensor = self.model.lm_head(states[-keep:] if isinstance(keep, int) else states[keep])
        return made


class PlainCache:
    """transformers' cache for any kind of layer."""

    def __init__(self, config: Any) -> None:
        from transformers import DynamicCache

        self.layers_cache: Any = DynamicCache(config=config)
        self.length = 0

    @property
    def bytes(self) -> int:
        """Memory in bytes."""
        return sum(part.numel() * part.element_size() for layer in self.layers_cache.layers for part in _tensors(layer))

    def reserve(self, tokens: int) -> None:
        """Do nothing: the cache grows as needed."""

    def trim(self) -> None:
        """Do nothing: the cache has no spare memory."""

    def crop(self, length: int) -> bool:
        """Keep the first ``length`` tokens only; return False for layers that cannot be cropped."""
        if length == self.length:
            return True
        if not all(getattr(layer, "is_croppable", False) for layer in self.layers_cache.layers):
            return False
        self.layers_cache.crop(length - self.length)
        self.length = length
        return True


class PlainRunner(Runner[PlainCache]):
    """Processes each sequence separately, for architectures whose layers keep more than keys and values."""

    def new_cache(self) -> PlainCache:
        """Return an empty cache."""
        return PlainCache(self.model.config.get_text_config())

    def forward(self, work: list[tuple[Sequence[PlainCache], int]]) -> list[Tensor | None]:
        """Process the new tokens of each sequence in a separate pass."""
        return [self._one(sequence, count) for sequence, count in work]

    def _one(self, sequence: Sequence[PlainCache], count: int) -> Tensor | None:
        cache, device = sequence.cache, self.model.device
        end = cache.length + count
        out = self.model(
            input_ids=torch.tensor([sequence.tokens[cache.length : end]], device=device),
            position_ids=torch.arange(cache.length, end, device=device)[None],
            past_key_values=cache.layers_cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache.length = end
        return out.logits[0, -1].float() if end == len(sequence.tokens) else None


def _row(work: list[tuple[Sequence[SequenceCache], int]]) -> tuple[list[int], list[int], list[int | None]]:
    """Return the tokens, their positions in their sequences, and the index of each sequence's last token."""
    tokens: list[int] = []
    positions: list[int] = []
    last: list[int | None] = []
    for sequence, count in work:
        start = sequence.cache.length
        tokens += sequence.tokens[start : start + count]
        positions += range(start + sequence.cache.shift, start + sequence.cache.shift + count)
        last.append(len(tokens) - 1 if start + count == len(sequence.tokens) else None)
    return tokens, positions, last


def _tensors(layer: Any) -> list[Tensor]:
    return [part for part in vars(layer).values() if isinstance(part, Tensor)]
