"""An answer that rests on documents or results has only names that stand there, or that the person gave."""

from __future__ import annotations

import re
from functools import cached_property
from typing import ClassVar

from qwendesk.agents.checks.human_claims import normalize
from qwendesk.agents.guards.base import AnswerContext, Guard, GuardName, Sentence, tokens_of
from qwendesk.agents.guards.known_names import KnownNames, is_known_place, is_no_name, is_title, may_lead_to_place
from qwendesk.agents.guards.languages import likely_languages
from qwendesk.agents.guards.name_forms import WrittenName, is_marked, names_in
from qwendesk.agents.guards.sources import Sources
from qwendesk.routing.signals.language import identify_language

_NOUNS_HAVE_CAPITALS = ("de", "lb")
"""Languages in which a capital tells no name."""
_FIRST_OTHER = "\u0370"
"""The first letter behind the Latin ones."""
_TITLE = re.compile(r"^\[\d{1,3}\] .*\n|^> ?", re.MULTILINE)
_LATIN_NAME = re.compile(r"(?<![A-Za-z])[A-Z][a-z]{2}")
_MAX_OTHER_SHARE = 4
_MAX_SHOWN = 8
_MIN_SHARED = 2
"""Words that a sentence or its question shares with the passages, if it speaks of them."""


class NameGuard(Guard):
    """Finds names of persons, firms, places and products that neither the person nor a result nor a document gave.

    It compares only answers that rest on documents or looked-up results in their language, since another one may
    translate a name, and only words that are names for certain: words in capitals, with a capital inside, codes, and
    words with a capital inside a sentence; in German only behind a title, or a place behind "in" or "nach". A place is
    known under its names in all languages. Names of countries, and names in scripts without capitals, are not compared.
    """

    key: ClassVar[GuardName] = "names"
    name: ClassVar[str] = "has only names from its sources"
    feedback: ClassVar[str] = "A name stands in no result and no document: use only names that are given"

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._sources = Sources(context)
        self._compared = dict[str, None]()

    def prepare(self) -> None:
        """Read the words of the sources."""
        if self._sources.were_read:
            self._known.prepare()
            _ = self._languages, self._has_latin_names

    def check_sentence(self, sentence: Sentence) -> str | None:
        """Compare the names of a sentence."""
        if sentence.is_code or not self._sources.were_read:
            return None
        known = list[str]()
        for name in names_in(sentence.text):
            words = self._own_words(name, sentence)
            is_known = self._known.has("".join(name.words))
            unknown = [] if is_known else [word for word in words if not self._known.has(word)]
            if unknown and self._is_fault(name, unknown, sentence):
                return f"{' '.join(unknown)} stands in no message, result or document"
            if words and not unknown:
                known.append(name.shown)
        self._compared.update(dict.fromkeys(known))
        return None

    def compared(self) -> str | None:
        """Return the names that stand in the sources."""
        shown = ", ".join(list(self._compared)[:_MAX_SHOWN])
        return f"{shown}: in the sources; other words were not compared" if shown else None

    def _own_words(self, name: WrittenName, sentence: Sentence) -> list[str]:
        """Return the words of a name without those that only have capitals, and those that are names of their own."""
        code = self._code(sentence)
        words = (word for word in name.words if name.form != "capital" or not is_marked(word))
        return [word for word in words if not is_no_name(word, code, name.form)]

    def _is_fault(self, name: WrittenName, unknown: list[str], sentence: Sentence) -> bool:
        if not self._is_certain(name, unknown, sentence) or not self._sources.are_meant(sentence, _MIN_SHARED):
            return False
        return not any(map(self._known.has_place, {name.shown, " ".join(unknown), *unknown}))

    def _is_certain(self, name: WrittenName, unknown: list[str], sentence: Sentence) -> bool:
        """Return whether words that stand nowhere are a name that could not have another form in the sources."""
        code = self._code(sentence)
        if code not in self._languages:
            return False
        if name.form == "foreign":
            return self._has_latin_names
        if name.form == "marked" or code not in _NOUNS_HAVE_CAPITALS or any(map(is_title, (name.before, *name.words))):
            return True
        return len(name.words) == 1 and may_lead_to_place(name.before) and is_known_place(unknown[0])

    def _code(self, sentence: Sentence) -> str:
        return self.context.language or next(iter(sentence.languages), "en")

    @cached_property
    def _has_latin_names(self) -> bool:
        """Whether documents and results write names in Latin letters: others may write them in their own."""
        return _LATIN_NAME.search(self._sources.read_text) is not None

    @cached_property
    def _languages(self) -> set[str]:
        """The languages of the documents and results."""
        found = set[str]()
        for text in (*self.context.results, *self.context.passages):
            # the titles of passages may be in any language
            text = _TITLE.sub(" ", text).strip() or text
            folded = normalize(text)
            if sum(sign >= _FIRST_OTHER for sign in folded if sign.isalpha()) * _MAX_OTHER_SHARE > len(folded):
                folded = re.sub("[a-z]", "", folded)  # Latin words in it are names
            found.update(likely_languages(folded, tokens_of(folded)))
            if identified := identify_language(text):
                found.add(identified)
        return found

    @cached_property
    def _known(self) -> KnownNames:
        return KnownNames(self._sources.text, self.context.language or "")
