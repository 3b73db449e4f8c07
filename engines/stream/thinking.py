"""Split the thinking off an answer, and watch its token budget."""

from __future__ import annotations

from typing import Literal

from qwendesk.engines.message_format import break_control_tokens

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
THINK_CUTOFF = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n"
    "</think>\n\n"
)
"""Closes thinking whose budget is used up; Qwen3 was trained to answer after these words."""


def reusable_thinking(said: str) -> str:
    """Return thinking that is sent back to a server as text: control tokens are broken, except the opening tag."""
    opening = THINK_OPEN if said.lstrip().startswith(THINK_OPEN) else ""
    return opening + break_control_tokens(said.lstrip().removeprefix(opening) if opening else said)


class ThinkingSplitter:
    """Splits ``<think>...</think>`` off the start of an answer; a tag later in the answer is plain text.

    A closing tag without an opening one that ends its line is dropped; the text before it has been released already
    and stays visible.
    """

    def __init__(self, in_thinking: bool = False) -> None:
        self._state: Literal["start", "thinking", "answer"] = "thinking" if in_thinking else "start"
        self._held = ""
        self._thought = False
        self._trim = False
        self._mentioned = in_thinking
        # some models open the thinking again although the prompt did
        self._may_reopen = in_thinking

    def feed(self, text: str) -> tuple[str, str]:
        """Process the next piece; return the visible text and the thinking that can be released."""
        self._held += text
        return self._run(final=False)

    def finish(self) -> tuple[str, str]:
        """Return the remaining text; thinking without a closing tag is thinking."""
        return self._run(final=True)

    def _run(self, final: bool) -> tuple[str, str]:
        visible = thinking = ""
        while True:
            before = self._state, self._held
            if self._state == "start":
                self._start(final)
            elif self._state == "thinking":
                thinking += self._think(final)
            else:
                visible += self._answer(final)
            if not self._held or before == (self._state, self._held):
                return visible, thinking

    def _start(self, final: bool) -> None:
        """Decide whether the answer begins with a tag, once enough text is there."""
        text = self._held.lstrip()
        if self._trim:
            self._held = text
        if text.startswith(THINK_OPEN):
            self._mentioned = True
            self._state, self._held = "thinking", text.removeprefix(THINK_OPEN)
        elif text.startswith(THINK_CLOSE) and not self._mentioned:
            self._mentioned = self._trim = True
            self._held = text.removeprefix(THINK_CLOSE)
        elif final or not (THINK_OPEN.startswith(text) or THINK_CLOSE.startswith(text)):
            self._state = "answer"

    def _think(self, final: bool) -> str:
        if self._may_reopen and self._reopens(final):
            return ""
        text, tag, rest = self._held.partition(THINK_CLOSE)
        if tag:
            self._state, self._held, self._trim = "start", rest, True
            return self._without_leading_space(text.rstrip())
        kept = len(text) if final else len(text) - _partial(text, THINK_CLOSE)
        shown = text[:kept].rstrip()
        self._held = "" if final else text[len(shown) :]
        return self._without_leading_space(shown)

    def _reopens(self, final: bool) -> bool:
        """Drop a second opening tag; return True if more text is needed to decide."""
        text = self._held.lstrip()
        if not final and len(text) < len(THINK_OPEN) and THINK_OPEN.startswith(text):
            return True
        self._may_reopen = False
        if text.startswith(THINK_OPEN):
            self._held = text.removeprefix(THINK_OPEN)
        return False

    def _without_leading_space(self, text: str) -> str:
        """Drop white space before the first word of the thinking."""
        if not self._thought:
            text = text.lstrip()
        self._thought = bool(text) or self._thought
        return text

    def _answer(self, final: bool) -> str:
        if self._mentioned:
            return self._release(len(self._held))
        at, opened = self._held.find(THINK_CLOSE), self._held.find(THINK_OPEN)
        if opened >= 0 and (at < 0 or opened < at):
            self._mentioned = True
            return ""
        if at < 0:
            return self._release(len(self._held) - (0 if final else _partial(self._held, THINK_OPEN, THINK_CLOSE)))
        return self._stray(at, final)

    def _stray(self, at: int, final: bool) -> str:
        """Drop a closing tag that ends its line; keep one inside a sentence."""
        rest = self._held[at + len(THINK_CLOSE) :]
        if not rest and not final:
            return self._release(at)
        self._mentioned = True
        if rest and not rest.startswith(("\n", "\r")):
            return ""
        shown, self._held = self._held[:at], rest
        return shown

    def _release(self, length: int) -> str:
        shown, self._held = self._held[:length], self._held[length:]
        return shown


def _partial(text: str, *tags: str) -> int:
    """Return the number of characters at the end of a text that may be the beginning of a tag."""
    at = text.rfind("<")
    return len(text) - at if at >= 0 and any(tag.startswith(text[at:]) for tag in tags) else 0


class ThinkingBudget:
    """Counts the thinking tokens of one answer by the answer's text.

    Args:
        tokens: the budget; None: no budget.
        inside: the prompt ends inside the thinking.
    """

    def __init__(self, tokens: int | None, inside: bool) -> None:
        self._left = tokens
        self._inside = inside
        self._over = tokens is None
        self._text = ""

    @property
    def used_up(self) -> bool:
        """Whether the thinking has to be closed."""
        return not self._over and self._inside and self._left is not None and self._left <= 0

    def feed(self, text: str, tokens: int) -> bool:
        """Process the next piece of the answer and its number of tokens; return whether the budget is used up."""
        if self._over or self._left is None:
            return False
        self._text += text
        if self._inside:
            self._left -= tokens
        elif self._text.lstrip().startswith(THINK_OPEN):
            self._inside = True
        elif not THINK_OPEN.startswith(self._text.lstrip()):
            self._over = True
        # searched in the whole text, because the tag can be split between pieces
        if THINK_CLOSE in self._text:
            self._over = True
        return self.used_up
