"""When the desk opens, in the customer's language."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from qwendesk.desk.hours.texts import opening_text
from qwendesk.desk.translations import languages

BERLIN = ZoneInfo("Europe/Berlin")
OPENS = datetime(2026, 12, 7, 9, tzinfo=BERLIN)  # a Monday


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "tomorrow at 09:00 (Berlin time)"),
        ("en-US", "tomorrow at 9:00\u202fAM (Berlin time)"),
        ("de", "morgen um 09:00 Uhr (Ortszeit Berlin)"),
        ("ar", "غدًا الساعة 9:00 ص (بتوقيت برلين)"),
        ("ja", "明日 9:00 (ベルリン時間)"),
        ("ru", "завтра в 09:00 (время: Берлин)"),
        ("ko", "내일 오전 9:00 (베를린 시간)"),
        ("tlh", "tomorrow at 09:00 (Berlin time)"),
        (None, "tomorrow at 09:00 (Berlin time)"),
    ],
)
def test_it_is_said_in_the_language(language: str | None, text: str) -> None:
    assert opening_text(OPENS, language, now=OPENS - timedelta(hours=10)) == text


@pytest.mark.parametrize("language", languages())
def test_each_distance_has_its_own_text(language: str) -> None:
    texts = [
        opening_text(OPENS, language, now=OPENS - timedelta(**{unit: number}))
        for unit, number in (("minutes", 30), ("days", 1), ("days", 3), ("days", 400))
    ]
    assert len(set(texts)) == len(texts) and all("9:00" in text for text in texts)
    assert "2026" in texts[3] and not any("2026" in text for text in texts[:3])


def test_tomorrow_is_that_of_the_desk() -> None:
    tokyo = datetime(2026, 12, 7, 9, tzinfo=ZoneInfo("Asia/Tokyo"))  # 01:00 in Berlin
    assert opening_text(tokyo, "en", now=datetime(2026, 12, 6, 23, tzinfo=BERLIN)) == "today at 09:00 (Tokyo time)"


def test_a_zone_without_a_city_is_told_by_its_offset() -> None:
    now = OPENS - timedelta(hours=1)
    assert opening_text(OPENS.astimezone(UTC), "en", now=now) == "today at 08:00 (UTC)"
    assert opening_text(OPENS.astimezone(ZoneInfo("UTC")), "en", now=now) == "today at 08:00 (UTC)"
    east = OPENS.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert opening_text(east, "en", now=now) == "today at 13:30 (GMT+05:30)"


def test_a_latin_name_keeps_its_place_in_text_from_right_to_left() -> None:
    opens = OPENS.astimezone(ZoneInfo("America/Argentina/ComodRivadavia"))
    text = opening_text(opens, "ar", now=OPENS)
    assert text.endswith(")") and ("\N{FIRST STRONG ISOLATE}" in text) == any("a" <= letter <= "z" for letter in text)
