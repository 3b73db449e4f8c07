"""Where the values of a call come from."""

import gc
import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from qwendesk.agents.checks.call_values import KnownValues

TODAY = date(2026, 5, 4)
SCHEMA: dict[str, Any] = {
    "properties": {
        "value": {},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "kind": {"type": "string", "description": "Kind of search: quick or thorough."},
        "limit": {"type": "integer", "default": 20},
        "year": {"type": "integer"},
    },
    "required": ["value"],
}


def judge(message: str, value: Any, *, language: str | None = "en", others: tuple[str, ...] = (), **more: Any) -> Any:
    known = KnownValues(message, others, language=language, today=TODAY)
    return known.judge({"value": value, **more}, SCHEMA)


@pytest.mark.parametrize(
    ("message", "value", "language"),
    [
        ("It costs 1.234,56 €", 1234.56, "de"),
        ("cela coûte 1 234,5 euros", 1234.5, "fr"),
        ("पैसा ₹1,00,000", 100000, "hi"),
        ("الرقم ٤٧١١", 4711, "ar"),
        ("Der Wert ist 1 Million", 1000000, "de"),
        ("at 5 % interest", 0.05, "en"),
        ("in 2 hours", 120, "en"),
        ("for twenty people", 20, "en"),
        ("für zwanzig Personen", 20, "de"),
        ("order b77 please", "B-77", "en"),
        ("Bestellung Nr. 4711", 4711, "de"),
        ("Bestellung Nr. 4711", "4711", "de"),
        ("my mail is Ada@Example.org", "ada@example.org", "en"),
        ("the weather in new york", "New York, NY", "en"),
        ("the weather in MÜNCHEN", "München", "de"),
        ("das Wetter in München", "Munich", "de"),
        ("北京的天气如何", "Beijing", "zh"),
        ("최근 박지성에 관한 뉴스", "박지성", "ko"),
        ("convert euros", "EUR", "en"),
        ("on March 4, 2024 at 3 pm", "2024-03-04 15:00:00", "en"),
        ("am 04.03.2024", "2024-03-04", "de"),
        ("book it for tomorrow", "2026-05-05", "en"),
        ("book it for tomorrow", "tomorrow", "en"),
        ("tell them that I am ill", "The customer is ill and will not be able to attend the lesson", "en"),
        ("rooms for Ada and Bob", ["Ada", "Bob"], "en"),
        ("ship to Ada in Rome", {"name": "Ada", "city": "Rome"}, "en"),
        ("It takes 120 km in 8 hours", 15, "en"),
        ("drei mal 250 Gramm, also 3 mal 250", 750, "de"),
        ("it is 5 miles away", 8046.72, "en"),
        ("es ist 5 Meilen weit", 8.04672, "de"),
        ("a board of 6 feet", 182.88, "en"),
        ("paint it orange", "#FFA500", "en"),
        ("every weekday at half past eight", "30 8 * * 1-5", "en"),
        ("anything", True, "en"),
        ("anything", None, "en"),
    ],
)
def test_what_was_said_in_another_form_is_known(message: str, value: Any, language: str) -> None:
    assert judge(message, value, language=language).made_up == {}


@pytest.mark.parametrize(
    ("message", "value", "language"),
    [
        ("Where is my order?", "B-77", "en"),
        ("Wo ist meine Bestellung?", "B-77", "de"),
        ("注文はどこですか", "B-77", "ja"),
        ("Where is my order?", 4711, "en"),
        ("What is the interest rate?", 200000, "en"),
        ("send it to my mail", "user@example.com", "en"),
        ("read the page", "https://example.com/page", "en"),
        ("How hot is it?", "London", "en"),
        ("today is fine", "2023-10-15", "en"),
        ("Who are they?", ["4711", "4712"], "en"),
        ("sum", 5, "en"),
    ],
)
def test_what_nobody_said_is_made_up(message: str, value: Any, language: str) -> None:
    assert list(judge(message, value, language=language).made_up) == ["value"]


def test_known_texts_are_all_of_the_turns() -> None:
    assert judge("Where is it?", "B-77", others=("My order is B-77.",)).made_up == {}


def test_optional_values_that_nobody_gave_are_left_out() -> None:
    judged = judge("the score of the Lakers", "Lakers", year=2023, unit="celsius", kind="quick", limit=20)
    assert judged.arguments == {"value": "Lakers", "unit": "celsius", "kind": "quick", "limit": 20}
    assert (judged.left_out, judged.made_up) == ({"year": 2023}, {})


def test_a_paraphrase_beside_a_known_value_passes() -> None:
    schema = {"properties": {"name": {}, "kind": {}}, "required": ["name", "kind"]}
    known = KnownValues("a brownie recipe for Ada", (), language="en", today=TODAY)
    assert known.judge({"name": "Ada", "kind": "dessert"}, schema).made_up == {}
    assert list(known.judge({"name": "Bob", "kind": "dessert"}, schema).made_up) == ["name", "kind"]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Keep the garbage collector, whose time depends on all that other tests have left, out of measured times."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("piece", ["1", "a", "9a", "1.", "北", "@", "a@", "1,", "-", "20", "é", "a1-", "#", "1 ", "1/"])
def test_the_time_of_a_long_value_grows_with_its_length(piece: str) -> None:
    def seconds(length: int) -> float:
        long = piece * (length // len(piece))
        begun = time.thread_time()
        assert judge(long, long).arguments == {"value": long}
        judge("Where is my order?", long)
        return time.thread_time() - begun

    judge("warm", "up")
    # four times the text takes sixteen times as long where something is compared with all of it
    assert min(seconds(40_000) for _ in range(3)) < 9 * max(min(seconds(10_000) for _ in range(3)), 0.02)


def test_a_number_of_any_length_is_judged() -> None:
    assert judge("9" * 5000, "9" * 5000).made_up == {}
    assert list(judge("Where is my order?", "9" * 5000).made_up) == ["value"]
    assert judge("Where is my order?", 10**5000).made_up == {}


def test_a_choice_of_a_small_model_that_nobody_named_falls_back_to_the_default() -> None:
    schema = {
        "properties": {
            "artist": {},
            "genre": {"enum": ["any", "Pop", "Rock"], "default": "any"},
            "kind": {"enum": ["song"]},
        },
        "required": ["artist"],
    }
    arguments = {"artist": "Cody Johnson", "genre": "Pop", "kind": "song"}
    for text, trusts, left_out in (
        ("tracks by Cody Johnson", False, {"genre": "Pop"}),
        ("pop by Cody Johnson", False, {}),
        ("tracks by Cody Johnson", True, {}),
    ):
        known = KnownValues(text, (), language="en", today=TODAY, trusts_model=trusts)
        assert known.judge(arguments, schema).left_out == left_out


@pytest.mark.parametrize(
    ("message", "language"), [("Weather in Berlin?", "en"), ("Wetter in Berlin?", "de"), ("柏林天气", "zh")]
)
@pytest.mark.parametrize("trusts", [False, True])
def test_coordinates_of_a_place_may_be_known_to_the_model(message: str, language: str, trusts: bool) -> None:
    schema = {"properties": {"latitude": {}, "longitude": {}}, "required": ["latitude", "longitude"]}
    known = KnownValues(message, (), language=language, today=TODAY, trusts_model=trusts)
    assert known.judge({"latitude": 52.52, "longitude": 13.405}, schema).made_up == {}


@pytest.mark.parametrize(
    ("value", "made_up"),
    [(25, False), ("2027-02-14", False), ("London", False), (0.25, False)]
    + [("B-77", True), (4711, True), ("4711", True), ("user@example.com", True)],
)
def test_a_larger_model_is_trusted_with_all_but_what_identifies(value: Any, made_up: bool) -> None:
    known = KnownValues("book it for Valentine's Day, a quarter off", (), language="en", today=TODAY, trusts_model=True)
    assert bool(known.judge({"value": value}, SCHEMA).made_up) is made_up
