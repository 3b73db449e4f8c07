"""An answer cites only what was searched."""

from __future__ import annotations

import re
from functools import cached_property
from typing import ClassVar

from qwendesk.agents.checks.human_claims import normalize
from qwendesk.agents.guards.base import AnswerContext, Guard, GuardName, Sentence, tokens_of
from qwendesk.agents.guards.cues import find_cue, is_text_work
from qwendesk.tools.knowledge import TOOL_NAME

_PASSAGE = re.compile(r"^\[(\d{1,3})\] ", re.MULTILINE)
_CITED = re.compile(
    r"(?<![\w\])}\\$])\[(\d{1,3})\](?![(\[:\w])|(?<=[\w.!?)。！？])\[(\d{1,3})\](?=\s*(?:[.,;:!?)。，]|\Z|\[))"
)
_FORMULA = re.compile(r"`[^`\n]*`|\$[^$\n]{0,300}\$|\\\[.{0,300}?\\\]")
_FILE = re.compile(r"(?<![\w/.-])[\w-]+(?: [\w-]+)?\.(?:pdf|docx?|xlsx?|md|txt|html?|pptx?|csv|odt)\b", re.IGNORECASE)
_NOT_FOUND = re.compile(
    r"(?<!\w)(?:not|no|nothing|cannot|nicht|nichts|kein\w*|pas|aucun\w*|rien|no|ningun\w*|nada|nao|nenhum\w*|non|nessun\w*|"
    r"niet|geen|niets|inte|inget|ingen|ikke|intet|ei|nie|nic|neni|не|нет|ничего|ні|немає|لا|لم|ليس|tidak|khong)(?!\w)|"
    r"\w+n't\b|没有|未|找不到|ない|ません|없|않|못|नह|degil|bulamad|yok"
)
"""A sentence that says what the documents do not hold."""
_PUBLIC = re.compile(
    r"https?:|www\.|\.(?:com|org|net|gov|edu|int|eu|de|fr|es|it)\b|wiki|britannica|bible|bibel|unesco|nasa"
)
"""Public sources, which general knowledge may name."""
_VALUE = re.compile(
    r"(?<!\w)(?:is|are|was|be|equals?|returns?|prints?|outputs?|gives?|contains?|list|array|tuple|index|element|ist|sind|ergibt|"
    r"est|sont|es|son|e|sao|sono|zijn|ar|er|jest|to|это|равно)[:=]?\Z|[=:(\[{]\Z"
)
"""What stands before a value in brackets."""
_HEADING = re.compile(r"[^\w\n]*\w[^:：\n]{1,40}[:：]")
_MIN_NAME_LETTERS = 3


class CitationGuard(Guard):
    """Finds numbers of passages, sources and own documents that the turn has not read.

    Without documents a number in brackets counts as a citation only in prose, where the person wrote none.
    """

    key: ClassVar[GuardName] = "citations"
    name: ClassVar[str] = "cites only what was searched"
    feedback: ClassVar[str] = "Cite only passages that you were given, and no other sources"

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._cited = set[str]()

    def prepare(self) -> None:
        """Read the sources, which may be long."""
        if self._passages:
            _ = self._read

    def check_sentence(self, sentence: Sentence) -> str | None:
        """Look for citations in a sentence."""
        if sentence.is_code:
            return None
        text = _FORMULA.sub(" ", sentence.text) if "[" in sentence.text else sentence.text
        numbers = [found[1] or found[2] for found in _CITED.finditer(text) if self._passages or _is_behind(text, found)]
        if unknown := [number for number in numbers if number not in self._passages and self._counts(number)]:
            return f"cites [{unknown[0]}], but {len(self._passages) or 'no'} passages were found"
        self._cited.update(number for number in numbers if number in self._passages)
        return self._names_source(sentence)

    def compared(self) -> str | None:
        """Return the numbers that are those of passages."""
        if not self._cited:
            return None
        numbers = ", ".join(f"[{number}]" for number in sorted(self._cited, key=int))
        return f"{numbers} of {len(self._passages)} passages; the words were not compared"

    def _counts(self, number: str) -> bool:
        if self._passages:
            return True
        context = self.context
        if context.role in ("coder", "math") or any(f"[{number}]" in text for text in context.asked):
            return False
        return not self._is_text_work

    def _names_source(self, sentence: Sentence) -> str | None:
        """Return the fault of a source that is named but was not read."""
        heading = find_cue("source_heading", sentence) if _HEADING.match(sentence.text) else None
        if heading and not re.search(r"\w", sentence.folded[: heading.start()]) and not self._is_text_work:
            names = [word for word in tokens_of(sentence.folded[heading.end() :]) if _is_name(word)]
            is_public = not self._sources and _PUBLIC.search(sentence.folded[heading.end() :])
            if names and not is_public and not set(names) & self._read and not self._cited:
                return "names a source that was not searched"
        if not self._sources and not self.context.system_context:
            is_named = find_cue("own_documents", sentence, self.context) and not _NOT_FOUND.search(sentence.folded)
            if is_named and not self._is_text_work:
                return "refers to documents that were not searched"
            return None
        file = _FILE.search(sentence.text) if self._passages else None
        is_unknown = file and normalize(file[0].rpartition(" ")[2]) not in self._all_text
        return "names a file that was not searched" if is_unknown else None

    @cached_property
    def _sources(self) -> list[str]:
        return [*self.context.results, *self.context.passages]

    @cached_property
    def _passages(self) -> frozenset[str]:
        searched = [use.result for use in self.context.uses if use.ok and use.name == TOOL_NAME]
        return frozenset(number for text in (*searched, *self.context.passages) for number in _PASSAGE.findall(text))

    @cached_property
    def _all_text(self) -> str:
        context = self.context
        return normalize("\n".join([*self._sources, *context.asked, *context.answers, context.system_context]))

    @cached_property
    def _read(self) -> set[str]:
        return set(tokens_of(self._all_text))

    @cached_property
    def _is_text_work(self) -> bool:
        return is_text_work(self.context)


def _is_behind(text: str, found: re.Match[str]) -> bool:
    """Return whether a number in brackets ends a sentence of prose, and is not what the sentence says."""
    before = text[: found.start()].rstrip()
    ends = re.match(r"\s*(?:[.,;:!?。，]|\Z|\[)", text[found.end() :])
    return bool(ends) and _VALUE.search(normalize(before)) is None and re.search(r"\w{2}\W?\Z", before) is not None


def _is_name(word: str) -> bool:
    return len(word) >= _MIN_NAME_LETTERS or word >= "\u2e80"
