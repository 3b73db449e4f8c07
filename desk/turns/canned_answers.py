"""Answer a message with a canned answer before a model is asked, where it asks one of the sample questions."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from cachetools import TTLCache

from qwendesk.agents.state import DocumentRetriever, Retrieval
from qwendesk.desk.interpreter.canned import CannedAnswers, CannedText
from qwendesk.messages import DocumentSearch, Inbound
from qwendesk.routing.signals.cues import KINDS, load_cues
from qwendesk.routing.signals.language import identify_language
from qwendesk.search_terms import query_terms

_CACHE_SECONDS = 5.0
_MIN_TYPED_CHARS = 5
"""Letters from which a word may have a typing error."""
_MIN_LIKENESS = 0.8
"""Likeness of two such words from which they count as one, 0 to 1."""
_MAX_WORDS = 60
"""Words of a message from which it is more than a question."""


class CannedRetriever:
    """Looks for a canned answer, and then in the documents.

    Only a text that a person wrote or reviewed in the customer's language answers, and only a question that has the
    words of a sample question: in their order, apart from greetings and typing errors. Another number, or a ``not``
    more, is another question.

    Args:
        canned: the canned answers.
        documents: searches the documents.
    """

    def __init__(self, canned: CannedAnswers, documents: DocumentRetriever) -> None:
        self._canned = canned
        self._documents = documents
        self._known: TTLCache[str, Sequence[tuple[str, CannedText]]] = TTLCache(100, _CACHE_SECONDS)

    async def __call__(self, inbound: Inbound, question: str) -> Retrieval | None:
        """Return the canned answer to a question, else what the documents hold on it."""
        if question.strip() == inbound.text.strip() and not inbound.attachments:
            found = await self._find(inbound, question)
            if found is not None:
                return found
        return await self._documents(inbound, question)

    async def _find(self, inbound: Inbound, question: str) -> Retrieval | None:
        asked = question_words(question)
        if not asked or len(asked) > _MAX_WORDS:
            return None
        spoken = identify_language(question)
        for language in dict.fromkeys(filter(None, (spoken, _base(inbound.locale)))):
            for shortcut, text in await self._texts(language):
                sample = next((one for one in text.questions if is_same_question(asked, question_words(one))), None)
                if sample is not None:
                    search = DocumentSearch(question, "answered", f"the canned answer {shortcut!r} has this question")
                    return Retrieval(search, canned=text.text)
        return None

    async def _texts(self, language: str) -> Sequence[tuple[str, CannedText]]:
        known = self._known.get(language)
        if known is None:
            known = self._known[language] = await self._canned.find(language)
        return known


def question_words(text: str) -> list[str]:
    """Return the folded words of a question without greetings and thanks around it."""
    words = query_terms(text)
    talk = KINDS.index("talk")

    def is_talk(word: str) -> bool:
        return any(bits >> talk & 1 for _, bits in load_cues().find([word]))

    begin, end = 0, len(words)
    while begin < end and is_talk(words[begin]):
        begin += 1
    while end > begin and is_talk(words[end - 1]):
        end -= 1
    return words[begin:end] or words


def is_same_question(asked: Sequence[str], sample: Sequence[str]) -> bool:
    """Return whether two questions have the same words, apart from typing errors in long ones."""
    return len(asked) == len(sample) and all(map(_is_same_word, asked, sample))


def _is_same_word(one: str, other: str) -> bool:
    if one == other:
        return True
    is_long = min(len(one), len(other)) >= _MIN_TYPED_CHARS and one.isalpha() and other.isalpha()
    return is_long and one[0] == other[0] and SequenceMatcher(None, one, other).ratio() >= _MIN_LIKENESS


def _base(locale: str | None) -> str | None:
    """Return the language of a locale such as ``pt-BR``."""
    return locale.replace("_", "-").partition("-")[0].lower() if locale else None
