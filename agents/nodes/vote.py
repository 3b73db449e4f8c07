"""Answer a word problem again where its calculation is in doubt, and take the number that most answers conclude with.

It is asked only of a local model, if the setting ``self_consistency`` allows it: first one more answer, and a further
one where the two differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from fractions import Fraction
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from qwendesk.agents.checks.answer_language import word_problem_language
from qwendesk.agents.checks.arithmetic import ARITHMETIC
from qwendesk.agents.checks.conclusion import CONCLUSION, concluding_value
from qwendesk.agents.checks.operands import OPERANDS
from qwendesk.agents.guarded_answer import guards_of, what_stands
from qwendesk.agents.model_call import (
    CollectedStream,
    answer_text,
    build_prompt,
    call_settings,
    chosen_model,
    resampling_settings,
)
from qwendesk.agents.roles import role_checks, role_definition
from qwendesk.agents.state import TokenUsage, TurnContext, TurnState
from qwendesk.errors import EngineError
from qwendesk.messages import AnswerReset, Check, Notice, TextDelta


def is_in_doubt(state: TurnState, context: TurnContext, checks: Sequence[Check]) -> bool:
    """Return whether further answers are asked for: of a word problem whose checks failed or found nothing to check."""
    if context.self_consistency < 2 or state["decision"].role != "math" or state["tool_uses"]:
        return False
    if state.get("escalation") or state.get("kept_answer") or word_problem_language(state["inbound"].text) is None:
        return False
    if not context.pool.engine(chosen_model(state).engine).is_local:
        return False
    outcomes = {check.name: check.outcome for check in checks}
    failed = any(outcomes.get(name) == "failed" for name in (ARITHMETIC, OPERANDS, CONCLUSION))
    return failed or ARITHMETIC not in outcomes


async def vote(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Ask again until two answers conclude with one number, and show the first answer of these."""
    context, first = runtime.context, answer_text(state)
    values = [(concluding_value(first, state["language"]), first)]
    spent = TokenUsage()
    context.emit(Notice("Working the problem out again, to compare the results"))
    while len(values) < context.self_consistency and (agreed := _agreed(values)) is None:
        text, usage = await _another(state, context, len(values))
        spent += replace(usage, first_at=None)
        values.append((concluding_value(text, state["language"]), text))
    agreed = _agreed(values)
    note = f"{len(values)} answers to the problem: {', '.join(map(_shown, values))}"
    if agreed is None or agreed == first:
        return {"usage": spent, "notes": [note]}
    context.emit(AnswerReset("other answers agree on another number", chosen_model(state).card.name))
    context.emit(TextDelta(agreed))
    checks = await role_checks(state["decision"].role, agreed, context.sandbox, state["inbound"])
    return {
        "messages": [AIMessage(agreed)],
        "try_start": len(state["messages"]),
        "checks": checks,
        "usage": spent,
        "notes": [f"{note}; one that agrees with another stands"],
    }


async def _another(state: TurnState, context: TurnContext, number: int) -> tuple[str, TokenUsage]:
    """Return a further answer as it stands after the guards, and its cost; empty if it has a fault."""
    definition = role_definition(state["decision"].role)
    before: TurnState = {**state, "messages": state["messages"][:1]}
    settings = {
        **call_settings(before, definition, context, []),
        **resampling_settings(state, context, number),
    }
    collected = CollectedStream()
    answering = context.pool.fallback_chat(chosen_model(state), context.progress)
    try:
        prompt = build_prompt(before, definition.prompt, context)
        async with aclosing(answering.stream(prompt, **settings)) as chunks:
            async for chunk in chunks:
                collected.add(chunk)
    except EngineError:
        return "", collected.usage()
    text = collected.message().text.strip()
    stream = await asyncio.to_thread(what_stands, text, guards_of(state, context), with_whole=True)
    return "" if stream.findings else text, collected.usage()


def _agreed(values: Sequence[tuple[Fraction | None, str]]) -> str | None:
    """Return the first answer whose number another one has; None if there is none."""
    numbers = [value for value, _ in values]
    return next((text for value, text in values if value is not None and numbers.count(value) > 1), None)


def _shown(value: tuple[Fraction | None, str]) -> str:
    return "no number" if value[0] is None else f"{float(value[0]):g}"
