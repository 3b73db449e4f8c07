"""What past turns teach, and what would become of them now."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from qwendesk.memory.records import PastTurn, Rating
from qwendesk.routing.base import ConversationContext, Decision, Signals
from qwendesk.routing.training.examples import collect_examples, mask_secrets
from qwendesk.routing.training.replay import Replay

_NUMBERS = iter(range(1000, 9999))


def past(question: str, role: str | None = "general", *ratings: Rating, **receipt: Any) -> PastTurn:
    known = {
        "language": "en",
        "confidence": 0.5,
        "requested_role": None,
        "requested_model": None,
        "role_without_override": None,
    }
    conversation = receipt.pop("conversation", question)
    return PastTurn(
        id=str(next(_NUMBERS)),
        conversation=conversation,
        channel="python",
        question=question,
        kinds=(),
        answer="an answer",
        role=role,
        receipt=known | receipt if role else None,
        started_at=datetime.now(UTC),
        ratings=ratings,
    )


def test_an_override_and_a_rating_become_examples() -> None:
    found = collect_examples(
        [
            past("Sort these cards", "coder", requested_role="coder", role_without_override="general"),
            past("How much is it?", "general", Rating(-1, "math")),
            past("Who was Dante?", "general", Rating(1), language="it"),
        ]
    )
    assert [(example.text, example.label, example.lang) for example in found.examples] == [
        ("Who was Dante?", "general", "it"),
        ("How much is it?", "math", "en"),
        ("Sort these cards", "coder", "en"),
    ]
    assert found.examples[2].reason == "asked for coder, the router would have chosen general"
    assert found.examples[1].reason == "rated down: math requested instead of general"
    assert found.left_out == {}
    assert len({example.group for example in found.examples}) == 3


@pytest.mark.parametrize(
    ("model", "label"), [("qwen2.5-coder-7b", "coder"), ("ollama:qwen2.5-math", "math"), ("qwq:32b", "thinking")]
)
def test_a_wish_for_a_specialised_model_is_one_for_its_role(model: str, label: str) -> None:
    (example,) = collect_examples([past("What now?", "general", requested_model=model)]).examples
    assert example.label == label
    assert not collect_examples([past("What now?", "general", requested_model="qwen3:8b")]).examples


def test_what_the_router_would_have_done_anyway_teaches_nothing() -> None:
    found = collect_examples(
        [past("Sort", "coder", requested_role="coder", role_without_override="coder"), past("Hello", "general")]
    )
    assert (found.turns, list(found.examples), found.left_out) == (2, [], {})


def test_a_wish_that_stays_in_force_counts_once() -> None:
    wish: dict[str, Any] = {"requested_role": "coder", "role_without_override": "general", "conversation": "c"}
    turns = [past("Sort these", "coder", **wish), past("Thanks a lot", "coder", **wish)]
    found = collect_examples(reversed(turns))
    assert [example.text for example in found.examples] == ["Sort these"]
    assert found.left_out == {"an earlier override that is still active": 1}


def test_what_is_left_out_is_told() -> None:
    picture = replace(past("Look at it", "vision", Rating(1)), kinds=("image",))
    turns = [
        picture,
        past("Was it good?", "general", Rating(-1)),
        past("See this", "general", requested_role="vision", role_without_override="general"),
        past("?!", "general", Rating(1)),
        past("Who was Dante?", "general", Rating(1)),
        past(" who was  DANTE? ", "general", Rating(-1, "thinking")),
        past("no answer", None, Rating(1)),
    ]
    found = collect_examples(turns)
    assert found.left_out == {
        "a file came with it": 1,
        "rated down without saying who would have been better": 1,
        "words alone never lead to vision": 1,
        "too short": 1,
        "the same question again": 1,
    }
    assert [(example.text, example.label) for example in found.examples] == [("who was  DANTE?", "thinking")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Write to anna.rossi@mail.example.com now", "Write to name@example.org now"),
        ("my password is hunter2, help", "my password is xxxx, help"),
        ("Passwort: geheim!", "Passwort: xxxx"),
        ("API_KEY=abcdef123", "API_KEY=xxxx"),
        ("postgres://me:pw@db/x", "postgres://xxxx@db/x"),
        ("call +39 333 1234567", "call +00 000 0000000"),
        ("card 4111 1111 1111 1111?", "card 0000 0000 0000 0000?"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN XX00 0000 0000 0000 0000 00"),
        ("token sk-abcdefghijklmnop1234 leaks", "token xxxxxxxxxxxxxxxxxxxxxxx leaks"),
        ("-----BEGIN RSA KEY-----\nabc\n-----END RSA KEY-----", "x" * 32),
    ],
)
def test_secrets_are_masked(text: str, told: str) -> None:
    assert mask_secrets(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "What is 37*91+4 and 12345 / 678?",
        "In 1492, 1789 and 1989, on 12/03/2024 at 10:30",
        "Sum 3, 5, 8, 13, 21, 34",
        "def quicksort_with_random_pivot(a): return sorted(a)[::-1]",
        "The password field does not work",
        "Vergiss das Donaudampfschifffahrtsgesellschaftskapitänspatent",
    ],
)
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert mask_secrets(text) == text


@pytest.mark.parametrize("piece", ["1 ", "+1(", "a@", "a.", "sk-", "x1", "AB12 ", "password ", "://", "-----BEGIN "])
def test_masking_takes_no_time_on_any_text(piece: str) -> None:
    text = piece * (4000 // len(piece))
    begun = time.process_time()
    assert len(mask_secrets(text)) <= 4 * len(text)
    assert time.process_time() - begun < 2


def _always(role: Any, sure: float = 0.8) -> Any:
    return lambda signals: Decision(role, sure, signals=("because",))


def test_replay_counts_what_moves() -> None:
    report = Replay(_always("coder"))
    report.add_all(
        [
            past("a question", "general", Rating(-1)),
            past("b question", "general", Rating(1)),
            past("c question", "coder"),
            past("d question", "math"),
            past("e question", None),
        ]
    )
    assert (report.turns, report.compared, report.unanswered, report.changed) == (5, 4, 1, 3)
    most, other = report.changes
    assert (most.old, most.new, most.count, most.rated_up, most.rated_down) == ("general", "coder", 2, 1, 1)
    assert (other.old, other.count) == ("math", 1)
    example = other.examples[0]
    assert (example.text, example.confidence, example.before, example.rating) == ("d question", 0.8, 0.5, None)


def test_replay_looks_at_the_routers_own_choice_and_at_wishes() -> None:
    seen: list[Signals] = []

    def decide(signals: Signals) -> Decision:
        seen.append(signals)
        return Decision("coder", 0.9)

    report = Replay(decide)
    turn = past("Wo ist mein Auto?", "math", requested_role="coder", role_without_override="general")
    report.add(replace(turn, kinds=("image", "document", "image")))
    assert (seen[0].role, seen[0].images, seen[0].audio, seen[0].language) == (None, 2, 0, "de")
    assert (report.overrides, report.overrides_met_then, report.overrides_met_now) == (1, 0, 1)
    assert (report.changes[0].old, report.changes[0].new) == ("general", "coder")


def test_replay_keeps_few_examples_the_rated_ones_first() -> None:
    report = Replay(_always("coder"))
    report.add_all([past(f"question {number}") for number in range(20)])
    report.add(past("rated " + "x" * 1000, "general", Rating(-1)))
    (change,) = report.changes
    assert change.count == 21
    assert len(change.examples) == 5
    assert change.examples[0].rating == -1
    assert len(change.examples[0].text) == 200


def test_replay_sees_each_turn_in_its_conversation() -> None:
    seen: list[ConversationContext] = []

    def decide(signals: Signals) -> Decision:
        seen.append(signals.conversation_context)
        return Decision("general", 0.9)

    shown = replace(past("Look", "vision", conversation="c"), kinds=("image",))
    turns = [shown, past("Elsewhere", conversation="d"), past("What colour?", "vision", conversation="c")]
    Replay(decide).add_all([*turns, past("And now?", conversation="c")])
    assert [(before.role, before.questions, before.picture_age) for before in seen] == [
        (None, (), 0),
        (None, (), 0),
        ("vision", ("Look",), 1),
        ("vision", ("Look", "What colour?"), 2),
    ]
    assert seen[2].answer == "an answer"
    assert seen[3].pictures and not seen[1].pictures
