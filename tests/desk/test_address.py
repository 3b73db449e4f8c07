"""The desk speaks to a customer in one form: informal where a language's texts are, formal where they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from qwendesk.agents.phrases import phrases

LOCALES = Path(__file__).parents[2] / "desk/locales"
OTHER_FORM = {
    "de": r"\bIhnen\b|\bIhre[mnrs]?\b|\w+en Sie\b",
    "nl": r"\b[Uu]w?\b|\b[Aa]lstublieft\b",
    "es": r"\b[Uu]sted\b|\b([Cc]onfíe|[Ff]ormule|[Pp]ídalo|[Rr]esponda|[Ee]scriba|[Ee]nvíe|[Pp]odría)\b",
    "it": r"\bSu(oi?|a|e)\b|\b([Ff]ormuli|[Cc]hieda|[Rr]isponda|[Ss]criva)\b",
    "fr": r"\b[Tt](u|oi|on|es)\b|\b(Écris|Réponds|Envoie|Choisis|Essaie|Utilise|Attends)\b",
    "pt": r"\b[Tt](eu|ua|i)\b|\b(Responde|Escreve|Escolhe|Tenta)\b",
    "ru": r"\b[Тт](ы|ебя|ебе|вой|воя|воё)\b",
}
"""Words of the form that the language's texts do not use."""


def texts(language: str) -> Iterator[str]:
    for by_language in phrases().values():
        yield by_language.get(language, "")
    with (LOCALES / f"{language}.po").open("rb") as file:
        for message in read_po(file):
            yield from [message.string] if isinstance(message.string, str) else message.string


@pytest.mark.parametrize("language", OTHER_FORM)
def test_a_language_has_one_form_of_address(language: str) -> None:
    other = re.compile(OTHER_FORM[language])
    assert [text for text in texts(language) if other.search(text)] == []
