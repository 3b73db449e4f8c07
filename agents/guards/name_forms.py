"""Find the words of a sentence that are written as names: by capitals, or as codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import regex

WORD = regex.compile(r"[\p{Lu}\p{Ll}\p{Lt}][\p{Lu}\p{Ll}\p{Lt}\p{Mn}\p{N}]*")
"""A word in a script with capitals; one in another script may stand beside it without a space."""
_LATIN = regex.compile(r"\p{Latin}")
_OTHER_LETTER = regex.compile(r"[^\P{L}\p{Latin}]")
_SKIPPED = regex.compile(
    r"`[^`\n]*`|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|(?<!\w)\"[^\"\n]*\"(?!\w)|(?:https?://|www\.)\S+|[\w.+-]+@[\w.-]+|(?<!\w)[\w-]+(?:\.[\w-]+)*\.\p{Ll}{2,7}(?!\w)|"
    r"(?<!\w)[\w./-]*[/_]\w[\w./-]*|\{\w+\}|(?<!\w)[@#$/%-]+\w+|&\w+;|<[^<>\n]*>"
)
"""Code, quotations, addresses, files, commands and placeholders."""
_BEHIND_WORD = regex.compile(r"[\p{L}\p{M}\p{N}][*_’']{0,3},? [*_]{0,3}\Z")
"""What stands before a word inside a sentence: another word, and no sign behind which a capital is usual."""
_JOINTS = (" ", "-", "’", "'", ". ")
_CAPITALS = regex.compile(r"\p{Lu}{2,}")
_INNER = regex.compile(r"\p{Ll}\p{Lu}")
_INNER_ENDING = regex.compile(r"\p{Ll}(?:In|Innen|La|Le|Lei|Ci|Vi|Li|Gli)\Z")
"""A German plural of women and men, and Italian polite forms, which are no names."""
_LABEL = regex.compile(r"\s*(?:[-*_#>•]+\s*)*\p{Lu}{2,}[*_]*\s?[:：]")
"""A word in capitals that introduces what follows."""
_ROMAN = regex.compile(r"[IVXLC]+")
_CODE = regex.compile(r"(?<![\p{L}\p{N}-])(?:\p{Lu}{1,5}-\d{2,6}|\p{Lu}{2,5}\d{1,6})\p{Lu}{0,2}(?![\p{L}\p{N}-])")
_MAX_CAPITALS, _MAX_ENDING = 4, 3
"""Letters of a word in capitals that may be an abbreviation, since longer ones are loud; and of an ending behind it."""
_MIN_FOREIGN = 3
NameForm = Literal["capital", "foreign", "marked"]
"""A capital inside a sentence; one in a text of another script; capitals, a capital inside a word, or a code."""
_TITLE_SHARE, _MAX_TITLE_WORDS = 0.75, 9
"""Share of words with a capital in a heading, and the number of its words."""


@dataclass(frozen=True, slots=True)
class WrittenName:
    """Words that are written as a name."""

    words: tuple[str, ...]
    form: NameForm
    before: str = ""
    """The word before it."""

    @property
    def shown(self) -> str:
        """The name as it stands."""
        return " ".join(self.words)


def names_in(text: str) -> Iterator[WrittenName]:
    """Yield the names of a sentence: runs of words with capitals inside it, and marked words anywhere."""
    text = _SKIPPED.sub(_blank, text)
    yield from (WrittenName((found[0],), "marked") for found in _CODE.finditer(text))
    text = _CODE.sub(_blank, text)
    words = list(WORD.finditer(text))
    is_loud = sum(len(word[0]) > 1 and word[0].isupper() for word in words) > max(2, len(words) // 2)
    is_latin = len(_OTHER_LETTER.findall(text)) * 2 < len(_LATIN.findall(text))
    is_title = _is_title(text, [word[0] for word in words])
    is_label = _LABEL.match(text) is not None
    run, before, end = list[str](), "", -1
    for at, word in enumerate(words):
        said = word[0]
        is_joined = bool(run) and text[end : word.start()] in _JOINTS
        is_foreign = not is_latin and said[0].isupper() and len(said) >= _MIN_FOREIGN and bool(_LATIN.match(said))
        if (is_foreign or is_marked(said)) and not is_loud and not (at == 0 and is_label):
            yield WrittenName((said,), "marked" if is_marked(said) else "foreign")
        if run and not (is_joined and said[0].isupper()):
            yield WrittenName(tuple(run), "capital", before)
            run.clear()
        is_inside = is_joined or _BEHIND_WORD.search(text[max(0, word.start() - 9) : word.start()]) is not None
        is_shouted = said.isupper() and len(said) > _MAX_CAPITALS
        if said[0].isupper() and len(said) > 1 and is_inside and not (is_title or is_foreign or is_shouted):
            before = before if run else words[at - 1][0] if at else ""
            run.append(said)
        end = word.end()
    if run:
        yield WrittenName(tuple(run), "capital", before)


def is_marked(word: str) -> bool:
    """Return whether the letters of a word alone tell a name."""
    core = core_of(word)
    if core.isupper() and len(core) > 1:
        return len(core) <= _MAX_CAPITALS and not _ROMAN.fullmatch(core)
    return _INNER.search(word) is not None and not _INNER_ENDING.search(word)


def core_of(word: str) -> str:
    """Return a word in capitals without its ending: ``PDFs``, ``DHLem``."""
    core = _CAPITALS.match(word)
    rest = word[len(core[0]) :] if core else ""
    return core[0] if core and len(rest) <= _MAX_ENDING and (not rest or rest.islower()) else word


def _blank(found: regex.Match[str]) -> str:
    return "." * len(found[0])


def _is_title(text: str, words: list[str]) -> bool:
    """Return whether a text is a heading, in which every word of weight has a capital."""
    long = [word for word in words if len(word) > _MIN_FOREIGN]
    if text.lstrip().startswith("#"):
        return True
    is_short = len(long) > 1 and len(words) < _MAX_TITLE_WORDS and not text.rstrip().endswith((".", "!", "?"))
    return is_short and sum(word[0].isupper() for word in long) >= _TITLE_SHARE * len(long)
