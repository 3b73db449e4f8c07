"""Decide whether an answer is retried, and by which model: a larger one, or the same one with thinking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qwendesk.agents.checks.tool_results import is_refusal
from qwendesk.agents.state import RetryRequest, RetryStep, TurnContext
from qwendesk.messages import AnswerReset, Check, Inbound, Role, TextDelta
from qwendesk.models.card import ModelCard, SelectedModel
from qwendesk.routing.base import ConversationContext, Decision
from qwendesk.routing.policy.policy_file import EscalationPolicy
from qwendesk.routing.signals.cues import UNSPACED_SCRIPTS, fold, match_cues
from qwendesk.routing.signals.followup import depends_on_previous, is_short

_MIN_REPEATED_LENGTH = (3, 8)
"""Least number of words, or of characters of a script without spaces, of a question that counts as repeated."""
_COMPARED_MESSAGES = 5
"""Number of the person's last messages that are compared."""


def find_fault(
    text: str, checks: Sequence[Check], *, has_result: bool, policy: EscalationPolicy, not_retryable: Sequence[str] = ()
) -> str | None:
    """Return the fault of an answer in words; None if none is known.

    Args:
        text: the answer.
        checks: its checks.
        has_result: whether a tool returned something.
        policy: the faults that are retried.
        not_retryable: names of checks that a retry cannot fix.
    """
    failed = next((check for check in checks if check.outcome == "failed" and check.name not in not_retryable), None)
    if policy.empty and not text and not has_result:
        return "the answer was empty"
    if policy.refused and is_refusal(text):
        return "the model said that it cannot help"
    if policy.checks and failed:
        return f"the check {failed.name!r} failed: {failed.detail}"
    return None


def is_repeated(text: str, context: ConversationContext, language: str | None = None) -> bool:
    """Return whether the person repeats a question; short follow-ups such as "go on" do not count."""
    if not context.questions:
        return False
    same = _normalize(text)
    if len(UNSPACED_SCRIPTS.findall(same)) < _MIN_REPEATED_LENGTH[1] and len(same.split()) < _MIN_REPEATED_LENGTH[0]:
        return False
    if all(_normalize(question) != same for question in context.questions[-_COMPARED_MESSAGES:]):
        return False
    return not (is_short(text) and depends_on_previous(match_cues("followup", text, language)))


async def select_retry(
    context: TurnContext, inbound: Inbound, decision: Decision, choice: SelectedModel, thinks: bool
) -> RetryStep | None:
    """Return the model of a second try; None if no stronger one is available."""
    settings = context.pool.settings
    is_fixed = bool(inbound.model or decision.model or settings.roles.get(decision.role) or settings.model)
    may_think = inbound.think is not False and decision.think is not False and context.thinking != "off"
    cards = [] if is_fixed else await context.pool.models(choice.engine)
    return stronger_model(decision.role, choice, thinks, cards, is_fixed=is_fixed, may_think=may_think)


def keep_first_answer(request: RetryRequest, reason: str, context: TurnContext) -> dict[str, Any]:
    """Show the first answer again, and return the state with it."""
    context.emit(AnswerReset(reason, request.first_choice.card.name))
    context.emit(TextDelta(request.first_answer))
    return {
        "kept_answer": request.first_answer,
        "choice": request.first_choice,
        "think": request.first_think,
        "notes": [f"{reason}; the first answer stands"],
    }


def stronger_model(
    role: Role, choice: SelectedModel, thinks: bool, cards: Sequence[ModelCard], *, is_fixed: bool, may_think: bool
) -> RetryStep | None:
    """Return the second try: the next larger model that suits the role, else the same one with thinking on.

    Args:
        role: the role of the answer.
        choice: the model of the first try.
        thinks: whether that model thought.
        cards: the available models.
        is_fixed: whether the person, a rule or the settings named the model.
        may_think: whether thinking is allowed.
    """
    larger = (
        [] if is_fixed else [card for card in cards if _suits(role, card) and card.parameters > choice.card.parameters]
    )
    if larger:
        card = min(larger, key=lambda card: (role not in card.roles, card.thinking == "none", card.parameters))
        return RetryStep(replace(choice, card=card, fallback_reason=None), card.thinking != "none" and may_think)
    if may_think and not thinks and choice.card.thinking == "hybrid":
        return RetryStep(choice, think=True)
    return None


def _suits(role: Role, card: ModelCard) -> bool:
    if role in ("vision", "audio"):
        return card.vision if role == "vision" else card.audio
    return role in card.roles or "general" in card.roles or "thinking" in card.roles


def _normalize(text: str) -> str:
    return " ".join(fold(text[:4000]).split()).strip(" .!?。！？؟¿¡")
