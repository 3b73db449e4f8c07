"""Receipts of answers: write them, and explain them in words."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from qwendesk.agents.checks.tool_results import ADMITS_FAILURE, GROUNDED, NAMES_CHOICES, STATES_RESULT
from qwendesk.agents.model_call import answer_text
from qwendesk.agents.state import TokenUsage, TurnState
from qwendesk.desk.translations import language_name, say
from qwendesk.messages import PendingCall, Receipt, Reply, ReplyStatus
from qwendesk.routing.signals.language import english_name
from qwendesk.tools.base import DESK_TOOLS

_FAILED = {
    ADMITS_FAILURE: "the model's answer stands as if a tool had worked that failed",
    NAMES_CHOICES: "the model's answer did not name all places that may be meant",
    STATES_RESULT: "the model's answer did not say what the tool had calculated",
    GROUNDED: "the model's answer held numbers that are not in what was looked up",
}
"""Explanations of failed checks whose names are not enough."""


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Time since the start of a turn."""

    started: float = field(default_factory=time.perf_counter)

    def milliseconds(self, until: float | None = None) -> float:
        """Return the milliseconds from the start until then; None: until now."""
        return round(((time.perf_counter() if until is None else until) - self.started) * 1e3, 1)


def write_reply(state: TurnState, conversation: str, watch: Stopwatch) -> Reply:
    """Return the finished reply with its receipt."""
    held = any(use.held for use in state.get("tool_uses", ()))
    status: ReplyStatus = "held" if held else "answered"
    thinking = state.get("thinking", "")
    return Reply(state["text"], conversation, _receipt(state, watch), thinking, status)


def write_pending(state: TurnState, calls: tuple[PendingCall, ...], question: str, watch: Stopwatch) -> Reply:
    """Return the reply of a turn that waits for an approval, with the text so far."""
    receipt = replace(_receipt(state, watch), waits_for=tuple(call.tool for call in calls))
    text = "\n\n".join(filter(None, (answer_text(state), question)))
    conversation, thinking = state["inbound"].conversation, state.get("thinking", "")
    return Reply(text, conversation, receipt, thinking, "needs_approval", calls)


def _receipt(state: TurnState, watch: Stopwatch) -> Receipt:
    decision, choice = state["decision"], state.get("choice")
    usage = state.get("usage", TokenUsage())
    duration = watch.milliseconds()
    return Receipt(
        role=decision.role,
        model=choice.card.name if choice else "",
        engine=choice.engine if choice else "",
        confidence=decision.confidence,
        runner_up=decision.runner_up,
        signals=decision.signals,
        language=state["language"],
        thinking=state["think"],
        tools=tuple(state.get("tool_uses", ())),
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        ttft_ms=watch.milliseconds(usage.first_at) if usage.first_at else duration,
        tokens_per_second=round(usage.tokens_out / usage.generating, 1) if usage.generating else 0.0,
        checks=tuple(state.get("checks", ())),
        duration_ms=duration,
        fallback=_fallback(state),
        notes=tuple(state.get("notes", ())),
        answered_by=state.get("answered_by", ""),
        requested_role=state["inbound"].role,
        requested_model=state["inbound"].model,
        thinking_reason=state.get("thinking_reason", ""),
        role_without_override=state.get("role_without_override"),
        escalation=state.get("escalation"),
        answer_language=state.get("asked_language"),
        lasting_language=_lasting(state),
        sub_answers=state.get("sub_answers", ()),
        searches=tuple(state.get("searches", ())),
        mended=tuple(state.get("mended", ())),
    )


def _lasting(state: TurnState) -> Literal["conversation", "person"] | None:
    """Return where the language of the answer is kept; None if the message alone asked for it."""
    lasting = state.get("lasting_language")
    return lasting.source if lasting and lasting.code == state.get("asked_language") else None


def _fallback(state: TurnState) -> str | None:
    decision, choice = state["decision"], state.get("choice")
    if state.get("answered_by"):
        return None
    if choice:
        return choice.fallback_reason
    if decision.lacks_picture or state.get("machine_notice"):
        return None
    return f"no model for {decision.role} is installed"


def explain(receipt: dict[str, Any]) -> str:
    """Return a receipt as Markdown for an operator."""
    runner_up = f", next {receipt['runner_up']}" if receipt["runner_up"] else ""
    lines = [
        _who(receipt),
        f"- because: {', '.join(receipt['signals'])} ({receipt['confidence']:.0%} sure{runner_up})",
    ]
    if receipt["fallback"]:
        lines.append(f"- fallback: {receipt['fallback']}")
    lines += _overrides(receipt)
    without_model = bool(receipt.get("answered_by"))
    thinks = receipt["thinking"] and not without_model
    is_explained = receipt.get("thinking_reason") and not without_model
    thinking_reason = f" ({receipt['thinking_reason']})" if is_explained else ""
    lines.append(
        f"- language: {english_name(receipt['language']) or receipt['language'] or 'undecided'}{_asked(receipt)}; "
        f"thinking: {'on' if thinks else 'off'}{thinking_reason}"
    )
    if receipt.get("escalation"):
        lines.append(f"- second try: {receipt['escalation']}")
    lines += [_part(number, part) for number, part in enumerate(receipt.get("sub_answers", ()), 1)]
    lines += [_search(search) for search in receipt.get("searches", ())]
    lines += [_tool(use) for use in receipt["tools"]]
    lines += [f"- waits for an approval: {tool}" for tool in receipt.get("waits_for", ())]
    lines += [_check(check) for check in receipt["checks"]] or ["- not checked: nothing here could be compared"]
    lines += [f"- note: {note}" for note in receipt["notes"]]
    if without_model:
        return "\n".join([*lines, f"- no tokens, {receipt['duration_ms'] / 1e3:.1f} s in all"])
    lines.append(
        f"- {receipt['tokens_in']} tokens in, {receipt['tokens_out']} out at {receipt['tokens_per_second']:g}/s, "
        f"the first after {receipt['ttft_ms'] / 1e3:.1f} s, {receipt['duration_ms'] / 1e3:.1f} s in all"
    )
    return "\n".join(lines)


def _asked(receipt: dict[str, Any]) -> str:
    """Return the language that was asked for, and how long that holds."""
    asked = receipt.get("answer_language")
    if not asked:
        return ""
    holds = {
        "conversation": "as you wished for all answers here",
        "person": "as you wished for all answers (/memory)",
        None: "as this message asks",
    }[receipt.get("lasting_language")]
    return f", answered in {english_name(asked) or asked}, {holds}"


def explain_briefly(receipt: dict[str, Any], language: str | None) -> str:
    """Return the part of a receipt for customers, in their language: no models, tokens, paths or errors."""
    parts = receipt.get("sub_answers")
    roles = list(dict.fromkeys(part["role"] for part in parts)) if parts else [receipt["role"]]
    lines = [say("why_role", language, role=", ".join(roles))]
    if receipt.get("requested_role") == receipt["role"]:
        lines.append(say("why_chosen", language))
    if receipt.get("lasting_language"):
        lines.append(say("why_language", language, name=language_name(receipt["answer_language"], language)))
    if receipt["thinking"] and not receipt.get("answered_by"):
        lines.append(say("why_thought", language))
    # names of other tools may reveal the operator's systems
    if used := dict.fromkeys(use["name"] for use in receipt["tools"] if use["name"] in DESK_TOOLS):
        lines.append(say("why_tools", language, tools=", ".join(used)))
    outcomes = [check["outcome"] for check in receipt["checks"]]
    passed, failed = outcomes.count("passed"), outcomes.count("failed")
    if passed or failed:
        lines.append(say("why_checks", language, passed=passed, failed=failed))
    if receipt.get("escalation"):
        lines.append(say("why_second", language))
    return "\n".join(f"- {line}" for line in lines)


def _who(receipt: dict[str, Any]) -> str:
    if parts := receipt.get("sub_answers"):
        return f"**{', '.join(part['role'] for part in parts)}** answered, one question each."
    if answered_by := receipt.get("answered_by"):
        return f"**{receipt['role']}** answered by {answered_by} alone; no model was asked."
    return f"**{receipt['role']}** answered with {receipt['model'] or 'no model'} ({receipt['engine'] or 'no engine'})."


def _overrides(receipt: dict[str, Any]) -> list[str]:
    """Return the effects of the person's overrides."""
    model, role_without_override = receipt.get("requested_model"), receipt.get("role_without_override")
    lines = [f"- model: you asked for {model}"] if model else []
    if role_without_override:
        other = "the same" if role_without_override == receipt["role"] else f"**{role_without_override}**"
        lines.append(f"- without your override: {other} would have answered")
    return lines


def _part(number: int, part: dict[str, Any]) -> str:
    question = " ".join(part["question"].split())
    fallback = f"; fallback: {part['fallback']}" if part["fallback"] else ""
    thinking = "; it thought first" if part["thinking"] else ""
    return (
        f"- part {number}: {question!r} went to **{part['role']}** with {part['model'] or 'no model'}: "
        f"{', '.join(part['signals'])} ({part['confidence']:.0%} sure){thinking}{fallback}"
    )


def _search(search: dict[str, Any]) -> str:
    """Return a search in the documents: what was searched for, the decision and the passages."""
    places = "; ".join(", ".join(filter(None, (source["title"], source["place"]))) for source in search["sources"])
    reason = f" ({search['reason']})" if search["reason"] else ""
    return f"- documents: {search['query']!r}: {search['outcome']}{reason}{f'; {places}' if places else ''}"


def _tool(use: dict[str, Any]) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in use["arguments"].items())
    result = " ".join(use["result"].split())
    outcome = "gave" if use["ok"] else "was not run:" if use.get("held") else "failed:"
    return f"- tool: `{use['name']}({arguments})` {outcome} `{result}`"


def _check(check: dict[str, Any]) -> str:
    detail = f": {check['detail']}" if check["detail"] else ""
    if check["outcome"] == "failed" and check["name"] in _FAILED:
        return f"- check failed: {_FAILED[check['name']]}{detail}"
    if check["outcome"] == "skipped":
        return f"- not checked: {check['name']}{detail}"
    return f"- check: {check['name']} {check['outcome']}{detail}"
