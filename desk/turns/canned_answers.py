"""Answer a message with a canned answer before a model is asked, where it asks one of the sample questions."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

import regex
from cachetools import TTLCache

from qwendesk.agents.state import DocumentRetriever, Retrieval
from qwendesk.desk.interpreter.canned import CannedAnswers, CannedText
from qwendesk.messages import DocumentSearch, Inbound
from qwendesk.routing.signals.cues import KINDS, load_cues
from qwendesk.routing.signals.language import base_language, identify_language
from qwendesk.search_terms import query_terms

_CACHE_SECONDS = 5.0
_MIN_TYPED_CHARS = 6
"""Letters from which a word may have a typing error; shorter words are too often other words."""
_DOUBLING_LANGUAGES = frozenset(("it", "fi", "et", "hu", "ar", "fa", "ur"))
"""Languages in which a doubled letter makes another word, as in capello and cappello."""
_SIGN = regex.compile(
    r"""(?<![\p{L}\p{N}])[-\u2010-\u2015\u2212+]\s?(?=\p{N})   # a number's sign
    | (?<=\p{N})\s?[-\u2010-\u2015\u2212+/:]\s?(?=\p{N})       # a range or a calculation
    | (?<=[\p{L}\p{N}])[+\#]+ | \#(?=[\p{L}\p{N}])              # C++, C#
    | (?<=\p{L})-(?![\p{L}\p{N}]) | (?<![\p{L}\p{N}.])\.(?=\p{L})  # A-, .NET
    | (?<=\p{N})\s?[%\u2030\u00b0] | [\p{Sc}<>=\u2260\u2264\u2265\u00b1\u00d7\u00f7&@]""",
    regex.VERBOSE,
)
"""Signs that make another question of the same words."""
_MINUS = regex.compile(r"[\u2010-\u2015\u2212]")
_MAX_WORDS = 60
"""Words of a message from which it is more than a question."""


class CannedRetriever:
    """Looks for a canned answer, and then in the documents.

    Only a text that a person wrote or reviewed in the customer's language answers, and only a question that has the
    words of a sample question: in their order, apart from greetings and slips of typing (two letters changed round, one
    doubled or not, accents). Another word, number or sign, or a ``not`` more, is another question.

    Args:
        canned: the canned answers.
        documents: searches the documents.
    """

    def __init__(self, canned: CannedAnswers, documents: DocumentRetriever) -> None:
        self._canned = canned
        self._documents = documents
        self._known: TTLCache[str, Sequence[tuple[str, CannedText]]] = TTLCache(100, _CACHE_SECONDS)
        self._any: TTLCache[str, bool] = TTLCache(1, _CACHE_SECONDS)

    async def __call__(self, inbound: Inbound, question: str) -> Retrieval | None:
        """Return the canned answer to a question, else what the documents hold on it."""
        if question.strip() == inbound.text.strip() and not inbound.attachments:
            found = await self._find(inbound, question)
            if found is not None:
                return found
        return await self._documents(inbound, question)

    async def _find(self, inbound: Inbound, question: str) -> Retrieval | None:
        if not await self._has_questions():
            return None
        asked = question_words(question)
        if not asked or len(asked) > _MAX_WORDS:
            return None
        spoken = identify_language(question)
        for language in dict.fromkeys(filter(None, (spoken, base_language(inbound.locale)))):
            texts = await self._texts(language)
            known = {word for _, text in texts for one in text.questions for word in question_words(one)}
            for shortcut, text in texts:
                samples = ((one, question_words(one)) for one in text.questions)
                sample = next((one for one, words in samples if is_same_question(asked, words, known, language)), None)
                if sample is not None:
                    search = DocumentSearch(question, "answered", f"the canned answer {shortcut!r} has this question")
                    return Retrieval(search, canned=text.text)
        return None

    async def _has_questions(self) -> bool:
        """Return whether any canned answer has a sample question, in any language."""
        known = self._any.get("any")
        if known is None:
            texts = (text for answer in await self._canned.listed() for text in answer.texts)
            known = self._any["any"] = any(text.questions for text in texts)
        return known

    async def _texts(self, language: str) -> Sequence[tuple[str, CannedText]]:
        known = self._known.get(language)
        if known is None:
            known = self._known[language] = await self._canned.find(language)
        return known


def question_words(text: str) -> list[str]:
    """Return the folded words and meaningful signs of a question without greetings and thanks around it."""
    words = list[str]()
    plain = unicodedata.normalize("NFKC", text)
    end = 0
    for sign in _SIGN.finditer(plain):
        words += [*query_terms(plain[end : sign.start()]), _MINUS.sub("-", sign[0].strip())]
        end = sign.end()
    words += query_terms(plain[end:])
    talk = KINDS.index("talk")

    def is_talk(word: str) -> bool:
        return any(bits >> talk & 1 for _, bits in load_cues().find([word]))

    begin, end = 0, len(words)
    while begin < end and is_talk(words[begin]):
        begin += 1
    while end > begin and is_talk(words[end - 1]):
        end -= 1
    return words[begin:end] or words


def is_same_question(
    asked: Sequence[str], sample: Sequence[str], known: Collection[str] = (), language: str | None = None
) -> bool:
    """Return whether two questions have the same words, apart from slips of typing in long ones.

    Args:
        asked: the words that were typed.
        sample: the words of the sample question.
        known: words that are none of these slips, such as those of all sample questions.
        language: the language of the questions.
    """
    return len(asked) == len(sample) and all(
        typed == word or (typed not in known and _is_slip(typed, word, language))
        for typed, word in zip(asked, sample, strict=True)
    )


def _is_slip(typed: str, word: str, language: str | None) -> bool:
    """Return whether a word differs by two neighbouring letters changed round, or by a letter doubled or not.

    A letter that is missing, added or another one makes too many other words: contact and contract, shopping and
    shipping.
    """
    if min(len(typed), len(word)) < _MIN_TYPED_CHARS or not (typed.isalpha() and word.isalpha()):
        return False
    at = next((at for at, (one, other) in enumerate(zip(typed, word, strict=False)) if one != other), None)
    if len(typed) == len(word):
        return at is not None and typed[at : at + 2] == word[at : at + 2][::-1] and typed[at + 2 :] == word[at + 2 :]
    if language in _DOUBLING_LANGUAGES or abs(len(typed) - len(word)) != 1:
        return False
    longer, shorter = (typed, word) if len(typed) > len(word) else (word, typed)
    at = len(shorter) if at is None else at
    return at > 0 and longer[at] == longer[at - 1] and longer[at + 1 :] == shorter[at:]
