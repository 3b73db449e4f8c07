"""Correct in an answer what a program can prove wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Container, Mapping
from typing import Any, Literal

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from qwendesk.agents.algebra_answers import shown_result
from qwendesk.agents.checks.answer_language import ANSWER_LANGUAGE
from qwendesk.agents.checks.arithmetic import ARITHMETIC, correct_arithmetic
from qwendesk.agents.checks.conclusion import CONCLUSION, correct_conclusion
from qwendesk.agents.checks.final_answer import FINAL_ANSWER, fill_boxes
from qwendesk.agents.checks.stated_output import STATED_OUTPUT, correct_stated_output
from qwendesk.agents.checks.tool_results import CALCULATORS, GROUNDED, STATES_RESULT, contradicts_results
from qwendesk.agents.guarded_answer import without_orders
from qwendesk.agents.model_call import answer_text, chosen_model
from qwendesk.agents.phrases import phrase
from qwendesk.agents.roles import is_small
from qwendesk.agents.state import TurnContext, TurnState, answer_language
from qwendesk.messages import AnswerReset, Check, TextDelta, ToolUse
from qwendesk.routing.signals.language import english_name

_MAX_WITHHELD_CHARS = 400
_SENTENCES = re.compile(r".+?(?:[.!?](?=\s|$)\s*|[。！？]|$)")
_MENDABLE = (ARITHMETIC, STATES_RESULT, STATED_OUTPUT, FINAL_ANSWER, CONCLUSION)


def ending(state: TurnState) -> Literal["mend", "reply"]:
    """Return the node that follows the last try."""
    failed = {check.name for check in state["checks"] if check.outcome == "failed"}
    return "mend" if not failed.isdisjoint(_MENDABLE) or _misses_language(failed, state) else "reply"


def told_result(state: TurnState) -> ToolUse | None:
    """Return the last call of a small model whose result is a text that is written for people."""
    last = state["tool_uses"][-1] if state["tool_uses"] else None
    is_told = last is not None and last.ok and bool(last.result.strip()) and last.result.lstrip()[0] not in "{["
    return last if is_told and is_small(chosen_model(state).card) else None


def _misses_language(failed: Container[str], state: TurnState) -> bool:
    return ANSWER_LANGUAGE in failed and told_result(state) is not None


async def mend(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Withhold what contradicts a calculated result; replace wrong results of sums and code, and what repeats them."""
    text, language = answer_text(state), answer_language(state)
    failed = {check.name: check for check in reversed(state["checks"]) if check.outcome == "failed"}
    result = failed.get(STATES_RESULT)
    # a long answer of a larger model may say more than its last calculation
    may_withhold = len(text) <= _MAX_WITHHELD_CHARS or is_small(chosen_model(state).card)
    if result and may_withhold and contradicts_results(text, state["tool_uses"], language):
        return _replaced(state, runtime.context, _result_alone(result, language), result)
    if _misses_language(failed, state):
        return await _results_alone(state, runtime.context)
    return await _corrected(state, runtime.context, failed)


async def _results_alone(state: TurnState, context: TurnContext) -> dict[str, Any]:
    """Let the results of the last calls stand for an answer in another language, behind a heading in the person's."""
    language, last = answer_language(state), state["tool_uses"][-1]
    results = [use.result.strip() for use in state["tool_uses"] if use.ok and use.round == last.round]
    title = phrase("calculated" if last.name in CALCULATORS else "looked_up", language)
    told = _titled(title, "\n".join(await without_orders(results, state, context)), language)
    reason = f"the answer was not in {english_name(language) or language}"
    return _with_text(state, context, told, (reason, [f"{reason}; the result stands instead"]), (*_MENDABLE, GROUNDED))


async def _corrected(state: TurnState, context: TurnContext, failed: Mapping[str, Check]) -> dict[str, Any]:
    """Replace wrong results of sums and code, and what repeats them or concludes from them."""
    text, language = answer_text(state), answer_language(state)
    mended, notes = text, list[str]()
    if STATED_OUTPUT in failed:
        found = await correct_stated_output(text, context.sandbox, state["inbound"], language)
        if found:
            printed = f"{phrase('calculated', language)}: **{' '.join(found.printed.split())}**"
            mended = found.text if found.is_whole else f"{found.text}\n\n{printed}"
            notes.append(f"corrected: {failed[STATED_OUTPUT].detail}")
    if ARITHMETIC in failed:
        corrected = await asyncio.to_thread(correct_arithmetic, mended, state["inbound"].text, language)
        mended = corrected.text
        notes += [f"corrected: {one.shown}, but it is {one.value}" for one in corrected.corrections]
    is_concluded = True
    if CONCLUSION in failed:
        before = mended
        mended, is_concluded = await asyncio.to_thread(correct_conclusion, mended, state["inbound"].text, language)
        if mended != before:
            notes.append(f"{'corrected' if is_concluded else 'withheld'}: {failed[CONCLUSION].detail}")
    if mended != text:
        mended = _without_verdicts(mended, language)
    if FINAL_ANSWER in failed:
        mended = fill_boxes(mended)
        notes.append(f"corrected: {failed[FINAL_ANSWER].detail}")
    if mended == text:
        return {}
    left_open = (STATES_RESULT, *(() if is_concluded else (CONCLUSION,)))
    done = tuple(name for name in _MENDABLE if name in failed and name not in left_open)
    return _with_text(state, context, mended, (notes[0], notes), done)


def _without_verdicts(text: str, language: str | None) -> str:
    """Drop the sentences that say yes or no without a calculation: they were concluded from wrong numbers."""
    words = {phrase(word, code) for word in ("yes", "no") for code in (language, "en")}
    verdict = re.compile(rf"[\s*_#>]*(?:{'|'.join(map(re.escape, words))})\s*[,，、.。!！:：;–—]", re.IGNORECASE)
    lines = text.split("\n")
    kept = [
        "".join(part for part in _SENTENCES.findall(line) if "=" in part or not verdict.match(part)) for line in lines
    ]
    rest = "\n".join(line for line, before in zip(kept, lines, strict=True) if line.strip() or not before.strip())
    return rest.strip() or text


def _replaced(state: TurnState, context: TurnContext, text: str, check: Check) -> dict[str, Any]:
    reason = f"the answer did not state the result {check.detail}"
    return _with_text(state, context, text, (reason, [f"{reason}; it was withheld"]), _MENDABLE)


def _with_text(
    state: TurnState, context: TurnContext, text: str, reason: tuple[str, list[str]], mended: tuple[str, ...]
) -> dict[str, Any]:
    """Show a text in place of the answer, and return the state with it."""
    context.emit(AnswerReset(reason[0], chosen_model(state).card.name))
    context.emit(TextDelta(text))
    return {
        "messages": [AIMessage(text)],
        "try_start": len(state["messages"]),
        "kept_answer": "",
        "mended": mended,
        "notes": reason[1],
    }


def _result_alone(check: Check, language: str | None) -> str:
    return _titled(phrase("calculated", language), check.detail, language)


def _titled(title: str, result: str, language: str | None) -> str:
    """Return a tool's result behind a heading."""
    return f"{title}:\n\n{result}" if "\n" in result else f"{title}: **{shown_result(result, language)}**"
