"""Draw the next token as transformers' own processors do, without sorting the whole vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Literal, TypeVar

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from torch import Tensor

from qwendesk.engines.transformers.prefix_cache import Keepable
from qwendesk.engines.transformers.request import Piece, Request
from qwendesk.engines.transformers.vocabulary import Grammar, Vocabulary
from qwendesk.models.card import Sampling


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


class TextStream:
    """The text of one answer.

    Args:
        tokenizer: the model's tokenizer.
        silent: tokens that are never shown.
        stop: texts that end the answer; they are not part of it.
    """

    def __init__(self, tokenizer: Tokenizer, silent: frozenset[int], stop: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._silent = silent
        self._stop = tuple(word for word in stop if word)
        self._decoder = DecodeStream(skip_special_tokens=False)
        self._held = ""
        self.stopped = False
        """Whether a stop word has come."""

    def feed(self, token: int) -> str:
        """Take the next token; return the text that is certain by now."""
        if token in self._silent or self.stopped:
            return ""
        self._held += self._decoder.step(self._tokenizer, token) or ""
        return self._release(final=False)

    def finish(self) -> str:
        """Return what was held back."""
        return "" if self.stopped else self._release(final=True)

    def _release(self, final: bool) -> str:
        found = [at for word in self._stop if (at := self._held.find(word)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        kept = 0 if final else self._partial()
        cut = len(self._held) - kept
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def _partial(self) -> int:
        """Return how many characters at the end may be the beginning of a stop word."""
        longest = min(len(self._held), max(map(len, self._stop), default=1) - 1)
        return next((n for n in range(longest, 0, -1) if any(w.startswith(self._held[-n:]) for w in self._stop)), 0)


C = TypeVar("C", bound=Keepable)


class Sequence(Generic[C]):
    """The state of one answer; used in the model's thread only."""

    def __init__(self, request: Request, vocabulary: Vocabulary, cache: C, grammar: Grammar | None) -> None:
        self.request = request
        self.cache = cache
        self.tokens = list(request.tokens)
        """Prompt and answer; those behind ``cache.length`` have not been seen by the model yet."""
        self.keys = list(request.keys) if request.keys is not None else self.tokens
        """What the caches of other answers are compared with."""
        self.finished = False
        self._cached = cache.length
        self._out = 0
        self._thinking = _Thinking(request, vocabulary)
        self._sampler = Sampler(request.sampling, request.seed, request.tokens)
        self._text = TextStream(vocabulary.backend, vocabulary.silent, request.stop)
        self._grammar = grammar
        self._ends = vocabulary.ends
        self._close_thinking()

    @property
    def is_unseen(self) -> bool:
        """Whether its media have not been shown yet: they go together with the whole prompt."""
        return bool(self.request.media) and not self.cache.length

    @property
    def waiting(self) -> int:
        """How many tokens the model has not seen yet."""
        return len(self.tokens) - self.cache.length

    def take(self, logits: Tensor) -> None:
        """Draw the next token and hand over what it says."""
        if self._grammar and not self._thinking.inside:
            self._grammar.restrict(logits)
        token = self._sampler.draw(logits)
        if self._grammar and not self._thinking.inside:
            self._grammar.take(token)
        self._accept(token)
        self._close_thinking()

    def fail(self, error: Exception) -> None:
        """End it without an answer."""
        self.finished = True
        self.request.emit(Piece(error=error))

    def _close_thinking(self) -> None:
        """Close thinking whose budget is used up."""
        for token in self._thinking.closing():
            if not self.finished:
                self._sampler.see((token,))
                self._accept(token)

    def _accept(self, token: int) -> None:
        self._out += 1
        self.tokens.append(token)
        if self.keys is not self.tokens:
            self.keys.append(token)
        self._thinking.follow(token)
        if token in self._ends:
            self._finish("stop", self._text.finish())
            return
        text = self._text.feed(token)
        if self._text.stopped:
            self._finish("stop", text)
        elif self._out >= self.request.max_tokens:
            self._finish("length", text + self._text.finish())
        elif text:
            self.request.emit(Piece(text))

    def _finish(self, reason: Literal["stop", "length"], text: str) -> None:
        self.finished = True
        self.request.emit(Piece(text, reason, self._out, self._cached))


class _Thinking:
    """Counts the tokens of the thinking and closes it when its budget is used up."""

    def __init__(self, request: Request, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._left = request.think_budget
        self._began = False
        self.inside = request.thinks
        """Whether the next token is thinking."""

    def follow(self, token: int) -> None:
        """Take note of a token."""
        if token == self._vocabulary.think_close:
            self.inside = False
        elif self.inside:
            self._left = None if self._left is None else self._left - 1
        elif token == self._vocabulary.think_open and not self._began:
            self.inside = True
        self._began = True

    def closing(self) -> tuple[int, ...]:
        """Return the tokens that have to follow now: none while there is budget left."""
        if not self.inside or self._left is None or self._left > 0:
            return ()
        self._left = None
        return self._vocabulary.closing
