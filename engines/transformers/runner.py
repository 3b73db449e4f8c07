"""One forward pass of a loaded model over many sequences, for every architecture."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from qwendesk.engines.transformers.attention import Pack, SequenceCache
from qwendesk.engines.transformers.prefix_cache import Keepable
from qwendesk.engines.transformers.sequence import Sequence

C = TypeVar("C", bound=Keepable)


class Runner(ABC, Generic[C]):
    """Shows a model the tokens it has not seen."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @abstractmethod
    def new_cache(self) -> C:
        """Return an empty cache."""

    @abstractmethod
    def forward(self, work: list[tuple[Sequence[C], int]]) -> list[Tensor | None]:
        """Show the model so many more tokens of each sequence.

        Returns:
            The scores of the next token, for each sequence that the model has now seen to its end.
        """


class PackedRunner(Runner[SequenceCache]):
    """All sequences in one pass."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._sees = getattr(model.config, "image_token_id", None) is not None
        whole = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._chooses = "logits_to_keep" in inspect.signature(whole.forward).parameters

    def new_cache(self) -> SequenceCache:
        """Return an empty cache."""
        return SequenceCache()

    def forward(self, work: list[tuple[Sequence[SequenceCache], int]]) -> list[Tensor | None]:
        """Show the model the new tokens of all sequences in one pass, and each prompt with media in its own."""
        seen = {id(sequence): self._media(sequence) for sequence, _ in work if sequence.is_unseen}
        rest = [(sequence, count) for sequence, count in work if id(sequence) not in seen]
        rows = iter(self._pack(rest) if rest else ())
        return [seen[id(sequence)] if id(sequence) in seen else next(rows) for sequence, _ in work]

    def _media(self, sequence: Sequence[SequenceCache]) -> Tensor:
        device, count = self.model.device, len(sequence.tokens)
        pack = Pack([sequence.cache], [count])
        tokens = torch.tensor([sequence.tokens], device=device)
        media = {name: part.to(device) for name, part in sequence.request.media.items()}
        # the model finds the places of the media's tokens by itself
        scores = self._scores(1, input_ids=tokens, qwendesk_pack=pack, **media, **self._places(tokens))[-1].float()
        pack.advance()
        if self._sees:
            sequence.cache.shift = int(self.model.model.rope_deltas.reshape(-1)[0])
        return scores

    def _places(self, tokens: Tensor) -> dict[str, Tensor]:
        """Return what tells the tokens' places; a picture moves those behind it, and the model works out how far."""
        if self._sees:
            return {"mm_token_type_ids": (tokens == self.model.config.image_token_id).int()}
        return {"position_ids": torch.arange(tokens.shape[1], device=tokens.device)[None]}

    def _pack(self, work: list[tuple[Sequence[SequenceCache], int]]) -> list[Tensor | None]:
        device = self.model.device
        pack = Pack([sequence.cache for sequence, _ in work], [count for _, count in work])
        tokens, places, last = _row(work)
        wanted = torch.tensor([at for at in last if at is not None], dtype=torch.long, device=device)
        scores = self._scores(
            # one row at least, so that no model meets an empty choice
            wanted if len(wanted) else 1,
            input_ids=torch.tensor([tokens], device=device),
            position_ids=torch.tensor([places], device=device),
            qwendesk_pack=pack,
        )
        pack.advance()
        # some models return all rows, whatever was asked for
        chosen = scores if len(scores) == max(1, len(wanted)) else scores[wanted]
        rows = iter(chosen.float() if len(wanted) else ())
        return [None if at is None else next(rows) for at in last]

    def _scores(self, keep: Any, **inputs: Any) -> Tensor:
        """Return the scores of some rows; ``keep`` tells which, or how many at the end."""
        if self._chooses:
            scores: Tensor = self.model(use_cache=False, logits_to_keep=keep, **inputs).logits[0]
            return scores
        # this one would work out the scores of a whole prompt, hundreds of megabytes of them
        states = self.model.model(use_cache=False, **inputs).last_hidden_state[0]
        made: Tensor = self.model.lm_head(states[-keep:] if isinstance(keep, int) else states[keep])
        return made


class PlainCache:
    """A cache of transformers' own, of whatever kind the model needs."""

    def __init__(self, config: Any) -> None:
        from transformers import DynamicCache

        self.kept: Any = DynamicCache(config=config)
        self.length = 0

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(part.numel() * part.element_size() for layer in self.kept.layers for part in _tensors(layer))

    def reserve(self, tokens: int) -> None:
        """Do nothing: it grows by itself."""

    def trim(self) -> None:
        """Do nothing: there is no spare room."""

    def crop(self, length: int) -> bool:
        """Forget what is behind the first ``length`` tokens; not every kind can."""
        if length == self.length:
            return True
        if not all(getattr(layer, "is_croppable", False) for layer in self.kept.layers):
            return False
        self.kept.crop(length - self.length)
        self.length = length
        return True


class PlainRunner(Runner[PlainCache]):
    """One sequence after the other, for architectures whose layers keep more than keys and values."""

    def new_cache(self) -> PlainCache:
        """Return an empty cache."""
        return PlainCache(self.model.config.get_text_config())

    def forward(self, work: list[tuple[Sequence[PlainCache], int]]) -> list[Tensor | None]:
        """Show the model the new tokens of each sequence in a pass of its own."""
        return [self._one(sequence, count) for sequence, count in work]

    def _one(self, sequence: Sequence[PlainCache], count: int) -> Tensor | None:
        cache, device = sequence.cache, self.model.device
        end = cache.length + count
        out = self.model(
            input_ids=torch.tensor([sequence.tokens[cache.length : end]], device=device),
            position_ids=torch.arange(cache.length, end, device=device)[None],
            past_key_values=cache.kept,
            use_cache=True,
            logits_to_keep=1,
        )
        cache.length = end
        return out.logits[0, -1].float() if end == len(sequence.tokens) else None


def _row(work: list[tuple[Sequence[SequenceCache], int]]) -> tuple[list[int], list[int], list[int | None]]:
    """Return the tokens, their places in their sequences, and where each sequence's own last token lies."""
    tokens: list[int] = []
    places: list[int] = []
    last: list[int | None] = []
    for sequence, count in work:
        start = sequence.cache.length
        tokens += sequence.tokens[start : start + count]
        places += range(start + sequence.cache.shift, start + sequence.cache.shift + count)
        last.append(len(tokens) - 1 if start + count == len(sequence.tokens) else None)
    return tokens, places, last


def _tensors(layer: Any) -> list[Tensor]:
    return [part for part in vars(layer).values() if isinstance(part, Tensor)]
