"""Decide the role by precedence: override, attachments, rules, conversation, words, abstention."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from qwendesk.messages import Role
from qwendesk.routing.base import Decision, Router, Signals
from qwendesk.routing.policy.policy_file import RoutingPolicy, Rule, RuleConditions
from qwendesk.routing.policy.subquestions import SubQuestion, find_subquestions
from qwendesk.routing.signals.cues import UNSPACED_SCRIPTS, fold
from qwendesk.routing.signals.followup import is_follow_up, refers_to_last_picture, refers_to_missing_picture

_MAX_RULE_CHARS = 8000
"""Maximum characters of a message that rules are matched against."""
_STICKY_ROLES: tuple[Role, ...] = ("coder", "math", "thinking")
"""Roles that keep a conversation for follow-ups on the same topic."""
_TOPIC_CHANGE_CONFIDENCE = 0.6
"""Minimum confidence of the words to change the role, or to be about code rather than a picture."""
_CONVERSATION_CONFIDENCE = 0.8
"""Confidence of a decision by the conversation: the measured accuracy of its cues."""
DEFAULT_POLICY = RoutingPolicy()


def first_matching_rule(rules: tuple[Rule, ...], signals: Signals) -> tuple[Rule, str] | None:
    """Return the first matching rule, with the reason."""
    if not rules:
        return None
    text = fold(signals.text[:_MAX_RULE_CHARS])
    for number, rule in enumerate(rules, 1):
        reasons = _match_conditions(rule.when, signals, text)
        if reasons is not None:
            return rule, rule.reason or f"your rule {number}: {', '.join(reasons)}"
    return None


def _match_conditions(when: RuleConditions, signals: Signals, text: str) -> list[str] | None:
    """Return the reason for each condition; None if one does not hold."""
    reasons = []
    if when.contains:
        found = next((phrase for phrase in when.contains if _pattern(phrase).search(text)), None)
        if found is None:
            return None
        reasons.append(f"the message holds {found!r}")
    for name, allowed, value in (
        ("language", when.language, signals.language),
        ("channel", when.channel, signals.channel),
    ):
        if allowed and value not in ((allowed,) if isinstance(allowed, str) else allowed):
            return None
        if allowed:
            reasons.append(f"its {name} is {value}")
    return reasons


@lru_cache(maxsize=1000)
def _pattern(phrase: str) -> re.Pattern[str]:
    """Return a pattern with linear run time: a star stands only at the end of a word."""
    folded = fold(" ".join(phrase.split()))
    words = [re.escape(word.rstrip("*")) + (r"\w*+" if word.endswith("*") else "") for word in folded.split(" ")]
    inner = r"\s+".join(words)
    return re.compile(inner if UNSPACED_SCRIPTS.search(folded) else rf"(?<!\w){inner}(?!\w)")


@dataclass(frozen=True, slots=True)
class RoutingResult:
    """The result of ``route_message``."""

    decision: Decision
    subquestions: tuple[SubQuestion, ...] = ()
    """The questions of a message that holds several; empty for one."""
    role_without_override: Role | None = None
    """The role that the message would get without the person's override; None without an override."""


def route_message(
    signals: Signals, router: Router, policy: RoutingPolicy = DEFAULT_POLICY, *, may_split: bool = True
) -> RoutingResult:
    """Return the decision for a message, its sub-questions, and its role without the person's override.

    Args:
        signals: the signals of the message.
        router: scores the words.
        policy: the user's policy.
        may_split: whether the message may be answered as several questions.
    """
    decision = decide(signals, router, policy)
    subquestions = find_subquestions(signals, decision, router, policy.split) if may_split else ()
    without = decide(replace(signals, role=None), router, policy).role if signals.role else None
    return RoutingResult(decision, subquestions, without)


def decide(signals: Signals, router: Router, policy: RoutingPolicy = DEFAULT_POLICY) -> Decision:
    """Return the decision for a message without its sub-questions."""
    if by_claim := _by_override(signals) or _by_attachments(signals):
        return by_claim
    decision = router.route(signals)
    rule = first_matching_rule(policy.rule, signals)
    if rule and rule[0].role:
        decision = replace(
            decision, role=rule[0].role, confidence=1.0, signals=(rule[1],), decided_by="rule", abstained=False
        )
    else:
        decision = _by_conversation(signals, decision, policy) or _by_words(decision, policy)
    if rule:
        reasons = decision.signals if rule[0].role else (*decision.signals, rule[1])
        decision = replace(decision, model=rule[0].model, think=rule[0].think, signals=reasons)
    return decision


def unmet_override(signals: Signals, role: Role | None) -> tuple[str, ...]:
    """Return the notice for a person who asked for vision or audio without a picture or recording.

    Args:
        signals: the signals of the message.
        role: the role that answers instead; None if several do.
    """
    lacks = {"vision": "picture", "audio": "recording"}.get(signals.role or "")
    if lacks is None or role == signals.role:
        return ()
    return (f"you asked for {signals.role}, but there is no {lacks}; {role or 'several roles'} answered",)


def _by_override(signals: Signals) -> Decision | None:
    role, asked = signals.role, "you asked for it"
    if role is None or (role == "audio" and not signals.audio):
        return None
    if role == "vision" and not signals.images:
        reasons = (asked, "the picture from your earlier message")
        return (
            Decision("vision", 1.0, signals=reasons, decided_by="override", recalls_picture=True)
            if signals.conversation_context.pictures
            else None
        )
    return Decision(role, 1.0, signals=(asked,), decided_by="override")


def _by_attachments(signals: Signals) -> Decision | None:
    if signals.images:
        return Decision("vision", 1.0, signals=(_count(signals.images, "picture"),), decided_by="attachment")
    if signals.audio:
        return Decision("audio", 1.0, signals=(_count(signals.audio, "recording"),), decided_by="attachment")
    return None


def _by_conversation(signals: Signals, words: Decision, policy: RoutingPolicy) -> Decision | None:
    """Return a decision by the last turns, unless the words clearly lead to another role."""
    text, context, language = signals.text, signals.conversation_context, signals.language
    elsewhere = (
        words.role in ("coder", "math") and words.role != context.role and words.confidence >= _TOPIC_CHANGE_CONFIDENCE
    )
    of_code = words.role == "coder" and words.confidence >= _TOPIC_CHANGE_CONFIDENCE
    if not of_code and refers_to_last_picture(text, context, policy.conversation.picture_turns, language):
        return _vision_decision(words, "the picture from your earlier message", recalls_picture=True)
    if not of_code and refers_to_missing_picture(text, context, language):
        return _vision_decision(words, "you speak of a picture, but none was sent", lacks_picture=True)
    if (
        policy.conversation.sticky_roles
        and context.role in _STICKY_ROLES
        and not elsewhere
        and is_follow_up(text, context, language)
    ):
        if context.role == words.role:
            return None
        reasons = (f"stayed with {context.role}: a short follow-up",)
        return replace(
            words,
            role=context.role,
            confidence=_CONVERSATION_CONFIDENCE,
            runner_up=words.role,
            signals=reasons,
            decided_by="conversation",
            abstained=False,
        )
    return None


def _vision_decision(
    words: Decision, reason: str, *, recalls_picture: bool = False, lacks_picture: bool = False
) -> Decision:
    return replace(
        words,
        role="vision",
        confidence=_CONVERSATION_CONFIDENCE,
        runner_up=words.role,
        signals=(reason,),
        decided_by="conversation",
        abstained=False,
        recalls_picture=recalls_picture,
        lacks_picture=lacks_picture,
    )


def _by_words(decision: Decision, policy: RoutingPolicy) -> Decision:
    """Return the classifier's decision, or an abstention below the minimum confidence."""
    if not decision.abstained and decision.confidence >= policy.abstain.min_confidence:
        return decision
    reasons = decision.signals if decision.abstained else ("no role is likely enough",)
    return replace(
        decision,
        role="general",
        confidence=decision.probabilities.get("general", decision.confidence),
        runner_up=decision.runner_up if decision.role == "general" else decision.role,
        signals=reasons,
        decided_by="abstention",
        abstained=True,
    )


def _count(number: int, noun: str) -> str:
    return f"a {noun} is attached" if number == 1 else f"{number} {noun}s are attached"
