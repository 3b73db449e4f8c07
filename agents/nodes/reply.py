"""Put the reply together, also where no model could give one."""

from __future__ import annotations

from typing import Any

from langgraph.config import get_stream_writer

from qwendesk.agents.checks.result import GROUNDED, STATES
from qwendesk.agents.nodes.answer import said
from qwendesk.agents.nodes.sources import sources
from qwendesk.agents.state import TurnState
from qwendesk.messages import TextDelta

_CANNOT = {
    "vision": (
        "I cannot see the picture: no model that sees is installed here, so I will not guess what it shows. "
        "You can describe it in words, or use an engine with a model that sees, such as Ollama with qwen2.5vl:3b."
    ),
    "audio": (
        "I cannot hear the recording: no model for speech is installed here. Please write what you would like to know."
    ),
}
_NOTHING = "I have no answer to that. Please put the question in another way."


async def reply(state: TurnState) -> dict[str, Any]:
    """Take the model's last words; where it found none, the last tool's result speaks for itself."""
    if text := said(state):
        return {"text": text + _correction(state) + _sources(text, state)}
    results = [use.result for use in state["tools"] if use.ok]
    instead = results[-1] if results else _NOTHING
    get_stream_writer()(TextDelta(instead))
    return {"text": instead, "notes": ["the model itself gave no text"]}


def _correction(state: TurnState) -> str:
    """Add what a tool found where the model did not state it, or something else."""
    titles = {STATES: "Calculated", GROUNDED: "Looked up"}
    found = next((check for check in state["checks"] if check.name in titles and check.outcome == "failed"), None)
    if found is None:
        return ""
    text = f"\n\n{titles[found.name]}: **{found.detail}**"
    get_stream_writer()(TextDelta(text))
    return text


def _sources(text: str, state: TurnState) -> str:
    """Say in which documents the answer was read."""
    found = sources(text, state["tools"])
    if not found:
        return ""
    added = "\n\n" + "\n".join(found)
    get_stream_writer()(TextDelta(added))
    return added


async def decline(state: TurnState) -> dict[str, Any]:
    """Say plainly what no model here can do."""
    text = _CANNOT.get(state["decision"].role, _NOTHING)
    get_stream_writer()(TextDelta(text))
    return {"text": text}
