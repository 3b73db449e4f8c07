"""Finish the answer: corrections of failed checks, sources, or a refusal without a model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from qwendesk.agents.algebra_answers import shown_result
from qwendesk.agents.checks.answer_language import ANSWER_LANGUAGE
from qwendesk.agents.checks.answered_parts import ANSWERED_PARTS
from qwendesk.agents.checks.call_schema import shown_call
from qwendesk.agents.checks.operands import OPERANDS
from qwendesk.agents.checks.tool_results import (
    ADMITS_FAILURE,
    GROUNDED,
    NAMES_CHOICES,
    STATES_RESULT,
    failure_reason,
    unresolved_failures,
)
from qwendesk.agents.guarded_answer import guards_of, what_stands, without_orders
from qwendesk.agents.guards.all_guards import GUARD_CHECKS
from qwendesk.agents.model_call import answer_text, chosen_model
from qwendesk.agents.nodes.retrieve import source_link
from qwendesk.agents.nodes.tools import would_call
from qwendesk.agents.phrases import phrase
from qwendesk.agents.state import TurnContext, TurnState, answer_language
from qwendesk.messages import (
    AnswerReset,
    Check,
    DocumentSearch,
    Held,
    PendingCall,
    Role,
    Source,
    TextDelta,
    ToolUse,
)
from qwendesk.search_terms import query_terms

_MISSING_MODEL_HINTS = {
    "vision": ("no_vision_model", "'qwendesk models pull qwen2.5-vl-3b' / Ollama: qwen2.5vl:3b"),
    "audio": ("no_audio_model", "'qwendesk models pull qwen2.5-omni-3b' / transformers: Qwen2-Audio"),
}
"""By role that may lack a model: the key of the sentence, and the command that adds such a model."""
_TITLES = {STATES_RESULT: "calculated", NAMES_CHOICES: "looked_up", GROUNDED: "looked_up"}
"""By failed check: the heading of the tool's result that is added."""
_UNMARKED = (ADMITS_FAILURE, ANSWER_LANGUAGE, *GUARD_CHECKS)
"""Checks whose failure adds no line: another line says it, the answer shows it, or what was at fault is not in it."""
_CITED = re.compile(r"(?<!\w)\[(\d+)\](?!\()")
"""The number of a passage, which is neither an index nor the text of a link."""
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_MIN_SHARED_TERMS = 2
"""Terms that an answer without citations must share with a passage to count as taken from it."""
_HELD_PHRASES: dict[Held, str] = {
    "declined": "not_approved",
    "nobody to ask": "nobody_approves",
    "ask alone": "ask_alone",
    "dry run": "dry_run",
}


async def reply(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Finish the model's answer; if it gave none, answer with the last tool's result."""
    emit = runtime.context.emit
    text = answer_text(state)
    if text:
        cited = "\n".join(cited_sources(text, state.get("searches", ())))
        parts = await without_orders(_appended_paragraphs(state, runtime.context), state, runtime.context)
        held = held_calls(state)
        added = [f"\n\n{part}" for part in (*parts, held, cited) if part]
        for part in added:
            emit(TextDelta(part))
        return {"text": "".join([text, *added])}
    last = [use.result for use in state["tool_uses"] if use.ok][-1:]
    results = await without_orders(last, state, runtime.context)
    failed = _failures(state, runtime.context)
    said = "\n\n".join(filter(None, [*results, *failed, held_calls(state)]))
    instead = said or phrase("no_answer", answer_language(state))
    emit(TextDelta(instead))
    has_said = any(isinstance(message, AIMessage) and message.text.strip() for message in state["messages"])
    return {"text": instead, "notes": [] if has_said else ["the model itself gave no text"]}


def _appended_paragraphs(state: TurnState, context: TurnContext) -> list[str]:
    """Return the paragraphs appended to an answer that failed checks: the tool's result, or the mistake."""
    failed = [check for check in state["checks"] if check.outcome == "failed"]
    language, mended = answer_language(state), state.get("mended", ())
    added = next((check for check in failed if check.name in _TITLES and check.name not in mended), None)
    marks = [] if added is None else [_correction(phrase(_TITLES[added.name], language), added.detail, language)]
    left_out = (*_TITLES, *_UNMARKED, *mended)
    marks += [_mark(check, language) for check in failed if check.name not in left_out]
    return marks + (_failures(state, context) if any(check.name == ADMITS_FAILURE for check in failed) else [])


def _correction(title: str, found: str, language: str | None) -> str:
    """Return a tool's result for the end of an answer that does not state it."""
    return f"{title}:\n\n{found}" if "\n" in found else f"{title}: **{shown_result(found, language)}**"


def _mark(check: Check, language: str | None) -> str:
    """Return the line about a failed check."""
    if check.name == OPERANDS:
        return phrase("unchecked_numbers", language).format(numbers=_line(check))
    if check.name == ANSWERED_PARTS:
        return phrase("unanswered_parts", language).format(parts=_line(check))
    return phrase("check_failed", language).format(detail=_line(check))


def _line(check: Check) -> str:
    return " ".join(check.detail.split()) or check.name


def _failures(state: TurnState, context: TurnContext) -> list[str]:
    """Return the failed steps, for operators with the reasons: an error may contain paths."""
    text = phrase("tool_failed", answer_language(state))
    tells_why = state["inbound"].for_operator
    failed = unresolved_failures(state["tool_uses"], context.toolbox.all_names)
    uses = [(use.name, failure_reason(use) if tells_why else "") for use in failed]
    return [text.format(tool=name, reason=f": {why}" if why else "") for name, why in uses]


def approval_question(state: TurnState, calls: Iterable[PendingCall]) -> str:
    """Return the sentence that asks for an approval."""
    text, inbound = phrase("approval_needed", answer_language(state)), state["inbound"]
    if not inbound.for_operator:
        end = next((sign for sign in "。।" if sign in phrase("no_answer", answer_language(state))), ".")
        return text.format(calls="").rstrip(" :：") + end
    if inbound.group:
        # others read along, and the arguments may be the person's own
        return text.format(calls=", ".join(dict.fromkeys(call.tool for call in calls)))
    return text.format(calls=", ".join(shown_call(call.tool, call.arguments) for call in calls))


def held_calls(state: TurnState) -> str:
    """Return what was not done because nobody approved it; empty if there is nothing."""
    uses = {why: [use for use in state["tool_uses"] if use.held == why] for why in _HELD_PHRASES}
    return "\n".join(_about(why, held, state) for why, held in uses.items() if held)


def _about(why: Held, uses: Iterable[ToolUse], state: TurnState) -> str:
    """Return a sentence about calls, with their tools for operators; arguments may be an order of others.

    Who tries the desk out wants to see the arguments, too.
    """
    sentence, inbound = phrase(_HELD_PHRASES[why], answer_language(state)), state["inbound"]
    if not inbound.for_operator:
        return sentence
    is_shown = why == "dry run" and not inbound.group
    calls = [would_call(use.name, use.arguments) if is_shown else use.name for use in uses]
    return f"{sentence} ({', '.join(dict.fromkeys(calls))})"


async def decline(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Answer without a model: a call that is not approved, no model, the desk's own line, or a missing picture."""
    decision, language = state["decision"], answer_language(state)
    if held := held_calls(state):
        said, uses = _guarded(answer_text(state), state, runtime.context), state["tool_uses"]
        results = [use.result for use in uses if use.ok and use.round == uses[-1].round]
        parts = [*await without_orders(results, state, runtime.context), held]
        text = "\n\n".join(filter(None, parts))
        runtime.context.emit(TextDelta(f"\n\n{text}" if said else text))
        return {"text": "\n\n".join(filter(None, (said, text)))}
    text = state.get("machine_notice", "")
    if not text:
        hint = state["inbound"].for_operator
        text = (
            phrase("missing_picture", language)
            if decision.lacks_picture
            else missing_model_text(decision.role, language, hint=hint)
        )
    runtime.context.emit(TextDelta(text))
    return {"text": text}


def _guarded(said: str, state: TurnState, context: TurnContext) -> str:
    """Return what the model said before its call as it stands after the guards, now that the call is not run."""
    stands = what_stands(said, guards_of(state, context)).text.strip()
    if stands != said:
        context.emit(AnswerReset("a call was not approved", chosen_model(state).card.name))
        if stands:
            context.emit(TextDelta(stands))
    return stands


def missing_model_text(role: Role, language: str | None, *, hint: bool = True) -> str:
    """Return the sentence for a role without an available model.

    Args:
        role: the role.
        language: the person's language.
        hint: whether to add how an operator installs such a model.
    """
    if role not in _MISSING_MODEL_HINTS:
        return phrase("no_answer", language)
    refusal, how = _MISSING_MODEL_HINTS[role]
    added = f" {phrase('can_be_added', language).format(how=how)}" if hint else ""
    return f"{phrase(refusal, language)}{added}"


def cited_sources(answer: str, searches: Iterable[DocumentSearch]) -> list[str]:
    """Return title and link of the passages of this turn's searches that an answer cites, or of the closest one.

    The passages of a turn are numbered through all its searches.
    """
    passages = [(source, search.outcome) for search in searches for source in search.sources]
    numbered = {str(number): source for number, (source, _) in enumerate(passages, 1)}
    answering = {str(n): source for n, (source, outcome) in enumerate(passages, 1) if outcome in ("answered", "found")}
    cited = [number for number in dict.fromkeys(_CITED.findall(_CODE.sub(" ", answer))) if number in numbered]
    lines: dict[str, list[str]] = {}
    for number in cited or _closest_passage(answer, answering):
        lines.setdefault(source_link(numbered[number]), []).append(f"[{number}]")
    return [f"{' '.join(numbers)} {link}" for link, numbers in lines.items()]


def _closest_passage(answer: str, passages: dict[str, Source]) -> list[str]:
    stated = set(query_terms(answer))
    shared = {
        number: len(stated & set(query_terms(f"{source.citation} {source.text}")))
        for number, source in passages.items()
    }
    best = max(shared, key=lambda number: shared[number], default=None)
    return [best] if best and shared[best] >= _MIN_SHARED_TERMS else []
