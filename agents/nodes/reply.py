"""Put the reply together, also where no model could give one."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from langgraph.runtime import Runtime

from qwendesk.agents.checks.result import GROUNDED, STATES
from qwendesk.agents.context import TurnContext
from qwendesk.agents.nodes.answer import said
from qwendesk.agents.nodes.sources import sources
from qwendesk.agents.state import TurnState
from qwendesk.messages import Role, TextDelta

_LACKS = {
    "vision": ("no_eyes", "'qwendesk models pull qwen2.5-vl-3b' / Ollama: qwen2.5vl:3b"),
    "audio": ("no_ears", "'qwendesk models pull qwen2.5-omni-3b' / transformers: Qwen2-Audio"),
}
"""What is said of a role that no model here can play, and how that is changed."""
_NOTHING = "I have no answer to that. Please put the question in another way."


async def reply(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Take the model's last words; where it found none, the last tool's result speaks for itself."""
    tell = runtime.context.tell
    if text := said(state):
        added = [part for part in (_correction(state), _sources(text, state)) if part]
        for part in added:
            tell(TextDelta(part))
        return {"text": "".join([text, *added])}
    results = [use.result for use in state["tools"] if use.ok]
    instead = results[-1] if results else _NOTHING
    tell(TextDelta(instead))
    return {"text": instead, "notes": ["the model itself gave no text"]}


def _correction(state: TurnState) -> str:
    """Add what a tool found where the model did not state it, or something else."""
    titles = {STATES: "Calculated", GROUNDED: "Looked up"}
    found = next((check for check in state["checks"] if check.name in titles and check.outcome == "failed"), None)
    if found is None:
        return ""
    return f"\n\n{titles[found.name]}: **{found.detail}**"


def _sources(text: str, state: TurnState) -> str:
    """Say in which documents the answer was read."""
    found = sources(text, state["tools"])
    return "\n\n" + "\n".join(found) if found else ""


async def decline(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Say plainly what no model here can do, or ask for the picture that is spoken of."""
    decision, language = state["decision"], state["language"]
    text = missing_picture(language) if decision.missing else unable(decision.role, language)
    runtime.context.tell(TextDelta(text))
    return {"text": text}


def missing_picture(language: str | None) -> str:
    """Return the words that ask for a picture, in the person's language where they are known in it."""
    return _phrase("missing_picture", language)


def unable(role: Role, language: str | None) -> str:
    """Return what is said where no model here can play a role, in the person's language where it is known in it."""
    if role not in _LACKS:
        return _NOTHING
    said, how = _LACKS[role]
    return f"{_phrase(said, language)} {_phrase('can_be_added', language).format(how=how)}"


def _phrase(name: str, language: str | None) -> str:
    texts = _phrases()[name]
    return texts.get(language or "en", texts["en"])


@cache
def _phrases() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files("qwendesk.agents").joinpath("phrases.toml").read_text("utf-8"))
