"""Check the answer; set the turn up for a second try if it needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.runtime import Runtime

from qwendesk.agents.checks.answer_language import (
    ANSWER_LANGUAGE,
    check_answer_language,
    word_problem_language,
)
from qwendesk.agents.checks.answered_parts import ANSWERED_PARTS
from qwendesk.agents.checks.code import CODE_RUNS, MEETS_EXAMPLES
from qwendesk.agents.checks.code_blocks import python_blocks
from qwendesk.agents.checks.operands import OPERANDS
from qwendesk.agents.checks.tool_results import (
    ADMITS_FAILURE,
    check_choices,
    check_failures,
    check_grounded,
    check_result,
    is_refusal,
    report_unchecked,
)
from qwendesk.agents.guarded_answer import FEEDBACK, feedback_on, judge_answer, may_try_again
from qwendesk.agents.guards.echo import EchoGuard
from qwendesk.agents.model_call import answer_text, chosen_model, keep_first_answer
from qwendesk.agents.model_selection import max_thinking_tokens, select_retry
from qwendesk.agents.nodes.mend import ending, told_result
from qwendesk.agents.nodes.vote import is_compared
from qwendesk.agents.roles import is_small, role_checks
from qwendesk.agents.state import Fault, GuardReport, RetryRequest, RetryStep, TurnContext, TurnState, answer_language
from qwendesk.errors import EngineError
from qwendesk.messages import AnswerReset, Check, Notice, TextDelta
from qwendesk.prompt_quoting import one_line
from qwendesk.routing.policy.policy_file import EscalationPolicy
from qwendesk.routing.signals.language import english_name, identify_language

_LANGUAGE_FEEDBACK = "Write the whole answer again in {language}, and only in {language}."
_SAME_MODEL_FEEDBACK = {
    OPERANDS: (
        "Your calculation uses {detail}, which stands neither in the question nor in an earlier step. "
        "Solve the question again, with its own numbers."
    ),
    ANSWERED_PARTS: "Your answer leaves out: {detail}. Write the whole answer again, with this part as well.",
}
"""By check: what the same model is told in a second try, where the fault names what to mend."""
_RESAMPLED = (MEETS_EXAMPLES, CODE_RUNS)
"""Checks that a program decides, so that another sample of the same model can be told to be better; the milder first.

A small model that is told the fault writes the same code again.
"""
_NO_MISTAKES = (ADMITS_FAILURE, ANSWER_LANGUAGE)
"""Checks whose failure is no mistake that a stronger model would mend."""


async def check(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Run the guards of the whole answer and the role's checks on it."""
    context = runtime.context
    text, kept = answer_text(state), dict[str, Any]()
    request = state.get("retry_request")
    if request and request.first_answer and (missing := _missing(text, request)):
        text = request.first_answer
        kept = keep_first_answer(request, f"{chosen_model(state).card.name} gave {missing}", context)
    report = state.get("guard_report", GuardReport())
    checks = list(report.checks)
    if (
        text
        and not (kept or state.get("kept_answer"))
        and (judged := await judge_answer(state, context, text, report.fault))
    ):
        fault, stands = judged
        if may_try_again(state, context):
            return {"checks": [], "retry_request": await _guard_retry(state, context, stands, fault)}
        kept = _withdraw(state, context, stands, fault)
        text = kept["kept_answer"]
        checks.append(Check(fault.check, "failed", fault.detail))
    if state["tool_uses"]:
        # in a thread: the first comparison reads the words for units from a file
        checks += await asyncio.to_thread(_compare_with_results, text, state, context.toolbox.all_names)
    found = await role_checks(state["decision"].role, text, context.sandbox, state["inbound"])
    if request and not kept and _is_worse(found, request):
        text = request.first_answer
        kept = keep_first_answer(request, f"{chosen_model(state).card.name} gave worse code", context)
        found = await role_checks(state["decision"].role, text, context.sandbox, state["inbound"])
    checks += found
    if state.get("asked_language") or state["decision"].role == "math" or told_result(state):
        # in a thread: the tables of the identification may not be loaded yet
        checks += await asyncio.to_thread(_compare_languages, text, state)
    second = await _retry_request(state, context, text, checks)
    return {**kept, "checks": checks, **second, "notes": [*kept.get("notes", ()), *second.get("notes", ())]}


def _missing(text: str, request: RetryRequest) -> str | None:
    """Return what a second try lacks, so that the first answer stands; None if it can take its place."""
    if not text:
        return "no answer"
    return "no code" if request.resampled_for and not python_blocks(text) else None


def _is_worse(checks: Sequence[Check], request: RetryRequest) -> bool:
    """Return whether another sample fails a check that the first answer, with a milder fault, did not come to."""
    if not request.resampled_for:
        return False
    worse = _RESAMPLED[_RESAMPLED.index(request.resampled_for) + 1 :]
    return any(check.outcome == "failed" and check.name in worse for check in checks)


def _compare_languages(text: str, state: TurnState) -> list[Check]:
    """Compare the answer's language with the one asked for, or with that of a word problem or a tool's result.

    A small model tells a result in English, or in words of no language, where the question is in another one.
    """
    if asked := state.get("asked_language"):
        return check_answer_language(text, asked)
    if told_result(state):
        own = identify_language(state["inbound"].text)
    else:
        own = word_problem_language(state["inbound"].text) if state["decision"].role == "math" else None
    return check_answer_language(text, own, was_asked=False) if own else []


def _withdraw(state: TurnState, context: TurnContext, kept: str, fault: Fault) -> dict[str, Any]:
    """Replace an answer by what stands of it, and return the state with it.

    The result of a tool says more than that nothing can be said: it is left to the reply.
    """
    context.emit(AnswerReset(fault.detail, chosen_model(state).card.name))
    if fault.check == EchoGuard.name and told_result(state):
        note = f"{fault.detail}; the tool's result stands instead"
        return {"kept_answer": "", "notes": [note], "try_start": len(state["messages"])}
    context.emit(TextDelta(kept))
    withdrawn: dict[str, Any] = {"kept_answer": kept, "notes": [f"{fault.detail}; it was replaced"]}
    # nothing stands beside the desk's own line about a call that was not approved
    return withdrawn if kept else {**withdrawn, "try_start": len(state["messages"])}


async def _guard_retry(state: TurnState, context: TurnContext, kept: str, fault: Fault) -> RetryRequest:
    """Return the second try of an answer at fault: with a stronger model, else with the same one."""
    choice, think = chosen_model(state), state["think"]
    step = await select_retry(context, state["inbound"], state["decision"], choice, think)
    return RetryRequest(
        f"the check {fault.check!r} failed: {fault.detail}",
        step or RetryStep(choice, think),
        feedback_on(fault),
        first_answer=kept,
        first_choice=choice,
        first_think=think,
        is_withdrawn=True,
    )


async def after_check(state: TurnState, runtime: Runtime[TurnContext]) -> Literal["retry", "vote", "mend", "reply"]:
    """Retry if the check asks for it, compare further answers if they are wanted, or mend what a program can."""
    if state.get("retry_request"):
        return "retry"
    return "vote" if is_compared(state, runtime.context) else ending(state)


async def after_vote(state: TurnState) -> Literal["mend", "reply"]:
    """Mend what a program can in the answer that stands."""
    return ending(state)


def _compare_with_results(text: str, state: TurnState, tools: list[str]) -> list[Check]:
    """Compare an answer with the results of its tools.

    Args:
        text: the answer.
        state: the turn.
        tools: the names of all tools.
    """
    uses, language = state["tool_uses"], answer_language(state)
    checks = check_result(text, uses, language)
    checks += report_unchecked(uses, checks)
    checks += check_choices(text, uses)
    checks += check_failures(text, uses, tools)
    if is_small(chosen_model(state).card):
        checks += check_grounded(text, state["inbound"].text, uses, language)
    return checks


def _find_fault(text: str, failed: Check | None, *, has_result: bool, policy: EscalationPolicy) -> str | None:
    """Return the fault of an answer in words; None if none is known.

    Args:
        text: the answer.
        failed: the first check that found a mistake.
        has_result: whether a tool returned something.
        policy: the faults that are retried.
    """
    if policy.empty and not text and not has_result:
        return "the answer was empty"
    if policy.refused and is_refusal(text):
        return "the model said that it cannot help"
    if policy.checks and failed:
        return f"the check {failed.name!r} failed: {failed.detail}"
    return None


async def _retry_request(state: TurnState, context: TurnContext, text: str, checks: list[Check]) -> dict[str, Any]:
    """Return the request for a second try, at most one a turn, and none after a call that was not approved."""
    if any(use.held for use in state["tool_uses"]):
        return {"retry_request": None}
    has_result, policy = any(use.ok for use in state["tool_uses"]), context.policy.escalate
    failed = next((check for check in checks if check.outcome == "failed" and check.name not in _NO_MISTAKES), None)
    found = _find_fault(text, failed, has_result=has_result, policy=policy)
    wrong = next((check for check in checks if check.name == ANSWER_LANGUAGE and check.outcome == "failed"), None)
    language = wrong.detail if wrong and policy.checks else None
    if found is None and language is None:
        return {"retry_request": None}
    if state.get("escalation"):
        return {"retry_request": None, "notes": [f"{found or language}; this was the second try"]}
    choice, think = chosen_model(state), state["think"]
    named = next((check for check in checks if check.outcome == "failed" and check.name in _SAME_MODEL_FEEDBACK), None)
    step = await select_retry(context, state["inbound"], state["decision"], choice, think) if found else None
    if found and step:
        request = RetryRequest(
            found, step, _feedback(found, failed, text), text, first_choice=choice, first_think=think
        )
        return {"retry_request": request}
    # the same model: it wrote the answer, only not with all that was asked, or not in the language, or not at its best
    again, resampled_for = RetryStep(choice, think), ""
    if named and policy.checks and text:
        reason = f"the check {named.name!r} failed: {named.detail}"
        feedback = _feedback(reason, named, text)
    elif language:
        reason = language
        feedback = _LANGUAGE_FEEDBACK.format(language=english_name(answer_language(state)))
    elif found and failed and failed.name in _RESAMPLED and text:
        reason, feedback, resampled_for = found, "", failed.name
    else:
        notes = [f"{found}; there is no stronger model here to ask"] if found else []
        return {"retry_request": None, "notes": notes}
    notes = [f"{found}; there is no stronger model here to ask"] if found and found != reason else []
    request = RetryRequest(
        reason,
        again,
        feedback,
        first_answer=text,
        first_choice=choice,
        first_think=think,
        resampled_for=resampled_for,
    )
    return {"retry_request": request, "notes": notes}


def _feedback(reason: str, failed: Check | None, text: str) -> str:
    """Return what the second try is told; empty after an empty answer or a refusal: the question is asked again."""
    if not (text and failed):
        return ""
    if known := _SAME_MODEL_FEEDBACK.get(failed.name):
        return known.format(detail=one_line(failed.detail))
    return FEEDBACK.format(reason=one_line(reason))


async def retry(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Set the turn up for its second try; if the model cannot be loaded, the first answer is kept."""
    context, request = runtime.context, state["retry_request"]
    if request is None:
        return {}
    step, name = request.step, request.step.choice.card.name
    context.emit(Notice(f"Trying again with {name}{', thinking' if step.think else ''}: {request.reason}"))
    try:
        await context.pool.load(step.choice, context.progress)
    except EngineError as error:
        note = f"{request.reason}; {name} could not be asked: {error}"
        kept = keep_first_answer(request, note, context) if request.is_withdrawn else {"notes": [note]}
        return {**kept, "retry_request": None}
    context.emit(AnswerReset(request.reason, name))
    return {
        "choice": step.choice,
        "think": step.think,
        "think_budget": max_thinking_tokens(context) if step.think else None,
        "thinking_reason": "the second try",
        "retry_prompt": _retry_prompt(state["messages"], request),
        "try_start": len(state["messages"]),
        "tool_rounds": 0,
        "tools_stopped": None,
        "escalation": f"tried again with {name}{', thinking' if step.think else ''}: {request.reason}",
    }


async def after_retry(state: TurnState) -> Literal["answer", "mend", "reply"]:
    """Answer anew if the model is loaded; otherwise mend the first answer."""
    return "answer" if state.get("retry_request") else ending(state)


def _retry_prompt(messages: list[BaseMessage], request: RetryRequest) -> list[BaseMessage]:
    """Return the messages so far with feedback, or without the first answer."""
    if request.feedback:
        return [*messages, HumanMessage(request.feedback)]
    return [message for message in messages if not isinstance(message, AIMessage) or message.tool_calls]
