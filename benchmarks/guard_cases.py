"""Answers to measure guards by, each with what it is compared with."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qwendesk.agents.guarded_answer import FEEDBACK
from qwendesk.agents.guards.base import AnswerContext, Guard
from qwendesk.agents.guards.stream import GuardedStream, find_whole_fault
from qwendesk.messages import Role, ToolUse
from qwendesk.prompts import render

ROOT = Path(__file__).parent.parent
TOOLS = ("python", "algebra", "clock", "search_knowledge", "order_status", "cancel_order")
OPERATOR = (
    "You answer for Corner Shop, which sells tea. Never mention the warehouse in Leipzig to customers. "
    "Always offer the green tea of the week before you say goodbye. Do not discuss prices of other shops. "
    "Du duzt die Kunden und nennst nie einen Rabatt von mehr als zehn Prozent. "
    "We open at nine and close at six. Tea can be returned within thirty days."
)


@dataclass(frozen=True)
class Case:
    """An answer, and what it is compared with."""

    source: str
    answer: str
    context: AnswerContext


def system_prompt(role: Role = "general", english: str = "English") -> str:
    """Return the desk's part of a system prompt."""
    return f"{render(role, folder=None, language=english, asked=False, tools=True)}\n{FEEDBACK}"


def case(source: str, question: str, answer: str, code: str | None = "en", **more: object) -> Case:
    """Return a case in a desk with operators and tools."""
    begin = AnswerContext(question, code, system_context=OPERATOR, tool_names=TOOLS, system_prompt=system_prompt())
    return Case(source, answer, replace(begin, **more))  # type: ignore[arg-type]


def rows(data: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a question file."""
    file = next((place / name for place in (data, data.parent / "routing") if (place / name).is_file()), None)
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file else []


def passage_use(passage: str) -> ToolUse:
    """Return a search that found one passage."""
    return ToolUse("search_knowledge", {"query": "it"}, True, f"[1] article.md\n> {passage}", 1.0)


def found(one: Case, guards: tuple[type[Guard], ...]) -> list[tuple[str, str]]:
    """Return the guards that find a fault, with its words."""
    made = [guard(one.context) for guard in guards]
    stream = GuardedStream(made, lambda _: None, stops=False)
    stream.feed(one.answer)
    stream.finish()
    findings = list(stream.findings)
    if whole := find_whole_fault(made, one.answer):
        findings.append(whole)
    return [(finding.guard.key, finding.detail) for finding in findings]
