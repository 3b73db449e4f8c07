"""What a message names beside the values that were called for."""

from typing import Any

import pytest

from qwendesk.agents.checks.uncalled_values import is_another_thing, left_over


@pytest.mark.parametrize(
    ("text", "called", "is_left"),
    [
        ("the weather in Rome and Oslo", {"city": "Rome"}, True),
        ("das Wetter in Rom, Oslo und Wien", {"city": "Rom"}, True),
        ("el tiempo en Roma y Oslo", {"city": "Roma"}, True),
        ("東京と大阪の天気", {"city": "東京"}, True),
        ("cases 28473 and 64725", {"number": "28473"}, True),
        ("for 1, 5 and 10 years", {"years": 1}, True),
        ("20 % of 50 and 30 % of 50", {"share": 0.2, "of": 50}, True),
        ("the weather in Rome", {"city": "Rome"}, False),
        ("the weather in Rome and Oslo", {"cities": ["Rome", "Oslo"]}, False),
        ("case 28473, please", {"number": "28473"}, False),
        ("order 4711 of 3 May", {"customer": "Ada"}, False),
    ],
)
def test_what_is_left_over_is_seen(text: str, called: dict[str, Any], is_left: bool) -> None:
    assert bool(left_over(text, [called])) is is_left


def test_another_thing_differs_in_a_shared_argument() -> None:
    assert is_another_thing({"city": "Oslo"}, [{"city": "Rome"}])
    assert is_another_thing({"city": "Oslo"}, [])
    assert not is_another_thing({"city": "Rome", "unit": "celsius"}, [{"city": "Oslo"}, {"city": "Rome"}])


def test_a_further_call_holds_something_of_the_rest() -> None:
    rest = left_over("sales tax on $30.45 in Chicago and 52.33 in Sacramento", [{"amount": 30.45, "city": "Chicago"}])
    assert rest.is_in({"amount": 52.33}) and not rest.is_in({"amount": 30.45})
    cities = left_over("the weather in Rome, Oslo and Wien", [{"city": "Rome"}])
    assert cities.is_in({"city": "OSLO"}) and not cities.is_in({"city": "Paris"})
