"""Compare the result of a word problem with that of a program, and answer again where they differ.

It is done only with a local model, if the setting ``self_consistency`` allows it. The model writes a short program over
the problem's numbers, which the sandbox runs. Where it comes to another number, the problem is answered again, and the
number that two ways share stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from fractions import Fraction
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.runtime import Runtime

from qwendesk.agents.checks.answer_language import word_problem_language
from qwendesk.agents.checks.code_blocks import python_blocks
from qwendesk.agents.checks.conclusion import concluding_value
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
from qwendesk.errors import EngineError, ToolError
from qwendesk.messages import AnswerReset, Check, Notice, TextDelta
from qwendesk.prompts import render

PROGRAM = "a program comes to the same result"
_EXAMPLE: tuple[BaseMessage, ...] = (
    HumanMessage("A box holds 6 eggs. Mia buys 3 boxes and uses 4 of the eggs. How many eggs are left?"),
    AIMessage(
        "```python\ndef solution():\n    eggs_in_box = 6\n    boxes = 3\n    used = 4\n"
        "    bought = eggs_in_box * boxes\n    return bought - used\n```"
    ),
)
_CALL = "\nsolution()"
_MAX_PROGRAM_TOKENS = 400
_MIN_RESULTS = 3
"""Results of which no two agree, before an answer is said not to have passed."""
_TOLERANCE = Fraction(1, 500)
"""Share of a result in which two may differ, since answers round."""
_MAX_RESULT, _MAX_RESULT_CHARS = 10**15, 40


def is_compared(state: TurnState, context: TurnContext) -> bool:
    """Return whether an answer's result is compared with that of a program: a word problem's of a local model."""
    if context.self_consistency < 2 or state["decision"].role != "math" or state["tool_uses"]:
        return False
    if state.get("escalation") or state.get("kept_answer") or word_problem_language(state["inbound"].text) is None:
        return False
    return context.pool.engine(chosen_model(state).engine).is_local


async def vote(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Compare the result with a program's, ask again until two agree, and show the first answer with that number."""
    context, first = runtime.context, answer_text(state)
    context.emit(Notice("Working the problem out in another way, to compare the results"))
    value, spent = await _programs_result(state, context)
    values = [(_concluded(first, state), first), (value, "")]
    while len(values) < context.self_consistency and _agreed(values) is None:
        text, usage = await _another(state, context, len(values) - 1)
        spent += usage
        values.append((_concluded(text, state), text))
    agreed = _agreed(values)
    spent = replace(spent, first_at=None)
    note = f"results of the problem, the second one of a program: {', '.join(map(_shown, values))}"
    if agreed is None or agreed == first:
        return {"usage": spent, "notes": [note], "checks": [*state["checks"], *_compared(values, agreed)]}
    context.emit(AnswerReset("another way gives another number twice", chosen_model(state).card.name))
    context.emit(TextDelta(agreed))
    checks = await role_checks(state["decision"].role, agreed, context.sandbox, state["inbound"])
    return {
        "messages": [AIMessage(agreed)],
        "try_start": len(state["messages"]),
        "checks": [*checks, *_compared(values, agreed)],
        "usage": spent,
        "notes": [f"{note}; the answer with the shared one stands"],
    }


async def _programs_result(state: TurnState, context: TurnContext) -> tuple[Fraction | None, TokenUsage]:
    """Return the number that a program of the model comes to, and the program's cost; None: it comes to none."""
    prompt = [
        SystemMessage(render("word_program", folder=context.prompts)),
        *_EXAMPLE,
        HumanMessage(state["inbound"].text),
    ]
    settings = {"think": False, "temperature": 0.1, "seed": context.seed or 0, "max_tokens": _MAX_PROGRAM_TOKENS}
    text, usage = await _written(state, context, prompt, settings)
    code = "\n".join(python_blocks(text)) or text
    try:
        ran = await context.sandbox.run(code + _CALL, inbound=state["inbound"])
    except ToolError:
        return None, usage
    return _result(ran.value if ran.ok else None), usage


def _concluded(text: str, state: TurnState) -> Fraction | None:
    """Return the number that an answer concludes with; None if there is none, or one that no word problem has."""
    value = concluding_value(text, state["language"])
    return value if value is not None and abs(value) <= _MAX_RESULT else None


def _result(value: str | None) -> Fraction | None:
    """Return the number that a program returns; None if it returns none, or one that no word problem has."""
    if not value or len(value) > _MAX_RESULT_CHARS:
        return None
    try:
        number = float(value)
        return Fraction(value) if abs(number) <= _MAX_RESULT else None
    except ValueError:
        return None


def _compared(values: Sequence[tuple[Fraction | None, str]], agreed: str | None) -> list[Check]:
    """Return the check of the result that stands against the program's.

    There is none where other ways outvote the program, or only two numbers stand against each other.
    """
    (first, _), (program, _) = values[:2]
    value = next((value for value, written in values if written == agreed), first)
    if value is None or program is None:
        return []
    if _is_same(value, program):
        return [Check(PROGRAM, "passed", f"{float(value):g}")]
    if agreed or len(values) < _MIN_RESULTS:
        return []
    return [Check(PROGRAM, "failed", f"{float(program):g} instead of {float(value):g}")]


async def _another(state: TurnState, context: TurnContext, number: int) -> tuple[str, TokenUsage]:
    """Return a further answer as it stands after the guards, and its cost; empty if it has a fault."""
    definition = role_definition(state["decision"].role)
    before: TurnState = {**state, "messages": state["messages"][:1]}
    settings = {
        **call_settings(before, definition, context, []),
        **resampling_settings(state, context, number),
    }
    text, usage = await _written(state, context, build_prompt(before, definition.prompt, context), settings)
    stream = await asyncio.to_thread(what_stands, text, guards_of(state, context), with_whole=True)
    return "" if stream.findings else text, usage


async def _written(
    state: TurnState, context: TurnContext, prompt: list[BaseMessage], settings: dict[str, Any]
) -> tuple[str, TokenUsage]:
    """Return what the turn's model writes, and its cost; empty if its engine fails."""
    collected = CollectedStream()
    answering = context.pool.fallback_chat(chosen_model(state), context.progress)
    try:
        async with aclosing(answering.stream(prompt, **settings)) as chunks:
            async for chunk in chunks:
                collected.add(chunk)
    except EngineError:
        return "", collected.usage()
    return collected.message().text.strip(), collected.usage()


def _agreed(values: Sequence[tuple[Fraction | None, str]]) -> str | None:
    """Return the first answer whose number another way has; None if there is none."""
    numbers = [value for value, _ in values if value is not None]
    shared = [(value, text) for value, text in values if value is not None and text]
    return next((text for value, text in shared if sum(_is_same(value, one) for one in numbers) > 1), None)


def _is_same(first: Fraction, second: Fraction) -> bool:
    """Return whether two results are one, rounded or as a share and in percent."""
    least = _TOLERANCE * max(abs(first), abs(second))
    return abs(first - second) <= least or abs(first - 100 * second) <= abs(first) * _TOLERANCE


def _shown(value: tuple[Fraction | None, str]) -> str:
    return "no number" if value[0] is None else f"{float(value[0]):g}"
