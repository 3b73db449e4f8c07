"""Turn tokens into text while they come: whole characters only, and nothing of a stop word."""

from __future__ import annotations

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


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
