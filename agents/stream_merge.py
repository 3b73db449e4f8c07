"""Show several answers one after the other: the first is streamed, the others follow as they are finished."""

from __future__ import annotations

from collections.abc import Callable

from qwendesk.messages import AnswerReset, Event, Notice, TextDelta

_MAX_TITLE_CHARS = 80


class StreamMerge:
    """Puts the events of answers that are written at the same time into the answers' order.

    Args:
        number: the number of answers.
        write: takes the events in order.
    """

    def __init__(self, number: int, write: Callable[[Event], None]) -> None:
        self._write = write
        self._waiting: list[list[Event]] = [[] for _ in range(number)]
        self._closed = [False] * number
        self._open = 0
        self._shown = ""
        self._text = ""

    def emit(self, index: int, event: Event) -> None:
        """Take an event of one answer."""
        if index == self._open or isinstance(event, Notice):
            self._show(event)
        elif isinstance(event, AnswerReset):  # it was not shown yet
            self._waiting[index] = [other for other in self._waiting[index] if not isinstance(other, TextDelta)]
        else:
            self._waiting[index].append(event)

    def replace(self, index: int, text: str) -> None:
        """Take an answer's whole text, which continues or replaces the earlier text."""
        before = self._text if index == self._open else _text_of(self._waiting[index])
        if not text.startswith(before):
            self.emit(index, AnswerReset("this part failed", ""))
            before = ""
        self.emit(index, TextDelta(text[len(before) :]))

    def close(self, index: int) -> None:
        """Mark an answer as finished and show the next."""
        self._closed[index] = True
        while self._open < len(self._closed) and self._closed[self._open]:
            self._shown, self._text = self._shown + self._text, ""
            self._open += 1
            if self._open < len(self._closed):
                waiting, self._waiting[self._open] = self._waiting[self._open], []
                for event in waiting:
                    self._show(event)

    def _show(self, event: Event) -> None:
        self._write(event)
        if isinstance(event, TextDelta):
            self._text += event.text
        elif isinstance(event, AnswerReset):
            self._text = ""
            if self._shown:  # a reset clears the finished answers as well
                self._write(TextDelta(self._shown))


def _text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def title(index: int, question: str) -> str:
    """Return the heading of an answer: its question as the person wrote it."""
    line = " ".join(question.split())
    if len(line) > _MAX_TITLE_CHARS:
        line = line[:_MAX_TITLE_CHARS].rsplit(" ", 1)[0] + " …"
    return ("\n\n" if index else "") + f"> {line}\n\n"
