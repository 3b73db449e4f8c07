"""Several answers at once, shown one after the other: the first as it comes, the others when it is their turn."""

from __future__ import annotations

from collections.abc import Callable

from qwendesk.messages import Event, Notice, Restarted, TextDelta

_TITLE = 80


class Lanes:
    """Puts the events of parts that are answered side by side into the parts' order.

    Args:
        number: how many parts there are.
        write: takes the events in order.
    """

    def __init__(self, number: int, write: Callable[[Event], None]) -> None:
        self._write = write
        self._waiting: list[list[Event]] = [[] for _ in range(number)]
        self._closed = [False] * number
        self._open = 0
        self._shown = ""
        self._text = ""

    def tell(self, lane: int, event: Event) -> None:
        """Take an event of one part."""
        if lane == self._open or isinstance(event, Notice):
            self._show(event)
        elif isinstance(event, Restarted):  # nobody has seen what is void
            self._waiting[lane] = [other for other in self._waiting[lane] if not isinstance(other, TextDelta)]
        else:
            self._waiting[lane].append(event)

    def replace(self, lane: int, text: str) -> None:
        """Take a part's whole text, which begins with what was shown of it or takes the place of that."""
        before = self._text if lane == self._open else _text_of(self._waiting[lane])
        if not text.startswith(before):
            self.tell(lane, Restarted("this part failed", ""))
            before = ""
        self.tell(lane, TextDelta(text[len(before) :]))

    def close(self, lane: int) -> None:
        """Take note that a part is finished, and go on with the next."""
        self._closed[lane] = True
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
        elif isinstance(event, Restarted):
            self._text = ""
            if self._shown:  # who listens has dropped all that was shown, the finished parts too
                self._write(TextDelta(self._shown))


def _text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def title(index: int, question: str) -> str:
    """Return what stands above a part's answer: the person's own words, in the person's own language."""
    line = " ".join(question.split())
    if len(line) > _TITLE:
        line = line[:_TITLE].rsplit(" ", 1)[0] + " …"
    return ("\n\n" if index else "") + f"> {line}\n\n"
