"""Cue words of scripts without spaces are words, not parts of longer ones."""

from __future__ import annotations

import pytest

from qwendesk.routing.signals.cues import match_cues


@pytest.mark.parametrize(
    ("file", "text", "kinds"),
    [
        ("picture", "ขอคำแนะนำเรื่องสุขภาพ", ("noun", "within")),
        ("picture", "เครื่องเสียแล้ว", ("look",)),
        ("picture", "色々な料理", ("look",)),
        ("picture", "검색 방법", ("look",)),
        ("followup", "น้ำมันแพง", ("refers",)),
        ("followup", "其它语言", ("refers",)),
        ("followup", "誰でも使える", ("opens",)),
        ("followup", "그래프 이론", ("refers",)),
    ],
)
def test_a_cue_within_a_longer_word_does_not_count(file: str, text: str, kinds: tuple[str, ...]) -> None:
    assert not match_cues(file, text).has(*kinds)


@pytest.mark.parametrize(
    ("file", "text", "kind"),
    [
        ("picture", "ภาพของคุณ", "noun"),
        ("picture", "何色ですか", "look"),
        ("followup", "มันคืออะไร", "refers"),
        ("followup", "它是什么", "refers"),
        ("followup", "でも高い", "opens"),
        ("followup", "그 다음", "refers"),
    ],
)
def test_the_same_cue_as_a_word_counts(file: str, text: str, kind: str) -> None:
    assert match_cues(file, text).has(kind)
