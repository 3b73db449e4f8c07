"""The language identifier with its tables in a file is the library's own."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from qwendesk.routing.signals import language
from qwendesk.routing.signals.language import load_identifier

CODES = ("en", "de", "it", "ja", "ar")
TEXTS = ("Wie spät ist es?", "What is the time?", "今日は何時ですか", "ما هو الوقت الآن؟", "1234", "")


@pytest.fixture(scope="module")
def wanted() -> list[Any]:
    library = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    library.set_languages(list(CODES))
    return [library.rank(text) for text in TEXTS]


def test_it_says_what_the_library_says(wanted: list[Any]) -> None:
    identifier = load_identifier(CODES)
    assert [identifier.rank(text) for text in TEXTS] == wanted


def test_it_does_without_a_file(wanted: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(language, "TemporaryFile", full)
    identifier = load_identifier(CODES)
    assert [identifier.rank(text) for text in TEXTS] == wanted


def test_what_is_not_looked_up_takes_no_memory() -> None:
    load_identifier(CODES)  # what is imported on the way stays
    before = psutil.Process().memory_info().rss
    identifier = load_identifier(CODES)
    assert identifier.rank(TEXTS[0])[0][0] == "de"
    assert psutil.Process().memory_info().rss - before < 30e6
