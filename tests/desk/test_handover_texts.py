"""What customers are told about a handover: complete in every language, and true for each case."""

from datetime import datetime, timedelta, timezone
from itertools import combinations

import pytest

from qwendesk.desk.handover.reasons import IN_WORDS, REASONS
from qwendesk.desk.handover.texts import (
    handed_back_text,
    handover_text,
    resolved_text,
    taken_over_text,
    waiting_text,
)
from qwendesk.desk.hours.texts import opening_text
from qwendesk.desk.translations import languages

OPENS = datetime(2042, 12, 7, 9, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize("language", languages())
def test_each_case_has_its_own_text(language: str) -> None:
    told = [
        handover_text(language),
        handover_text(language, is_somebody_there=False),
        handover_text(language, opens=OPENS),
        waiting_text(language),
        waiting_text(language, opens=OPENS),
        taken_over_text(language),
        taken_over_text(language, "Ada"),
        handed_back_text(language),
        handed_back_text(language, nobody_came=True),
        resolved_text(language),
    ]
    assert all(one not in other and other not in one for one, other in combinations(told, 2))
    assert not any("{" in text for text in told)
    assert "Ada" in taken_over_text(language, "Ada")
    assert all(opening_text(OPENS, language) in told[place] for place in (2, 4))
    assert "7" in opening_text(OPENS, language), "the day"


@pytest.mark.parametrize("language", languages())
def test_a_reason_and_the_number_stand_around_what_happens_next(language: str) -> None:
    plain = handover_text(language)
    for reason in REASONS:
        text = handover_text(language, reason, number=4711)
        assert plain in text
        assert "4711" in text
        assert text.startswith(plain) == (reason in ("asked", "operator"))


def test_every_reason_has_words_for_the_operator() -> None:
    assert IN_WORDS.keys() == set(REASONS)
    assert len(set(IN_WORDS.values())) == len(REASONS)
