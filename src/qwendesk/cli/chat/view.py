"""Views of a turn: in a terminal and in a pipe."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from markdown_it.token import Token
from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from qwendesk.channels.markup.render import markdown_parser, render
from qwendesk.channels.markup.split import has_visible_output
from qwendesk.messages import (
    AnswerReset,
    ApprovalNeeded,
    Event,
    Finished,
    Notice,
    Routed,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
)

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return a text without control characters, which could control the terminal."""
    return _CONTROLS.sub("", text)


def markdown(text: str) -> Markdown:
    """Return a text as Rich Markdown, parsed as on the other channels, with the URLs of links shown."""
    made = Markdown("", hyperlinks=False)
    parsed = markdown_parser().parse(text)
    if not has_visible_output(render(text, "html"), "html"):  # markup without words is shown as written
        inline = Token("inline", "", 0, children=[Token("text", "", 0, content=text)])
        parsed = [Token("paragraph_open", "p", 1), inline, Token("paragraph_close", "p", -1)]
    made.parsed = list(_counted(parsed))
    for token in made.parsed:
        token.children = _bare(token.children) if token.children else token.children
    return made


def _bare(tokens: Sequence[Token]) -> list[Token]:
    """Remove links whose label is their URL."""
    automatic = [place for place, token in enumerate(tokens) if token.type == "link_open" and token.info == "auto"]
    return [token for place, token in enumerate(tokens) if not {place, place - 2} & set(automatic)]


def _counted(tokens: Iterable[Token]) -> Iterator[Token]:
    """Split lists with gaps in their numbers, since Rich numbers items consecutively."""
    before = ""
    for token in tokens:
        number = token.attrGet("value") if token.type == "list_item_open" else None
        if number and before != "ordered_list_open":
            yield Token("ordered_list_close", "ol", -1)
            yield Token("ordered_list_open", "ol", 1, {"start": int(number)})
        before = token.type
        yield token


class View(Protocol):
    """A view of the events of one turn."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Restore the terminal, also after an interruption."""
        ...

    def show(self, event: Event) -> None:
        """Show one event."""
        ...


class TerminalView:
    """Streams Markdown: finished blocks are printed, only the last one is redrawn."""

    def __init__(self, out: Console, notices: Console) -> None:
        self._out = out
        self._notices = NoticeLine(notices)
        self._live = Live(console=out, refresh_per_second=8, transient=True)
        self._text = self._thinking = ""
        self._notes: tuple[str, ...] = ()
        self._told = set[str]()

    def __enter__(self) -> Self:
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Print the last block."""
        self._settle_thinking()
        self._live.stop()
        self._notices.clear()
        if self._text.strip():
            self._out.print(markdown(self._text))
        self._text = ""
        for note in self._notes:
            self._out.print(Text(f"({printable(note)})", style="dim"))

    def show(self, event: Event) -> None:
        """Draw one event."""
        match event:
            case Notice(persistent=True):
                self._told.add(event.text)
                self._print(Text(f"! {_notice(event)}", style="dim"))
            case Notice():
                self._live.update(Text(_notice(event), style="dim"))
            case Routed():
                self._live.update(Text(f"{event.role} · {event.model} …", style="dim"))
            case ThinkingDelta():
                self._thinking += printable(event.text)
                self._live.update(Text(self._thinking.strip(), style="dim italic"))
            case TextDelta():
                self._settle_thinking()
                self._text += printable(event.text)
                self._settle_blocks()
                self._live.update(_Tail(markdown(self._text)))
            case AnswerReset():
                self._settle_thinking()
                self._text = ""
                self._print(Text(f"↻ {event.model}: {printable(event.reason)} (what is above is void)", style="dim"))
            case ToolStarted() | ToolFinished() | ApprovalNeeded():
                for line in _tool_lines(event):
                    self._print(Text(line, style="dim"))
            case Finished():
                self._notes = _untold(event.reply.receipt.notes, self._told)

    def _settle_blocks(self) -> None:
        done, self._text = split_settled(self._text)
        if done:
            self._print(markdown(done))

    def _settle_thinking(self) -> None:
        if self._thinking.strip():
            self._print(Text(self._thinking.strip() + "\n", style="dim italic"))
        self._thinking = ""

    def _print(self, what: Text | Markdown) -> None:
        self._live.update(Text(""))
        self._out.print(what)


@dataclass(frozen=True, slots=True)
class _Tail:
    """The last lines of a renderable that exceeds the window."""

    whole: Markdown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        lines = console.render_lines(self.whole, options.update(height=None), pad=False)
        for line in lines[-max(1, console.height - 2) :]:
            yield from line
            yield Segment.line()


class PlainView:
    """Writes the streamed text of the answer to stdout and notices to stderr."""

    def __init__(self, out: Console, notices: Console) -> None:
        self._out = out
        self._notices = NoticeLine(notices)
        self._ended = True
        self._written = False
        self._notes: tuple[str, ...] = ()
        self._told = set[str]()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End the last line."""
        self._notices.clear()
        if not self._ended:
            self._out.file.write("\n")
            self._out.file.flush()
        for note in self._notes:
            self._notices.write(f"({note})")

    def show(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, TextDelta):
            self._notices.clear()
            self._ended = event.text.endswith("\n")
            self._written = True
            self._out.file.write(event.text)
            self._out.file.flush()
        elif isinstance(event, AnswerReset) and self._written:
            # written text cannot be withdrawn: a blank line separates it from the new answer
            self._out.file.write("\n" if self._ended else "\n\n")
            self._notices.show(Notice("What was written above is void: it is answered anew."))
        elif isinstance(event, Finished):
            self._notes = _untold(event.reply.receipt.notes, self._told)
        elif isinstance(event, Notice):
            if event.persistent:
                self._told.add(event.text)
            self._notices.show(event)


def _untold(notes: Iterable[str], told: Collection[str]) -> tuple[str, ...]:
    """Return the notes that no notice above the answer has told."""
    known = {text.rstrip(".").casefold() for text in told}
    return tuple(note for note in notes if note.rstrip(".").casefold() not in known)


def _tool_lines(event: ToolStarted | ToolFinished | ApprovalNeeded) -> list[str]:
    """Return what is shown of a call: a line, or all arguments where they are to be approved, and why."""
    if isinstance(event, ToolStarted):
        return [f"→ {event.name}({_arguments(event.arguments)})"]
    if isinstance(event, ToolFinished):
        return [f"{'✓' if event.use.ok else '✗'} {_one_line(event.use.result)}"]
    lines = list[str]()
    for call in event.calls:
        lines += [f"? {printable(call.tool)}: {printable(call.reason)}"]
        lines += [f"    {printable(name)} = {printable(repr(value))}" for name, value in call.arguments.items()]
    return lines


def view_for(out: Console, notices: Console) -> View:
    """Return the view for the given output."""
    return TerminalView(out, notices) if out.is_terminal else PlainView(out, notices)


class NoticeLine:
    """Notices: one redrawn line in a terminal, otherwise a line per 10 % of progress."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: tuple[str, int] | None = None
        self._open = False

    def write(self, line: str) -> None:
        """Write a permanent line."""
        self.clear()
        self._console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)

    def show(self, notice: Event) -> None:
        """Show one notice; other events are ignored."""
        if not isinstance(notice, Notice):
            return
        if notice.persistent:
            self.clear()
            self._console.print(_notice(notice), markup=False, highlight=False)
            return
        if self._console.is_terminal:
            self._console.file.write(f"\r\x1b[2K{_notice(notice)}"[: self._console.width + 4])
            self._console.file.flush()
            self._open = True
            return
        step = (notice.text.split(":")[0], int((notice.fraction or 0) * 10))
        if step != self._shown:
            self._shown = step
            self._console.print(_notice(notice), markup=False, highlight=False)

    def clear(self) -> None:
        """Clear the redrawn line."""
        if self._open:
            self._console.file.write("\r\x1b[2K")
            self._console.file.flush()
            self._open = False


def split_settled(text: str) -> tuple[str, str]:
    """Split streamed Markdown before its last block, which may still change.

    A blank line has to stand before that block; one within a list, a quote or a block of code parts no blocks.
    """
    lines = text.splitlines(keepends=True)
    starts = [token.map[0] for token in markdown_parser().parse(text) if token.level == 0 and token.map]
    begins = next((line for line in reversed(starts) if line and not lines[line - 1].strip()), 0)
    cut = sum(map(len, lines[:begins]))
    return text[:cut], text[cut:]


def _notice(notice: Notice) -> str:
    text = printable(notice.text)
    if notice.fraction is None:
        return text
    filled = round(notice.fraction * 20)
    return f"{text} [{'█' * filled}{'░' * (20 - filled)}] {notice.fraction:4.0%}"


def _arguments(arguments: dict[str, object]) -> str:
    return _one_line(", ".join(f"{name}={value!r}" for name, value in arguments.items()))


def _one_line(text: str, longest: int = 120) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
