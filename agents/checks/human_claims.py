"""Detect questions whether a human answers, and answers that claim to be human, in many languages."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from qwendesk.quotations import CODE, QUOTED, QUOTED_LINE, SINGLE_QUOTED

_QUOTED = re.compile(rf"{CODE}|{QUOTED_LINE}|{QUOTED}|{SINGLE_QUOTED}", re.DOTALL | re.MULTILINE)
_SENTENCE = re.compile(r"[^.?!;\n。？！؟।]+[.?!;。？！؟।]*|[.]")
_SPACES = re.compile(r"[^\S\n]+")
_ASKS = re.compile(r"[?？؟]|;\s*\Z|หรอ|ไหม|มย|[吗嗎呢]|か\W*\Z|(?:까|나요|가요|니|냐|지)\W*\Z")
"""Signs and words that mark a question."""
_LETTERS = str.maketrans({"ł": "l", "đ": "d", "ø": "o", "ı": "i", "æ": "ae"})
"""Letters that Unicode does not decompose."""
_MAX_WORDS, _MAX_WORDS_BEHIND, _MAX_OTHER_WORDS = 24, 2, 5
"""Maximum words of a question, behind its noun, and in all other sentences."""
_NUMBERED = r"(?! \d+(?![\d%]))"
"""A noun with a number is a name, as in ``person 3``."""
_MAX_UNSPACED_REST_CHARS = 14
"""Maximum characters behind the noun in languages without spaces between words."""
_MAX_WHOLE_WORD_CHARS = 4
"""Maximum length of a cue for a text task that matches whole words only."""
_MAX_CHARS = 2000
_SPEAKING_MACHINES = frozenset(
    ("bot", "robot", "robo", "roboter", "ai", "ki", "ia", "chatbot", "бот", "робот", "ии", "בוט", "روبوت", "ربات")
)
"""Words for a chatbot."""


@dataclass(frozen=True, slots=True)
class HumanQuestion:
    """A question whether a human answers."""

    statement: str
    """The true statement, in the language of the question."""
    is_only_question: bool
    """Whether the message asks nothing else."""


@dataclass(frozen=True, slots=True)
class _LanguageCues:
    code: str
    dense: bool
    rest: int
    nouns: re.Pattern[str]
    ask: re.Pattern[str]
    claim: re.Pattern[str]
    admits: re.Pattern[str]
    exempt: re.Pattern[str]
    statement: str

    def asks(self, sentence: str) -> bool:
        """Return whether a sentence is a question."""
        return any(self._is_question(sentence, sentence[found.end() :]) for found in self.ask.finditer(sentence))

    def _is_question(self, sentence: str, behind: str) -> bool:
        clause = re.split(r"[,:()、，–—]", behind, maxsplit=1)[0]
        rest = len(clause.strip(" .?!;。？！؟।")) if self.dense else len(re.findall(r"\w+", clause))
        if _ASKS.search(sentence):
            limit = _MAX_UNSPACED_REST_CHARS if self.dense else self.rest + 2 * bool(self.nouns.search(clause))
            return rest <= limit and len(sentence.split()) <= _MAX_WORDS
        return rest <= (4 if self.dense else 0) and len(sentence.split()) <= _MAX_OTHER_WORDS + 1


def asks_for_human(text: str, language: str | None = None) -> HumanQuestion | None:
    """Return the statement for a message that asks whether a human answers; None for other messages.

    Args:
        text: the message.
        language: the conversation's language, which is tried first.
    """
    plain = normalize(_QUOTED.sub(" ", text[:_MAX_CHARS]))
    for start, end in _sentences_of_person(plain):
        if asking := next((one for one in _by_preference(language) if one.asks(plain[start:end])), None):
            other = re.findall(r"\w+", f"{plain[:start]} {plain[end:]}")
            return HumanQuestion(asking.statement, len(other) <= _MAX_OTHER_WORDS and not _is_text_task(plain))
    return None


def _sentences_of_person(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of sentences that are not the material of a text task such as a translation."""
    is_announced = False
    for sentence in _SENTENCE.finditer(text):
        is_work = _is_text_task(sentence[0])
        if not (is_work or is_announced):
            yield sentence.span()
        is_announced = is_announced or (is_work and sentence[0].rstrip().endswith((":", "：")))


def _is_text_task(text: str) -> bool:
    return any(one.exempt.search(text) for one in _languages())


def is_text_task(question: str) -> bool:
    """Return whether a message asks for work on a text, such as a translation or a story, in which anyone may speak."""
    return _is_text_task(normalize(question[:_MAX_CHARS]))


def without_quotations(text: str) -> str:
    """Return a text without quotations and code."""
    return _QUOTED.sub(" ", text)


def claims_to_be_human(answer: str, language: str | None = None) -> str | None:
    """Return the true statement if an answer claims to be human outside quotations; else None."""
    plain = normalize(_QUOTED.sub(" ", answer))
    return claim_in(plain, [one.code for one in _by_preference(language)]) if _any_claim().search(plain) else None


def claim_in(folded: str, codes: Iterable[str | None]) -> str | None:
    """Return the true statement if a folded text claims to be human in one of some languages; else None."""
    known = _by_code()
    found = (known[code] for code in codes if code in known)
    return next((one.statement for one in found if one.claim.search(folded) and not one.admits.search(folded)), None)


def warm_up() -> None:
    """Compile the patterns in advance (about 0.25 s)."""
    _any_claim()


def normalize(text: str) -> str:
    """Return a text in lower case and without any marks, also those that ``cues.fold`` keeps as parts of letters."""
    if text.isascii():
        return _SPACES.sub(" ", text.casefold())
    apart = unicodedata.normalize("NFKD", text.replace("’", "'").casefold().translate(_LETTERS))
    bare = unicodedata.normalize("NFC", "".join(char for char in apart if unicodedata.category(char) != "Mn"))
    return _SPACES.sub(" ", bare)


def _by_preference(language: str | None) -> Iterable[_LanguageCues]:
    return sorted(_languages(), key=lambda one: one.code != language)


@cache
def _by_code() -> dict[str | None, _LanguageCues]:
    return {one.code: one for one in _languages()}


@cache
def _any_claim() -> re.Pattern[str]:
    return re.compile("|".join(one.claim.pattern for one in _languages()))


@cache
def _languages() -> tuple[_LanguageCues, ...]:
    table = tomllib.loads(resources.files(__package__).joinpath("human_claims.toml").read_text("utf-8"))
    return tuple(_compile_language(code, values) for code, values in table.items())


def _compile_language(code: str, values: dict[str, Any]) -> _LanguageCues:
    dense = bool(values.get("dense"))

    exempt = "|".join(
        cue if dense or len(cue) > _MAX_WHOLE_WORD_CHARS else rf"{cue}(?!\w)"
        for cue in normalize(values["exempt"]).split("|")
    )
    after = normalize(values.get("after", ""))
    behind = rf"(?![ -](?:{after}))" if after else ""

    no = normalize("|".join(filter(None, (values["no"], values.get("stop", "")))))

    def compiled(lines: Iterable[str], apart: str = "", unless: str = "") -> re.Pattern[str]:
        patterns = [pattern for line in lines for pattern in _line_patterns(normalize(line), values, apart)]
        inner = "|".join(f"(?:{pattern})" for pattern in patterns) or r"(?!)"
        return re.compile(f"(?:{inner}){behind}" if dense else rf"(?<!\w)(?:{inner})(?![\w-]){behind}{unless}")

    bounded = exempt if dense else rf"(?<!\w)(?:{exempt})"
    return _LanguageCues(
        code,
        dense,
        values.get("rest", _MAX_WORDS_BEHIND),
        compiled(["{n}"]),
        compiled(values["ask"], normalize(values.get("stop", ""))),
        compiled(values["claim"], no, _NUMBERED),
        compiled(values["admits"], no),
        re.compile(bounded),
        values["says"],
    )


def _line_patterns(line: str, values: dict[str, Any], apart: str) -> Iterator[str]:
    """Yield the patterns of a line; two nouns in it are one for a human and one for a machine.

    Args:
        line: the phrase of the file.
        values: the language's words.
        apart: words that may not stand between the parts.
    """
    human, machine = (normalize(values[name]) for name in ("human", "machine"))
    basic = "|".join([word for word in human.split("|") if " " in word][:6] + human.split("|")[:1])
    strict = "|".join([basic, *[word for word in machine.split("|") if word in _SPEAKING_MACHINES]])
    lines = [line.replace("{n}", "{h}", 1).replace("{n}", "{m}"), line.replace("{n}", "{m}", 1).replace("{n}", "{h}")]
    unless = rf"(?!(?:{apart})(?!\w))" if apart else ""
    filler = "" if values.get("dense") else rf"(?:{unless}[\w'-]+ ){{0,3}}"
    for one in lines if line.count("{n}") == 2 else [line]:
        for name, nouns in {"{n}": f"{human}|{machine}", "{h}": human, "{m}": machine, "{s}": strict}.items():
            one = one.replace(name, f"(?:{'|'.join(sorted(nouns.split('|'), key=len, reverse=True))})")
        yield one.replace("_", filler)
