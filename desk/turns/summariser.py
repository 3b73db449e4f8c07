"""Summarise older turns in the background, so that a long conversation goes on within a model's context window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from langchain_core.messages import HumanMessage, SystemMessage

from qwendesk.desk.turns.background import Over
from qwendesk.desk.turns.conversation_context import tokens_of
from qwendesk.engines.pool import ModelPool
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import TurnLine, Unread
from qwendesk.prompts import render
from qwendesk.quoting import indented

_BEGIN = 0.5
"""Share of the context window that the history may take before a part of it is summarised."""
_KEEP = 0.2
"""Share that the newest turns keep as they are."""
_READ = 0.5
"""Share that is read at once to be summarised."""
_MANY = 150
"""Messages after which a summary is made whatever their length: only so many are loaded."""
_WORDS = 200


@dataclass(frozen=True, slots=True)
class Summariser:
    """The job: nothing is asked of a model before the history of a turn has outgrown its share of the window."""

    memory: Memory
    pool: ModelPool
    window: int
    """Tokens of context asked of local engines."""
    prompts: Path | None = None

    async def __call__(self, over: Over) -> None:
        """Summarise the conversation of a turn where that is due."""
        window = min(self.window, over.choice.card.context) if over.choice else self.window
        if over.tokens < window * _BEGIN and over.messages < _MANY:
            return
        unread = await self.memory.summaries.pending(over.inbound.conversation, channel=over.inbound.channel)
        if unread is None or not (lines := older(unread.lines, int(window * _KEEP), int(window * _READ))):
            return
        choice = await self.pool.choose("general", fetch=False)
        if choice is None:
            return
        model = await self.pool.load(choice)
        system = render("summary", folder=self.prompts, words=_WORDS)
        messages = [SystemMessage(system), HumanMessage(transcript(unread, lines))]
        answer = await model.ainvoke(messages, think=False, temperature=0.2, max_tokens=_WORDS * 3)
        if text := answer.text.strip():
            await self.memory.summaries.add(unread, lines[-1].sequence, text, choice.card.name)


def older(lines: Sequence[TurnLine], keep: int, read: int) -> list[TurnLine]:
    """Return the oldest whole turns, at most ``read`` tokens of them, but none of the newest ``keep`` tokens."""
    turns = sorted({line.sequence for line in lines})
    sizes = {turn: tokens_of(line.text for line in lines if line.sequence == turn) for turn in turns}
    kept = 0
    # the newest two stay whatever their length: one may still be answered, and it is about the other
    while turns and (len(turns) > len(sizes) - 2 or kept + sizes[turns[-1]] <= keep):
        kept += sizes[turns.pop()]
    last, taken = 0, 0
    for turn in turns:
        if taken + sizes[turn] > read and last:
            break
        last, taken = turn, taken + sizes[turn]
    return [line for line in lines if line.sequence <= last]


def transcript(unread: Unread, lines: Sequence[TurnLine]) -> str:
    """Return what was said, with the summary of what came before."""
    before = [f"Before: {indented(unread.summary.text)}"] if unread.summary else []
    said = [f"{'Person' if line.role == 'user' else 'Assistant'}: {indented(_cut(line.text))}" for line in lines]
    return "\n\n".join([*before, *said])


def _cut(text: str, longest: int = 6000) -> str:
    return text if len(text) <= longest else f"{text[: longest // 2]} … {text[-longest // 2 :]}"
