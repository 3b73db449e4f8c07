"""Select the tools that a model is offered.

A model of two billion parameters or more chooses freely among all tools of its role: the prompt, and with it the
prompt cache, stays the same from turn to turn. A smaller model answers nearly everything with a call once it is shown
a tool. It selects one tool, or none, under a grammar, and only if the message gives a reason
(``nodes/select_tool.py``).
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from qwendesk.agents.context import TurnContext
from qwendesk.agents.roles import RoleDefinition
from qwendesk.models.card import ModelCard

_FREE_CHOICE_PARAMETERS = 2.0
"""Billions of parameters from which a model chooses its tools freely."""
_MAX_CUE_CHARS = 1500
"""Characters of a message that are searched for a cue, on the event loop."""
NO_TOOL = "answer"
"""The name by which a small model selects no tool."""
_NO_TOOL_SCHEMA = {
    "type": "function",
    "function": {
        "name": NO_TOOL,
        "description": (
            "Answer the person directly, in words. Use it for greetings, explanations, opinions, translations, "
            "knowledge and everything that no other function covers."
        ),
        "parameters": {"type": "object", "properties": {}},
    },
}


def selects_tool(card: ModelCard) -> bool:
    """Return whether the model selects its tools under a grammar; a model of unknown size chooses freely."""
    return card.tools and 0 < card.parameters < _FREE_CHOICE_PARAMETERS


def offered_tools(definition: RoleDefinition, context: TurnContext) -> list[dict[str, Any]]:
    """Return the schemas of the tools that the role may call: its own and the embedding program's."""
    if definition.tools == ():
        return []
    wanted = {*context.own_tools, *(context.toolbox.names if definition.tools is None else definition.tools)}
    return context.toolbox.schemas(name for name in context.toolbox.names if name in wanted)


@dataclass(frozen=True, slots=True)
class ToolSuggestion:
    """The tools a small model selects from."""

    tools: list[dict[str, Any]]
    """The schemas it is shown, always the same so that their prompt stays cached. The first means no tool."""
    grammar: dict[str, Any]
    """JSON schema of the one call that it writes."""


def suggest_tools(schemas: list[dict[str, Any]], text: str) -> ToolSuggestion | None:
    """Return the tools that a text gives a reason for; None if it gives none.

    A tool without cues is always possible. If the text holds a tool's cue, selecting no tool is not allowed.
    """
    names = [schema["function"]["name"] for schema in schemas]
    called_for = {name for name in names if _has_cue(name, text)}
    possible = called_for | (set(names) - _cues().keys())
    if not possible:
        return None
    shown = [_NO_TOOL_SCHEMA, *schemas]
    if not called_for:
        possible.add(NO_TOOL)
    calls = [_call_schema(schema["function"]) for schema in shown if schema["function"]["name"] in possible]
    return ToolSuggestion(shown, {"anyOf": calls})


def _call_schema(function: dict[str, Any]) -> dict[str, Any]:
    closed = {"type": "object", "additionalProperties": False}
    parameters = {**function["parameters"], "additionalProperties": False}
    parts = {"name": {"const": function["name"]}, "arguments": parameters}
    return {**closed, "properties": parts, "required": list(parts)}


def _has_cue(name: str, text: str) -> bool:
    cue = _cues().get(name)
    return cue is not None and bool(cue.search(text[:_MAX_CUE_CHARS]))


@cache
def _cues() -> dict[str, re.Pattern[str]]:
    cues = tomllib.loads(resources.files(__package__).joinpath("tool_cues.toml").read_text("utf-8"))
    return {name: re.compile("|".join(patterns), re.IGNORECASE) for name, patterns in cues.items()}
