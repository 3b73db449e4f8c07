"""The thread of one loaded model: answers of many chats in one batch that they join and leave between tokens."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from qwendesk.engines.transformers.prefix_cache import Keepable, PrefixStore
from qwendesk.engines.transformers.request import Piece, Request
from qwendesk.engines.transformers.runner import Runner
from qwendesk.engines.transformers.sequence import Sequence
from qwendesk.engines.transformers.vocabulary import Grammars, Vocabulary
from qwendesk.errors import EngineFailed, EngineUnavailable, QwendeskError, reason

C = TypeVar("C", bound=Keepable)

MAX_BATCH = 8
"""How many answers are made at the same time; more wait for their turn."""
_CHUNK = 512
"""Tokens of a prompt that the model is shown in one pass."""
_CHUNK_BESIDES = 128
"""The same while others wait for their next token."""
_AHEAD = 256
"""Tokens of the answer for which memory is taken at once."""
_PATIENCE = 60.0
"""Seconds that a pass has to end when the model is freed."""


class Scheduler(Generic[C]):
    """Makes the answers of one model, in a thread of its own where all of its work is done.

    Args:
        runner: the model.
        vocabulary: its tokenizer.
        kept: where the caches of finished answers go.
        threads: CPU threads of one pass.
    """

    def __init__(self, runner: Runner[C], vocabulary: Vocabulary, kept: PrefixStore[C], threads: int) -> None:
        self._runner: Runner[C] | None = runner
        self._vocabulary = vocabulary
        self._grammars = Grammars(vocabulary)
        self._kept = kept
        self._threads = threads
        self._waiting: deque[Request] = deque()
        self._active: list[Sequence[C]] = []
        self._changed = threading.Condition()
        self._closed = self._forgets = False
        self._since: float | None = None
        """When the pass began that is going on; None: there is none."""
        self._thread = threading.Thread(target=self._run, name="qwendesk-transformers", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether an answer is being made or waits to be."""
        return bool(self._waiting or self._active)

    @property
    def thread(self) -> threading.Thread:
        """The thread; as long as it lives, so does the model's memory."""
        return self._thread

    def submit(self, request: Request) -> None:
        """Ask for an answer; its pieces come by ``request.emit``."""
        with self._changed:
            if self._closed:
                raise EngineUnavailable("The model has been unloaded: ask again.")
            self._waiting.append(request)
            self._changed.notify()

    def forget_prompts(self) -> None:
        """Drop the caches of finished answers, as soon as the thread comes to it."""
        with self._changed:
            self._forgets = True
            self._changed.notify()

    def hangs(self, seconds: float) -> bool:
        """Whether one pass has been going on for so long."""
        since = self._since
        return since is not None and time.monotonic() - since >= seconds

    def abandon(self) -> None:
        """End all answers and free the model as soon as its thread comes back, if it does."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def close(self) -> None:
        """End all answers and free the model; returns when the thread has ended, or seems to hang."""
        self.abandon()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            while self._await_work():
                self._since = time.monotonic()
                try:
                    self._step()
                except Exception as error:  # whatever a library raises ends these answers, never the thread
                    self._fail(error)
                self._since = None
        self._fail(EngineUnavailable("The model was unloaded before it had answered: ask again."))
        self._kept.clear()
        self._runner = None

    def _await_work(self) -> bool:
        with self._changed:
            while not (self._closed or self.busy or self._forgets):
                self._changed.wait()
            return not self._closed

    def _step(self) -> None:
        if self._forgets:
            self._forgets = False
            self._kept.clear()
        self._join()
        self._leave(lambda sequence: sequence.finished or sequence.request.cancelled)
        work = self._share()
        if not work:
            return
        assert self._runner
        scores = self._runner.forward(work)
        for (sequence, _), logits in zip(work, scores, strict=True):
            if logits is not None:
                self._take(sequence, logits)
        self._leave(lambda sequence: sequence.finished)

    def _take(self, sequence: Sequence[C], logits: Tensor) -> None:
        try:
            sequence.take(logits)
        except Exception as error:  # scores that are no numbers, a grammar without a way on: this answer's own trouble
            sequence.fail(_told(error))

    def _share(self) -> list[tuple[Sequence[C], int]]:
        """Tell how many tokens of each sequence the next pass takes: one of each answer, a stretch of the prompts."""
        answering = any(sequence.waiting == 1 for sequence in self._active)
        room = _CHUNK_BESIDES if answering else _CHUNK
        work = []
        for sequence in self._active:
            whole = sequence.waiting == 1 or sequence.is_unseen
            count = sequence.waiting if whole else min(sequence.waiting, room)
            room -= 0 if whole else count
            if count:
                work.append((sequence, count))
        return work

    def _join(self) -> None:
        while len(self._active) < MAX_BATCH and (request := self._next()):
            try:
                self._active.append(self._begin(request))
            except (
                Exception
            ) as error:  # this request's own trouble, whatever a library raises: no other one pays for it
                request.emit(Piece(error=_told(error)))

    def _next(self) -> Request | None:
        with self._changed:
            while self._waiting:
                request = self._waiting.popleft()
                if not request.cancelled:
                    return request
        return None

    def _begin(self, request: Request) -> Sequence[C]:
        assert self._runner
        grammar = self._grammars.make(request.json_schema) if request.json_schema is not None else None
        cache = self._cached(request) or self._runner.new_cache()
        cache.reserve(len(request.tokens) + min(request.max_tokens, _AHEAD))
        return Sequence(request, self._vocabulary, cache, grammar)

    def _cached(self, request: Request) -> C | None:
        keys = request.tokens if request.keys is None else request.keys
        cache = self._kept.take(keys)
        # media are shown with the whole prompt, so a cache helps only if all of them are in it
        media = max((at for at, key in enumerate(keys) if key < 0), default=-1)
        return cache if cache is None or cache.length > media else None

    def _leave(self, goes: Callable[[Sequence[C]], bool]) -> None:
        """Let sequences go; what the model has seen of them is kept."""
        for sequence in [sequence for sequence in self._active if goes(sequence)]:
            # kept first: whoever finds nobody busy finds the cache
            self._kept.put(sequence.keys, sequence.cache)
            self._active.remove(sequence)

    def _fail(self, error: Exception) -> None:
        """End all answers; their caches may be half written and are dropped."""
        with self._changed:
            waiting, active = list(self._waiting) if self._closed else [], list(self._active)
            self._active.clear()
            if self._closed:
                self._waiting.clear()
        told = _told(error)
        for sequence in active:
            sequence.fail(told)
        for request in waiting:
            request.emit(Piece(error=told))


def _told(error: Exception) -> QwendeskError:
    if isinstance(error, QwendeskError):
        return error
    told = EngineFailed(f"The model broke off: {_reason(error)}")
    told.__cause__ = error
    return told


def _reason(error: Exception) -> str:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return "out of memory. Choose a smaller model, or lower QWENDESK_CONTEXT_TOKENS."
    return reason(error)
