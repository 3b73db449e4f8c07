"""Notice when the thinking of an answer has used up its budget, from the answer's text alone."""

from __future__ import annotations

from qwendesk.engines.thinking import CLOSE, OPEN


class ThinkingBudget:
    """Watches one answer.

    Args:
        tokens: the budget; None: there is none.
        inside: the prompt already holds the opening tag.
    """

    def __init__(self, tokens: int | None, inside: bool) -> None:
        self._left = tokens
        self._inside = inside
        self._over = tokens is None
        self._text = ""

    @property
    def used_up(self) -> bool:
        """Whether the thinking has to be closed now."""
        return not self._over and self._inside and self._left is not None and self._left <= 0

    def feed(self, text: str, tokens: int) -> bool:
        """Take the next piece of the answer and how many tokens it has; tell whether the budget is used up."""
        if self._over or self._left is None:
            return False
        self._text += text
        if self._inside:
            self._left -= tokens
        elif self._text.lstrip().startswith(OPEN):
            self._inside = True
        elif not OPEN.startswith(self._text.lstrip()):
            self._over = True
        # the tag may have been cut in two, so the end of what was there stays
        if CLOSE in self._text:
            self._over = True
        return self.used_up
