"""One answer in the making: its tokens, its text, and when it ends."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from torch import Tensor

from qwendesk.engines.hf.grammar import Grammar
from qwendesk.engines.hf.prefix import Keepable
from qwendesk.engines.hf.request import Piece, Request
from qwendesk.engines.hf.sampler import Sampler
from qwendesk.engines.hf.text import TextStream
from qwendesk.engines.hf.vocabulary import Vocabulary

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
