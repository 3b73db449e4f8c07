"""Notice when the thinking of an answer has used up its budget, from the answer's text alone."""

from __future__ import annotations

from typing import Literal

from qwendesk.engines.message_format import defuse

OPEN, CLOSE = "<think>", "</think>"

CLOSING = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n"
    "</think>\n\n"
)

"""Put behind thinking whose budget is used up: the words that Qwen3 was trained to answer after."""


def plain_thinking(said: str) -> str:
    """Return thinking that goes back to a server as text, without control tokens but the one that opens it."""
    opening = OPEN if said.lstrip().startswith(OPEN) else ""
    return opening + defuse(said.lstrip().removeprefix(opening) if opening else said)


class ThinkingSplitter:
    """Takes ``<think>...</think>`` from the start of an answer; a tag later in the answer is plain text.

    A closing tag whose opening never came and that ends its line is dropped: what stood before it has been
    released already, so it stays visible.
    """

    def __init__(self, in_thinking: bool = False) -> None:
        self._state: Literal["start", "thinking", "answer"] = "thinking" if in_thinking else "start"
        self._held = ""
        self._thought = False
        self._trim = False
        self._mentioned = in_thinking
        # a prompt that opened the thinking does not stop some models from opening it once more
        self._may_reopen = in_thinking

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next piece; return the visible text and the thinking that are certain by now."""
        self._held += text
        return self._run(final=False)

    def finish(self) -> tuple[str, str]:
        """Return what was held back; thinking that was never closed is thinking."""
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
        """Wait until it is clear whether the answer begins with a tag."""
        text = self._held.lstrip()
        if self._trim:
            self._held = text
        if text.startswith(OPEN):
            self._mentioned = True
            self._state, self._held = "thinking", text.removeprefix(OPEN)
        elif text.startswith(CLOSE) and not self._mentioned:
            self._mentioned = self._trim = True
            self._held = text.removeprefix(CLOSE)
        elif final or not (OPEN.startswith(text) or CLOSE.startswith(text)):
            self._state = "answer"

    def _think(self, final: bool) -> str:
        if self._may_reopen and self._reopens(final):
            return ""
        text, tag, rest = self._held.partition(CLOSE)
        if tag:
            self._state, self._held, self._trim = "start", rest, True
            return self._lead(text.rstrip(), ends=True)
        kept = len(text) if final else len(text) - _partial(text, CLOSE)
        shown = text[:kept].rstrip()
        self._held = "" if final else text[len(shown) :]
        return self._lead(shown, ends=False)

    def _reopens(self, final: bool) -> bool:
        """Drop a second opening tag; tell whether more text is needed to know."""
        text = self._held.lstrip()
        if not final and len(text) < len(OPEN) and OPEN.startswith(text):
            return True
        self._may_reopen = False
        if text.startswith(OPEN):
            self._held = text.removeprefix(OPEN)
        return False

    def _lead(self, text: str, ends: bool) -> str:
        """Drop blank text before the first word of a thought."""
        if not self._thought:
            text = text.lstrip()
        self._thought = bool(text) or self._thought
        return text

    def _answer(self, final: bool) -> str:
        if self._mentioned:
            return self._release(len(self._held))
        at, opened = self._held.find(CLOSE), self._held.find(OPEN)
        if opened >= 0 and (at < 0 or opened < at):
            self._mentioned = True
            return ""
        if at < 0:
            return self._release(len(self._held) - (0 if final else _partial(self._held, OPEN, CLOSE)))
        return self._stray(at, final)

    def _stray(self, at: int, final: bool) -> str:
        """Drop a closing tag that ends its line; keep one that is spoken of."""
        rest = self._held[at + len(CLOSE) :]
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
    """Return how many characters at the end of a text without whole tags may be the beginning of one."""
    at = text.rfind("<")
    return len(text) - at if at >= 0 and any(tag.startswith(text[at:]) for tag in tags) else 0


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
