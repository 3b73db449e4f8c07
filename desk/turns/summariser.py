"""Summarise older turns in the background, so that a long conversation fits a model's context window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from langchain_core.messages import HumanMessage, SystemMessage

from qwendesk.desk.turns.background import FinishedTurn
from qwendesk.desk.turns.conversation_context import estimate_tokens
from qwendesk.engines.pool import ModelPool
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import TurnLine, Unread
from qwendesk.prompt_quoting import indented
from qwendesk.prompts import render

_START_SHARE = 0.5
"""Share of the context window from which the history is summarised."""
_KEEP_SHARE = 0.2
"""Share of the window for the newest turns, which are not summarised."""
_READ_SHARE = 0.5
"""Share of the window that one summary covers."""
_MAX_MESSAGES = 150
"""Messages from which the history is summarised regardless of its length: a turn loads no more."""
_MAX_SUMMARY_WORDS = 200


@dataclass(frozen=True, slots=True)
class Summariser:
    """Background job that summarises a conversation once its history exceeds its share of the window."""

    memory: Memory
    pool: ModelPool
    window: int
    """Context window of local engines, in tokens."""
    prompts: Path | None = None

    async def __call__(self, turn: FinishedTurn) -> None:
        """Summarise the turn's conversation where its history is long enough."""
        window = min(self.window, turn.choice.card.context) if turn.choice else self.window
        if turn.tokens < window * _START_SHARE and turn.messages < _MAX_MESSAGES:
            return
        unread = await self.memory.summaries.pending(turn.inbound.conversation, channel=turn.inbound.channel)
        if unread is None or not (
            lines := oldest_turns(unread.lines, int(window * _KEEP_SHARE), int(window * _READ_SHARE))
        ):
            return
        choice = await self.pool.choose("general", fetch=False)
        if choice is None:
            return
        model = await self.pool.load(choice)
        system = render("summary", folder=self.prompts, words=_MAX_SUMMARY_WORDS)
        messages = [SystemMessage(system), HumanMessage(transcript(unread, lines))]
        answer = await model.ainvoke(messages, think=False, temperature=0.2, max_tokens=_MAX_SUMMARY_WORDS * 3)
        if text := answer.text.strip():
            await self.memory.summaries.add(unread, lines[-1].sequence, text, choice.card.name)


def oldest_turns(lines: Sequence[TurnLine], keep: int, read: int) -> list[TurnLine]:
    """Return the oldest whole turns, at most ``read`` tokens of them, but none of the newest ``keep`` tokens."""
    turns = sorted({line.sequence for line in lines})
    sizes = {turn: estimate_tokens(line.text for line in lines if line.sequence == turn) for turn in turns}
    kept = 0
    # the newest two are kept: one may still be running, and it refers to the other
    while turns and (len(turns) > len(sizes) - 2 or kept + sizes[turns[-1]] <= keep):
        kept += sizes[turns.pop()]
    last, taken = 0, 0
    for turn in turns:
        if taken + sizes[turn] > read and last:
            break
        last, taken = turn, taken + sizes[turn]
    return [line for line in lines if line.sequence <= last]


def transcript(unread: Unread, lines: Sequence[TurnLine]) -> str:
    """Return the lines as a transcript, after the previous summary."""
    before = [f"Before: {indented(unread.summary.text)}"] if unread.summary else []
    said = [f"{'Person' if line.role == 'user' else 'Assistant'}: {indented(_cut(line.text))}" for line in lines]
    return "\n\n".join([*before, *said])


def _cut(text: str, longest: int = 6000) -> str:
    return text if len(text) <= longest else f"{text[: longest // 2]} … {text[-longest // 2 :]}"
