"""Messages of which some ask for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwendesk.testing.quality.base import Answer, Question, Score, ScriptedTool, Suite
from qwendesk.testing.quality.reading import find_file, read_rows
from qwendesk.tools.sandbox import PythonSandbox

HAND_OVER = ScriptedTool(
    "hand_over_to_person",
    "Pass this conversation to a human colleague. Call it only when the customer asks to talk to a human.",
    {
        "type": "object",
        "properties": {"reason": {"type": "string", "description": "What the customer wants."}},
        "required": ["reason"],
    },
    result="A colleague takes over.",
)


class Handover(Suite):
    """Messages that want a person or do not; right if the tool for it is called for those that do."""

    name = "handover"
    summary = "Messages that ask for a person, or do not: right if the conversation is passed on for those that do."
    files = ("handover.jsonl", "own_handover.jsonl")

    def questions(self, data: Path | None) -> list[Question]:
        """Return the messages; the group is the kind of message."""
        return read_rows(find_file(data, self.name, self.files), _question)

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Compare whether the conversation was passed on with whether the person wants it."""
        passed_on = any(call.name == HAND_OVER.name for call in answer.calls)
        told = "passed on" if passed_on else "not passed on"
        return Score(passed_on == question.row["wants_human"], told, (told,))


def _question(row: dict[str, Any]) -> Question:
    wanted = row["wants_human"]
    if not isinstance(wanted, bool):
        raise TypeError("'wants_human' is neither true nor false")
    group = str(row.get("kind") or ("wants a person" if wanted else "does not"))
    return Question(str(row["id"]), str(row["text"]), group, (HAND_OVER,), row={"wants_human": wanted})
