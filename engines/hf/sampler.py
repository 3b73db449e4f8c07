"""Draw the next token as transformers' own processors do, without sorting the whole vocabulary."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from qwendesk.engines.catalogue import Sampling


class Sampler:
    """Draws the tokens of one answer with its own settings and seed."""

    def __init__(self, sampling: Sampling, seed: int | None, tokens: Iterable[int]) -> None:
        self._sampling = sampling
        self._random = torch.Generator()
        self._random.manual_seed(seed) if seed is not None else self._random.seed()
        self._seen: set[int] = set()
        self._penalised = torch.empty(0, dtype=torch.long)
        if sampling.repetition_penalty != 1.0:
            self.see(tokens)

    def see(self, tokens: Iterable[int]) -> None:
        """Note tokens of the prompt or the answer: they are drawn less often from now on."""
        fresh = {token for token in tokens if token not in self._seen}
        if fresh and self._sampling.repetition_penalty != 1.0:
            self._seen |= fresh
            self._penalised = torch.cat([self._penalised, torch.tensor(sorted(fresh), dtype=torch.long)])

    def draw(self, logits: Tensor) -> int:
        """Return the next token; ``logits`` (one for each token of the vocabulary) are changed."""
        self._penalise(logits)
        token = self._choose(logits)
        self.see((token,))
        return token

    def _penalise(self, logits: Tensor) -> None:
        if not self._seen:
            return
        penalty, places = self._sampling.repetition_penalty, self._penalised.to(logits.device)
        scores = logits[places]
        logits[places] = torch.where(scores < 0, scores * penalty, scores / penalty)

    def _choose(self, logits: Tensor) -> int:
        sampling = self._sampling
        if sampling.temperature <= 0:
            return int(logits.argmax())
        places, chances = self._chances(logits)
        # drawn in the order of their numbers: in the order of their chances, a rounding error that swaps two of
        # them would change what a seed leads to
        order = places.argsort()
        drawn = torch.multinomial(chances[order], 1, generator=self._random)
        return int(places[order[drawn]])

    def _chances(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens that may be drawn, and their chances."""
        sampling = self._sampling
        count = min(sampling.top_k, logits.shape[0]) if sampling.top_k > 0 else logits.shape[0]
        best = logits.topk(count)
        chances = (best.values.float().cpu() / sampling.temperature).softmax(0)
        # a token stays while those before it do not yet make up top_p; the first one always does
        before = chances.cumsum(0) - chances
        chances[(before >= sampling.top_p) & (before > 0)] = 0.0
        return best.indices.cpu(), chances
