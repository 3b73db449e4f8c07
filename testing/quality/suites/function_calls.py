"""BFCL: calls of functions, compared with accepted values by the rules of its single-turn part."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwendesk.testing.quality.base import Answer, Question, Score, ScriptedTool, Suite, ToolCall
from qwendesk.testing.quality.reading import find_file, read_rows
from qwendesk.tools.base import DESK_TOOLS
from qwendesk.tools.sandbox import PythonSandbox

_IRRELEVANT = "irrelevance"
"""Ending of the categories whose questions no function fits."""
_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string", "integer": "integer"}
"""BFCL's names of types, by those of JSON schema."""
_SKIPPED = re.compile(r"[ ,./\-_*^()]")
"""Characters that a comparison of texts ignores."""


class FunctionCalls(Suite):
    """Functions to call: all calls, each argument among the accepted values, in any order."""

    name = "bfcl"
    summary = "Calls of functions: all of them, with arguments among the accepted values."
    files = ("bfcl.jsonl",)

    def questions(self, data: Path | None) -> list[Question]:
        """Return the questions that a function fits; the group is the category."""
        asked = read_rows(find_file(data, self.name, self.files), _question)
        return [question for question in asked if not question.group.endswith(_IRRELEVANT)]

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Compare the calls with the expected ones."""
        calls = counted_calls(question, answer)
        fault = calls_fault(calls, question.row["expected"], question.tools)
        marks = () if calls else ("no call",)
        return Score(not fault, fault or "all calls are right", marks)


class Irrelevance(Suite):
    """Questions that no offered function fits: right without a call."""

    name = "irrelevance"
    summary = "Questions that none of the offered functions fits: right without a call."
    files = ("bfcl.jsonl",)

    def questions(self, data: Path | None) -> list[Question]:
        """Return the questions that no function fits."""
        asked = read_rows(find_file(data, self.name, self.files), _question)
        return [question for question in asked if question.group.endswith(_IRRELEVANT)]

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Look for calls of the offered functions."""
        names = [call.name for call in counted_calls(question, answer)]
        return Score(not names, f"called {', '.join(names)}" if names else "no call")


def _question(row: dict[str, Any]) -> Question:
    tools = tuple(map(_tool, row["functions"]))
    expected = [{_name(name): values for name, values in call.items()} for call in row.get("expected") or ()]
    category = str(row["category"])
    if not tools or not (expected or category.endswith(_IRRELEVANT)):
        raise ValueError("no functions, or no expected call")
    return Question(str(row["id"]), str(row["question"]), category, tools, row={"expected": expected})


def _tool(function: Mapping[str, Any]) -> ScriptedTool:
    return ScriptedTool(
        _name(str(function["name"])), str(function.get("description", "")), _schema(function["parameters"])
    )


def _name(name: str) -> str:
    """Return a function's name without points, which engines do not accept in names."""
    return name.replace(".", "_")


def _schema(schema: Any) -> Any:
    """Return a schema with the types of JSON schema."""
    if isinstance(schema, list):
        return [_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _schema(value) for key, value in schema.items()}
    if isinstance(kind := converted.get("type"), str):
        converted["type"] = _TYPES.get(kind.lower(), kind.lower())
    return converted


def counted_calls(question: Question, answer: Answer) -> list[ToolCall]:
    """Return an answer's calls without those of the desk's own tools; a call that a later round repeats counts once."""
    own = {*DESK_TOOLS} - {tool.name for tool in question.tools}
    counted: list[ToolCall] = []
    for call in answer.calls:
        if call.name in own:
            continue
        is_repeated = any(
            known.name == call.name and known.arguments == call.arguments and known.round < call.round
            for known in counted
        )
        if not is_repeated:
            counted.append(call)
    return counted


def calls_fault(calls: Sequence[ToolCall], expected: Sequence[Mapping[str, Any]], tools: Sequence[ScriptedTool]) -> str:
    """Return what is wrong with the calls; empty if each expected call was made and no other."""
    if len(calls) != len(expected):
        return f"{len(calls)} calls where {len(expected)} are expected"
    schemas = {tool.name: tool.parameters for tool in tools}
    left = list(expected)
    for call in calls:
        faults = [_call_fault(call, wanted, schemas) for wanted in left]
        fitting = next((index for index, fault in enumerate(faults) if not fault), None)
        if fitting is None:
            return faults[0]
        left.pop(fitting)
    return ""


def _call_fault(call: ToolCall, wanted: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]]) -> str:
    name, accepted = next(iter(wanted.items()))
    if call.name != name:
        return f"{call.name} is called instead of {name}"
    if not isinstance(call.arguments, dict):
        return f"the arguments of {name} are not an object"
    required = schemas.get(name, {}).get("required", ())
    if missing := [key for key in required if key not in call.arguments]:
        return f"{name} lacks {missing[0]!r}"
    for key, value in call.arguments.items():
        if key not in accepted:
            return f"{name} has no {key!r}"
        if not any(is_accepted(value, one) for one in accepted[key]):
            return f"{name}: {key!r} is {_short(value)}, accepted: {_short(accepted[key])}"
    needed = [key for key, values in accepted.items() if key not in call.arguments and "" not in values]
    return f"{name} lacks {needed[0]!r}" if needed else ""


def is_accepted(value: Any, wanted: Any) -> bool:
    """Return whether an argument has an accepted value: texts without case and signs, numbers by their value.

    The accepted value of an object lists the accepted values of each key.
    """
    if isinstance(wanted, dict):
        return isinstance(value, dict) and _is_accepted_object(value, wanted)
    if isinstance(wanted, list):
        return isinstance(value, list) and len(value) == len(wanted) and all(map(is_accepted, value, wanted))
    if isinstance(value, str) and isinstance(wanted, str):
        return _plain(value) == _plain(wanted)
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)


def _is_accepted_object(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    if any(key not in wanted for key in value):
        return False
    for key, accepted in wanted.items():
        options = accepted if isinstance(accepted, list) else [accepted]
        if key in value:
            if not any(is_accepted(value[key], one) for one in options):
                return False
        elif "" not in options:
            return False
    return True


def _plain(text: str) -> str:
    return _SKIPPED.sub("", text).lower().replace("'", '"')


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:79]}…"
