"""Put the reply together, also where no model could give one."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from langgraph.runtime import Runtime

from qwendesk.agents.checks.failures import ADMITS, reason_of, unresolved
from qwendesk.agents.checks.result import CHOICES, GROUNDED, STATES
from qwendesk.agents.context import TurnContext
from qwendesk.agents.nodes.answer import said
from qwendesk.agents.nodes.sources import sources
from qwendesk.agents.state import TurnState
from qwendesk.messages import Check, Role, TextDelta

_LACKS = {
    "vision": ("no_eyes", "'qwendesk models pull qwen2.5-vl-3b' / Ollama: qwen2.5vl:3b"),
    "audio": ("no_ears", "'qwendesk models pull qwen2.5-omni-3b' / transformers: Qwen2-Audio"),
}
"""What is said of a role that no model here can play, and how that is changed."""
_TITLES = {STATES: "calculated", CHOICES: "looked_up", GROUNDED: "looked_up"}
"""What stands before a tool's result that is added where a check failed."""
_NOTHING = "I have no answer to that. Please put the question in another way."


async def reply(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Take the model's last words; where it found none, the last tool's result speaks for itself."""
    tell = runtime.context.tell
    if text := said(state):
        added = [f"\n\n{part}" for part in (*_marks(state, runtime.context), _sources(text, state)) if part]
        for part in added:
            tell(TextDelta(part))
        return {"text": "".join([text, *added])}
    results = [use.result for use in state["tools"] if use.ok]
    failed = _failures(state, runtime.context)
    instead = "\n\n".join([*results[-1:], *failed]) or _NOTHING
    tell(TextDelta(instead))
    return {"text": instead, "notes": ["the model itself gave no text"]}


def _marks(state: TurnState, context: TurnContext) -> list[str]:
    """Return what marks an answer that failed checks: what the tool found instead, or what is wrong."""
    failed = [check for check in state["checks"] if check.outcome == "failed"]
    added = next((check for check in failed if check.name in _TITLES), None)
    marks = [] if added is None else [_correction(_phrase(_TITLES[added.name], state["language"]), added.detail)]
    wrong = [check for check in failed if check.name not in (*_TITLES, ADMITS)]
    marks += [_phrase("check_failed", state["language"]).format(detail=_line(check)) for check in wrong]
    return marks + (_failures(state, context) if any(check.name == ADMITS for check in failed) else [])


def _correction(title: str, found: str) -> str:
    """Return what a tool found, for the end of an answer that did not tell it."""
    return f"{title}:\n\n{found}" if "\n" in found else f"{title}: **{found}**"


def _line(check: Check) -> str:
    return " ".join(check.detail.split()) or check.name


def _failures(state: TurnState, context: TurnContext) -> list[str]:
    """Say in the person's language which steps failed, and to those who run the desk why: an error may hold paths."""
    text = _phrase("tool_failed", state["language"])
    tells_why = state["inbound"].for_operator
    failed = unresolved(state["tools"], context.toolbox.all_names)
    uses = [(use.name, reason_of(use) if tells_why else "") for use in failed]
    return [text.format(tool=name, reason=f": {why}" if why else "") for name, why in uses]


def _sources(text: str, state: TurnState) -> str:
    """Say in which documents the answer was read."""
    found = sources(text, state["tools"])
    return "\n".join(found)


async def decline(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Say plainly what no model here can do, that a machine answers, or ask for the picture that is spoken of."""
    decision, language = state["decision"], state["language"]
    text = state.get("truth", "")
    if not text:
        hint = state["inbound"].for_operator
        text = missing_picture(language) if decision.missing else unable(decision.role, language, hint=hint)
    runtime.context.tell(TextDelta(text))
    return {"text": text}


def missing_picture(language: str | None) -> str:
    """Return the words that ask for a picture, in the person's language where they are known in it."""
    return _phrase("missing_picture", language)


def part_failed(language: str | None) -> str:
    """Return what stands for one answer of several that could not be given, in the person's language."""
    return _phrase("part_failed", language)


def unable(role: Role, language: str | None, *, hint: bool = True) -> str:
    """Return what is said where no model here can play a role, in the person's language where it is known in it.

    Args:
        role: the role.
        language: the person's language.
        hint: whether to say how such a model is added, which only concerns those who run the desk.
    """
    if role not in _LACKS:
        return _NOTHING
    said, how = _LACKS[role]
    added = f" {_phrase('can_be_added', language).format(how=how)}" if hint else ""
    return f"{_phrase(said, language)}{added}"


def _phrase(name: str, language: str | None) -> str:
    texts = _phrases()[name]
    return texts.get(language or "en", texts["en"])


@cache
def _phrases() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files("qwendesk.agents").joinpath("phrases.toml").read_text("utf-8"))
