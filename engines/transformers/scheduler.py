"""Continuous batching: the thread of one model, whose answers join and leave the batch between tokens."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from qwendesk.engines.transformers.prefix_cache import CroppableCache, PrefixCache
from qwendesk.engines.transformers.request import GenerationRequest, TokenPiece
from qwendesk.engines.transformers.runner import Runner
from qwendesk.engines.transformers.sequence import Sequence
from qwendesk.engines.transformers.vocabulary import GrammarFactory, Vocabulary
from qwendesk.errors import EngineFailed, EngineUnavailable, QwendeskError, reason

C = TypeVar("C", bound=CroppableCache)
MAX_BATCH = 8
"""Maximum number of answers in the batch; further requests wait."""
_PROMPT_CHUNK_TOKENS = 512
"""Prompt tokens in one forward pass."""
_SHARED_PROMPT_CHUNK_TOKENS = 128
"""Prompt tokens in a forward pass with other answers in it."""
_RESERVED_ANSWER_TOKENS = 256
"""Tokens of an answer for which memory is allocated at its start."""
_CLOSE_TIMEOUT_SECONDS = 60.0
"""Time that ``close`` waits for a running forward pass."""


class Scheduler(Generic[C]):
    """Generates the answers of one model in one thread.

    Args:
        runner: the model.
        vocabulary: its tokenizer.
        prefixes: the caches of finished answers.
        threads: CPU threads of a forward pass.
    """

    def __init__(self, runner: Runner[C], vocabulary: Vocabulary, prefixes: PrefixCache[C], threads: int) -> None:
        self._runner: Runner[C] | None = runner
        self._vocabulary = vocabulary
        self._grammars = GrammarFactory(vocabulary)
        self._prefixes = prefixes
        self._threads = threads
        self._waiting: deque[GenerationRequest] = deque()
        self._active: list[Sequence[C]] = []
        self._changed = threading.Condition()
        self._closed = self._clear_requested = False
        self._pass_started: float | None = None
        """Start of the running forward pass; None between passes."""
        self._thread = threading.Thread(target=self._run, name="qwendesk-transformers", daemon=True)
        self._thread.start()

    @property
    def runner(self) -> Runner[C] | None:
        """The runner of the model; None after the model was freed."""
        return self._runner

    @property
    def busy(self) -> bool:
        """Whether answers are in progress or waiting."""
        return bool(self._waiting or self._active)

    @property
    def thread(self) -> threading.Thread:
        """The thread; the model's memory is freed when it ends."""
        return self._thread

    def submit(self, request: GenerationRequest) -> None:
        """Add a request; its pieces are passed to ``request.emit``.

        Raises:
            EngineUnavailable: the model has been unloaded.
        """
        with self._changed:
            if self._closed:
                raise EngineUnavailable("The model has been unloaded: ask again.")
            self._waiting.append(request)
            self._changed.notify()

    def forget_prompts(self) -> None:
        """Let the thread drop the caches of finished answers."""
        with self._changed:
            self._clear_requested = True
            self._changed.notify()

    def hangs(self, seconds: float) -> bool:
        """Return whether the running forward pass has taken this long."""
        started = self._pass_started
        return started is not None and time.monotonic() - started >= seconds

    def abandon(self) -> None:
        """End all answers and free the model after the running forward pass."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def close(self) -> None:
        """End all answers and free the model; returns when the thread has ended or after a time limit."""
        self.abandon()
        self._thread.join(_CLOSE_TIMEOUT_SECONDS)

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            while self._await_work():
                self._pass_started = time.monotonic()
                try:
                    self._step()
                except Exception as error:  # an error of a library ends the answers, not the thread
                    self._fail(error)
                self._pass_started = None
        self._fail(EngineUnavailable("The model was unloaded before it had answered: ask again."))
        self._prefixes.clear()
        self._runner = None

    def _await_work(self) -> bool:
        with self._changed:
            while not (self._closed or self.busy or self._clear_requested):
                self._changed.wait()
            return not self._closed

    def _step(self) -> None:
        if self._clear_requested:
            self._clear_requested = False
            self._prefixes.clear()
        self._join()
        self._remove(lambda sequence: sequence.finished or sequence.request.cancelled)
        work = self._plan()
        if not work:
            return
        assert self._runner
        scores = self._runner.forward(work)
        for (sequence, _), logits in zip(work, scores, strict=True):
            if logits is not None:
                self._take(sequence, logits)
        self._remove(lambda sequence: sequence.finished)

    def _take(self, sequence: Sequence[C], logits: Tensor) -> None:
        try:
            sequence.take(logits)
        except Exception as error:  # invalid logits or a grammar without a valid token end only this answer
            sequence.fail(_as_engine_error(error))

    def _plan(self) -> list[tuple[Sequence[C], int]]:
        """Return the number of tokens of each sequence in the next pass: one per answer, and a chunk of the prompts."""
        answering = any(sequence.waiting == 1 for sequence in self._active)
        room = _SHARED_PROMPT_CHUNK_TOKENS if answering else _PROMPT_CHUNK_TOKENS
        work = []
        for sequence in self._active:
            whole = sequence.waiting == 1 or sequence.is_unprocessed_media
            count = sequence.waiting if whole else min(sequence.waiting, room)
            room -= 0 if whole else count
            if count:
                work.append((sequence, count))
        return work

    def _join(self) -> None:
        while len(self._active) < MAX_BATCH and (request := self._next()):
            try:
                self._active.append(self._begin(request))
            except Exception as error:  # an error of a library ends only this request
                request.emit(TokenPiece(error=_as_engine_error(error)))

    def _next(self) -> GenerationRequest | None:
        with self._changed:
            while self._waiting:
                request = self._waiting.popleft()
                if not request.cancelled:
                    return request
        return None

    def _begin(self, request: GenerationRequest) -> Sequence[C]:
        assert self._runner
        grammar = self._grammars.make(request.json_schema) if request.json_schema is not None else None
        cache = self._reused_cache(request) or self._runner.new_cache()
        cache.reserve(len(request.tokens) + min(request.max_tokens, _RESERVED_ANSWER_TOKENS))
        return Sequence(request, self._vocabulary, cache, grammar)

    def _reused_cache(self, request: GenerationRequest) -> C | None:
        keys = request.tokens if request.keys is None else request.keys
        cache = self._prefixes.take(keys)
        # media are processed with the whole prompt, so a cache is usable only if it contains all of them
        media = max((at for at, key in enumerate(keys) if key < 0), default=-1)
        return cache if cache is None or cache.length > media else None

    def _remove(self, is_done: Callable[[Sequence[C]], bool]) -> None:
        """Remove sequences from the batch; their caches are kept."""
        for sequence in [sequence for sequence in self._active if is_done(sequence)]:
            # stored first, so that the cache is available once ``busy`` is False
            self._prefixes.put(sequence.keys, sequence.cache)
            self._active.remove(sequence)

    def _fail(self, error: Exception) -> None:
        """End all answers and drop their caches, which may be incomplete."""
        with self._changed:
            waiting, active = list(self._waiting) if self._closed else [], list(self._active)
            self._active.clear()
            if self._closed:
                self._waiting.clear()
        engine_error = _as_engine_error(error)
        for sequence in active:
            sequence.fail(engine_error)
        for request in waiting:
            request.emit(TokenPiece(error=engine_error))


def _as_engine_error(error: Exception) -> QwendeskError:
    if isinstance(error, QwendeskError):
        return error
    converted = EngineFailed(f"The model broke off: {_reason(error)}")
    converted.__cause__ = error
    return converted


def _reason(error: Exception) -> str:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return "out of memory. Choose a smaller model, or lower QWENDESK_CONTEXT_TOKENS."
    return reason(error)
