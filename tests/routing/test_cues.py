"""Cue words of scripts without spaces are words, not parts of longer ones."""

from __future__ import annotations

import pytest

from qwendesk.routing.signals.cues import CueMatcher, fold, match_cues, words_of


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


def test_a_korean_syllable_is_a_cue_only_as_a_word() -> None:
    cues = CueMatcher([(0, "이"), (1, "함수"), (2, "색")])

    def kinds(text: str) -> set[int]:
        return {mask for _, mask in cues.find(words_of(fold(text)))}

    assert kinds("안드로이드 방법이 궁금합니다") == set()
    assert kinds("이 함수를 재귀함수로") == {1, 2}
    assert kinds("색") == {4}


def test_cues_of_other_languages_do_not_count_where_the_language_is_likely() -> None:
    cues = CueMatcher([(0, "aire", "fr"), (1, "sommer", "de"), (2, "python")])
    words = words_of(fold("el aire y python en sommer"))
    assert [mask for _, mask in cues.find(words)] == [1, 4, 2]
    assert [mask for _, mask in cues.find(words, {"es"})] == [4]
    assert [mask for _, mask in cues.find(words, {"fr", "es"})] == [1, 4]
