"""Thinking on a server that knows no budget: counted as it comes, closed, and given back."""

from __future__ import annotations

from typing import Any

from qwendesk.engines.base import Delta
from qwendesk.engines.budget import ThinkingBudget
from qwendesk.engines.thinking import CLOSE, CLOSING, plain_thinking


class Thought:
    """The thinking at the beginning of one answer.

    The server sends a piece for each token, so pieces are what is counted.
    """

    def __init__(self, budget: int | None) -> None:
        self._budget = budget
        self._text_budget = ThinkingBudget(budget, inside=False)
        self._said: list[str] = []
        self._split = False
        self.tokens = 0

    def feed(self, delta: Delta) -> bool:
        """Take the next piece; tell whether the thinking has to be closed now."""
        if self._budget is None or not (delta.text or delta.thinking):
            return False
        self.tokens += 1
        self._said.append(delta.thinking or delta.text)
        if delta.thinking:
            self._split = True
            return self.tokens >= self._budget
        return not self._split and self._text_budget.feed(delta.text, 1)

    def closing(self) -> Delta:
        """Return what ends the thinking, as a piece of the answer."""
        return Delta(thinking=_words()) if self._split else Delta(text=CLOSING)

    def message(self) -> dict[str, Any]:
        """Return what has been said as the beginning of the answer, for the model to go on with."""
        said = plain_thinking("".join(self._said))
        if self._split:
            # the blank line stands between thinking and answer, and shows servers that the answer has begun
            return {"role": "assistant", "thinking": said + _words(), "content": "\n"}
        return {"role": "assistant", "content": said + CLOSING}


def _words() -> str:
    return CLOSING.partition(CLOSE)[0]
