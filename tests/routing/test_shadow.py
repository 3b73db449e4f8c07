"""Shadow routing: stored turns against what another policy would have done with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from qwendesk.memory.records import PastTurn, Rating
from qwendesk.messages import Role
from qwendesk.routing.base import Signals
from qwendesk.routing.training.shadow import Decide, ShadowOutcome, ShadowReport

_NUMBERS = iter(range(1, 1000))


def past(question: str, role: Role | None = "general", *ratings: Rating, **receipt: Any) -> PastTurn:
    """Return a turn of a conversation of its own."""
    number = f"{next(_NUMBERS):04}"
    made = {"role": role, "confidence": 0.5, "language": "en", **receipt} if role else None
    return PastTurn(
        number, f"c{number}", "web", question, (), "an answer", role, made, datetime(2026, 1, 1, tzinfo=UTC), ratings
    )


def always(role: Role, **more: Any) -> Decide:
    return lambda signals, may_split: ShadowOutcome(role, **more)


def test_roles_that_another_policy_changes_are_counted_by_role() -> None:
    report = ShadowReport(always("general"), always("coder", decided_by="rule"))
    report.add_all(
        [past("a"), past("b", "general", Rating(-1)), past("c", "coder"), past("d", "math"), past("e", None)]
    )
    tree = report.as_dict()
    assert (tree["turns"], tree["compared"], tree["unanswered"], tree["changed"]) == (5, 4, 1, 3)
    assert [(row["old"], row["new"], row["count"], row["rated_down"]) for row in tree["changes"]] == [
        ("general", "coder", 2, 1),
        ("math", "coder", 1, 0),
    ]
    assert tree["grounds"] == {"rule": 4}


def test_what_the_policy_in_force_would_change_too_is_not_the_other_policys_doing() -> None:
    report = ShadowReport(always("general"), always("coder"))
    report.add_all([past("kept by the policy in force", "general"), past("answered by an older router", "math")])
    assert (report.changed, report.by_policy) == (2, 1)


def test_a_role_that_a_person_requested_is_no_policys_to_change() -> None:
    report = ShadowReport(always("general"), always("coder"))
    report.add(past("do it", "math", requested_role="math", role_without_override="general"))
    assert (report.overrides, report.compared, report.changed) == (1, 0, 0)


def test_differences_beside_the_role_are_told() -> None:
    now = always("general", thinks=True, parts=2)
    report = ShadowReport(now, always("general", model="qwen3-8b"))
    report.add(past("a"))
    assert report.differences == {"would not think": 1, "would not be split": 1, "would name the model qwen3-8b": 1}
    same = ShadowReport(now, now)
    same.add(past("a"))
    assert not same.differences and not same.changed


def test_texts_are_kept_only_on_request_and_masked() -> None:
    turns = [past(f"question {number}") for number in range(20)]
    turns.append(past("my password: hunter22, " + "x" * 1000, "general", Rating(-1)))
    quiet, shown = (ShadowReport(always("general"), always("coder"), show=show) for show in (False, True))
    quiet.add_all(turns)
    shown.add_all(turns)
    assert "question" not in str(quiet.as_dict())
    assert "examples" not in quiet.as_dict()["changes"][0]
    (change,) = shown.as_dict()["changes"]
    assert (change["count"], len(change["examples"]), change["examples"][0]["rating"]) == (21, 5, -1)
    assert "hunter22" not in str(change) and len(change["examples"][0]["text"]) <= 200


def test_each_turn_is_seen_in_its_conversation() -> None:
    seen: list[Signals] = []

    def watch(signals: Signals, may_split: bool) -> ShadowOutcome:
        seen.append(signals)
        return ShadowOutcome("coder")

    first = replace(past("Sort a list in Python", "coder"), conversation="c")
    second = replace(past("and backwards?", "coder", requested_role=None), conversation="c")
    ShadowReport(always("coder"), watch).add_all([first, second])
    assert seen[0].conversation_context.role is None
    assert (seen[1].conversation_context.role, seen[1].conversation_context.questions) == ("coder", (first.question,))
    assert all(signals.role is None for signals in seen)


def test_only_what_the_desk_would_split_is_split() -> None:
    allowed: list[bool] = []

    def watch(signals: Signals, may_split: bool) -> ShadowOutcome:
        allowed.append(may_split)
        return ShadowOutcome("general")

    turns = [past("a"), replace(past("b"), kinds=("document",)), past("c", requested_model="qwen3-8b")]
    ShadowReport(always("general"), watch).add_all(turns)
    assert allowed == [True, False, False]


def test_the_roles_of_split_messages_are_not_compared() -> None:
    then = ShadowReport(always("general"), always("coder"))
    then.add(past("first? second?", "math", sub_answers=[{"role": "math"}, {"role": "general"}]))
    now = ShadowReport(always("general"), always("coder", parts=2))
    now.add(past("first? second?", "math"))
    for report in (then, now):
        assert (report.compared, report.split, report.changed) == (1, 1, 0)
