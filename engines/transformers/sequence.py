"""One answer in progress: sample its tokens, decode its text, find its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Literal, TypeVar

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from torch import Tensor

from qwendesk.engines.transformers.prefix_cache import CroppableCache
from qwendesk.engines.transformers.request import GenerationRequest, TokenPiece
from qwendesk.engines.transformers.vocabulary import Grammar, Vocabulary
from qwendesk.models.card import Sampling

C = TypeVar("C", bound=CroppableCache)


class Sampler:
    """Samples the tokens of one answer like transformers' logits processors, without sorting the whole vocabulary."""

    def __init__(self, sampling: Sampling, seed: int | None, tokens: Iterable[int]) -> None:
        self._sampling = sampling
        self._random = torch.Generator()
        self._random.manual_seed(seed) if seed is not None else self._random.seed()
        self._penalised_set: set[int] = set()
        self._penalised = torch.empty(0, dtype=torch.long)
        if sampling.repetition_penalty != 1.0:
            self.penalise(tokens)

    def penalise(self, tokens: Iterable[int]) -> None:
        """Apply the repetition penalty to tokens of the prompt or the answer from now on."""
        fresh = {token for token in tokens if token not in self._penalised_set}
        if fresh and self._sampling.repetition_penalty != 1.0:
            self._penalised_set |= fresh
            self._penalised = torch.cat([self._penalised, torch.tensor(sorted(fresh), dtype=torch.long)])

    def sample(self, logits: Tensor) -> int:
        """Return the next token; ``logits`` (one for each token of the vocabulary) are modified."""
        token = self._choose(logits)
        self.penalise((token,))
        return token

    def candidates(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens that can be sampled and their weights, which need not add up to 1.

        Args:
            logits: one for each token of the vocabulary; they are modified by the repetition penalty.
        """
        self._apply_penalty(logits)
        sampling = self._sampling
        count = min(sampling.top_k, logits.shape[0]) if sampling.top_k > 0 else logits.shape[0]
        best = logits.topk(count)
        probabilities = (best.values.float().cpu() / sampling.temperature).softmax(0)
        # a token is kept while the sum before it is below top_p; the first one is always kept
        before = probabilities.cumsum(0) - probabilities
        probabilities[(before >= sampling.top_p) & (before > 0)] = 0.0
        return best.indices.cpu(), probabilities

    def _apply_penalty(self, logits: Tensor) -> None:
        if not self._penalised_set:
            return
        penalty, places = self._sampling.repetition_penalty, self._penalised.to(logits.device)
        scores = logits[places]
        logits[places] = torch.where(scores < 0, scores * penalty, scores / penalty)

    def _choose(self, logits: Tensor) -> int:
        if self._sampling.temperature <= 0:
            self._apply_penalty(logits)
            return int(logits.argmax())
        tokens, probabilities = self.candidates(logits)
        # sampled in the order of token ids: in the order of probabilities a rounding error could swap two tokens and
        # change the result of a seed
        order = tokens.argsort()
        drawn = torch.multinomial(probabilities[order], 1, generator=self._random)
        return int(tokens[order[drawn]])


class TextStream:
    """Decodes the text of one answer and finds its stop texts.

    Args:
        tokenizer: the model's tokenizer.
        silent: tokens that are not part of the text.
        stop: texts that end the answer and are not part of it.
    """

    def __init__(self, tokenizer: Tokenizer, silent: frozenset[int], stop: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._silent = silent
        self._stop = tuple(word for word in stop if word)
        self._decoder = DecodeStream(skip_special_tokens=False)
        self._held = ""
        self.stopped = False
        """Whether a stop text was found."""

    def feed(self, token: int) -> str:
        """Process the next token; return the text that can be released."""
        if token in self._silent or self.stopped:
            return ""
        self._held += self._decoder.step(self._tokenizer, token) or ""
        return self._release(final=False)

    def finish(self) -> str:
        """Return the remaining text."""
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
        """Return the number of characters at the end that may be the beginning of a stop text."""
        longest = min(len(self._held), max(map(len, self._stop), default=1) - 1)
        return next((n for n in range(longest, 0, -1) if any(w.startswith(self._held[-n:]) for w in self._stop)), 0)


class Sequence(Generic[C]):
    """The state of one answer; used in the model's thread only."""

    def __init__(self, request: GenerationRequest, vocabulary: Vocabulary, cache: C, grammar: Grammar | None) -> None:
        self.request = request
        self.cache = cache
        self.tokens = list(request.tokens)
        """Prompt and answer; tokens after ``cache.length`` are not processed yet."""
        self.keys = list(request.keys) if request.keys is not None else self.tokens
        """The keys of the prefix cache."""
        self.finished = False
        self._cached = cache.length
        self._out = 0
        self._thinking = _Thinking(request, vocabulary)
        self._sampler = Sampler(request.sampling, request.seed, request.tokens)
        self._text = TextStream(vocabulary.backend, vocabulary.silent_tokens, request.stop)
        self._grammar = grammar
        self._ends = vocabulary.end_tokens
        self._close_thinking()

    @property
    def is_unprocessed_media(self) -> bool:
        """Whether its media are not processed yet; they are processed with the whole prompt."""
        return bool(self.request.media) and not self.cache.length

    @property
    def waiting(self) -> int:
        """Number of tokens that are not processed yet."""
        return len(self.tokens) - self.cache.length

    def take(self, logits: Tensor) -> None:
        """Sample the next token and emit its text."""
        if self._grammar and not self._thinking.inside:
            self._grammar.restrict(logits)
        token = self._sampler.sample(logits)
        if self._grammar and not self._thinking.inside:
            self._grammar.take(token)
        self._accept(token)
        self._close_thinking()

    def fail(self, error: Exception) -> None:
        """End the answer with an error."""
        self.finished = True
        self.request.emit(TokenPiece(error=error))

    def _close_thinking(self) -> None:
        """Close thinking whose budget is used up."""
        for token in self._thinking.closing():
            if not self.finished:
                self._sampler.penalise((token,))
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
            self.request.emit(TokenPiece(text))

    def _finish(self, reason: Literal["stop", "length"], text: str) -> None:
        self.finished = True
        self.request.emit(TokenPiece(text, reason, self._out, self._cached))


class _Thinking:
    """Counts the thinking tokens and closes the thinking when its budget is used up."""

    def __init__(self, request: GenerationRequest, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._left = request.think_budget
        self._began = False
        self.inside = request.in_thinking
        """Whether the next token is thinking."""

    def follow(self, token: int) -> None:
        """Record a token."""
        if token == self._vocabulary.think_close_token:
            self.inside = False
        elif self.inside:
            self._left = None if self._left is None else self._left - 1
        elif token == self._vocabulary.think_open_token and not self._began:
            self.inside = True
        self._began = True

    def closing(self) -> tuple[int, ...]:
        """Return the tokens that close the thinking; none while budget is left."""
        if not self.inside or self._left is None or self._left > 0:
            return ()
        self._left = None
        return self._vocabulary.think_end_tokens
