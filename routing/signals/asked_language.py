"""Find the language that a message asks to be answered in: "answer in French", "auf Italienisch bitte"."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from qwendesk.prompt_quoting import without_quoted_lines
from qwendesk.quotations import ADDRESS, CODE, QUOTED, SINGLE_QUOTED
from qwendesk.routing.signals.cues import CueMatcher, fold, words_of
from qwendesk.routing.signals.language import is_function_word, language_codes

_QUOTED = re.compile(rf"{CODE}|{ADDRESS}|{QUOTED}|{SINGLE_QUOTED}", re.DOTALL)
"""Code, addresses and quotations, which ask for nothing."""
_CLAUSE = re.compile(r"[^.!?;:,\n()–—。！？।؟،؛、]+")
_MAX_EDGE_CHARS = 600
"""Characters that are examined at each end of a message; what stands between them is material."""
_MAX_WORDS_BETWEEN = 5
"""Maximum words between a request and the name of a language."""
_MAX_BARE_WORDS = 5
"""Maximum words of a message that may name a language without a request."""
_MAX_UNSPACED_CHARS = 160
_MIN_STEM_CHARS = 4
_MAX_WORDS_TO_TEXT = 4
"""Maximum distance from a word of writing to the name of a text, as in "write me a short letter"."""
_SCRIPTS = {
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"),
    "th": re.compile(r"[\u0e00-\u0e7f]"),
    "zh": re.compile(r"[\u3400-\u9fff]"),
}
"""The scripts of the languages without spaces; Japanese first, because Chinese has its characters, too."""
_UNSPACED_LISTS = {
    "zh": ("(?:用|以)", "和|与|及|、|以及", ""),
    "ja": ("", "と|、|および", "(?:の(?:両方|二言語))?で"),
    "ko": ("", "와 |과 |, ?|및 ", "(?:으로|로)"),
}
"""What stands before, between and behind the names of several languages of an answer."""
_MIN_LISTED = 2
_MAX_WORDS_TO_LIST = 2
"""Words before a list of languages that hold its preposition, as in "in both English and Chinese"."""
_COMMON_KINDS = ("ask", "please", "why", "translate", "writes", "texts", "explains", "topics")
"""Kinds of cues that count whatever language they are in."""
_LANGUAGE_KINDS = ("not", "whether", "unless")
"""Kinds of cues that count for phrases of their own language."""


@dataclass(frozen=True, slots=True)
class _Named:
    """A phrase such as "in French" in a clause."""

    start: int
    end: int
    code: str
    asking: str
    """The language of the phrase itself."""
    is_bare: bool
    """Whether the phrase is the name alone, without a preposition or case."""
    is_target: bool
    """Whether the phrase says "to German", which may also mean people."""


@dataclass(frozen=True, slots=True)
class _Clause:
    words: list[str]
    cues: dict[str, frozenset[int]]
    """Positions of the cues of each common kind."""
    excluded: frozenset[tuple[int, str]]
    """Positions of words that speak about a language only, with the language of these words."""
    asking: frozenset[str]
    """Languages of the words of request and courtesy."""
    opens: bool
    """Whether a colon follows."""

    @property
    def asks(self) -> frozenset[int]:
        """Positions of words of a request."""
        return self.cues["ask"]

    @property
    def pleases(self) -> frozenset[int]:
        """Positions of words of courtesy."""
        return self.cues["please"]


def asked_language(text: str) -> str | None:
    """Return the ISO 639-1 code of the language that a message asks to be answered in.

    None if it asks for none or for several, or only speaks about a language.
    """
    plain = request_text(text)
    return _asked_in_spaced(plain) or _asked_in_unspaced(plain)


def asked_languages(text: str) -> tuple[str, ...]:
    """Return the languages of an answer in several, as in "in English and Chinese"; empty for one or none."""
    plain = request_text(text)
    for found in _CLAUSE.finditer(plain.replace(",", " ")):
        words = words_of(found[0])
        if sum(word in _name_words() for word in words) < _MIN_LISTED:
            continue
        for asking in _spaced():
            if codes := _listed_languages(words, asking):
                return codes
    return () if plain.isascii() else _listed_in_unspaced(plain)


@cache
def _name_words() -> frozenset[str]:
    """Return the words that the names of languages hold, in all languages with spaces between words."""
    return frozenset(word for asking in _spaced() for name in _names(asking) for word in name)


def _listed_languages(words: list[str], asking: str) -> tuple[str, ...]:
    """Return the languages of a list behind a preposition, in the words of one language."""
    named = [one for one in _find_named(asking, words) if not one.is_target]
    known = _names(asking)
    bare = [
        _Named(start, end, known[phrase], asking, is_bare=True, is_target=False)
        for start in range(len(words))
        for end in range(start + 1, min(start + 3, len(words)) + 1)
        if (phrase := tuple(words[start:end])) in known
    ]
    run: list[_Named] = []
    found: tuple[str, ...] = ()
    for one in _longest([*named, *bare]):
        if run and one.start - run[-1].end > 1:
            run.clear()
        run.append(one)
        if len({name.code for name in run}) < _MIN_LISTED or not _begins_list(run[0], words):
            continue
        # a noun behind it would be described by it, as in "in English and German grammar"
        behind = words[one.end :][:1]
        cues = request_words(behind)
        nouns = _frame_words().get(asking, frozenset())
        if not behind or cues.get("ask") or cues.get("please") or behind[0] in nouns or is_function_word(behind[0]):
            found = tuple(dict.fromkeys(name.code for name in run))
    return found


def _begins_list(first: _Named, words: list[str]) -> bool:
    """Return whether a preposition stands at the first name, or a word before it, as in "in both English"."""
    if not first.is_bare:
        return True
    frames = _frame_words().get(first.asking, frozenset())
    return not frames.isdisjoint(words[max(0, first.start - _MAX_WORDS_TO_LIST) : first.start])


def _listed_in_unspaced(plain: str) -> tuple[str, ...]:
    for asking, (before, between, behind) in _UNSPACED_LISTS.items():
        names = dict(_folded_names(asking))
        name = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
        found = re.search(rf"{before}((?:{name})(?:(?:{between})(?:{name}))+){behind}", plain)
        if found:
            codes = tuple(dict.fromkeys(names[one] for one in re.findall(name, found[1])))
            if len(codes) >= _MIN_LISTED:
                return codes
    return ()


def request_text(text: str) -> str:
    """Return what may ask for something, folded: both ends of a message, without code, addresses and quotations."""
    return fold(_edges(_QUOTED.sub(" ", without_quoted_lines(text)))).replace(" - ", " – ")


def request_words(words: Sequence[str]) -> dict[str, frozenset[int]]:
    """Return the positions of folded words that ask, are courtesies, ask to translate, or stand before a name."""
    found: dict[str, set[int]] = {}
    for index, bits in _cues().find(list(words)):
        for bit, (kind, _) in enumerate(_cue_kinds()):
            if bits >> bit & 1 and kind in ("ask", "please", "translate"):
                found.setdefault(kind, set()).add(index)
    frames = frozenset[str]().union(*_frame_words().values())
    found["frame"] = {index for index, word in enumerate(words) if word in frames or word in _between()}
    return {kind: frozenset(places) for kind, places in found.items()}


def named_language_words(words: Sequence[str]) -> set[int]:
    """Return the positions of folded words that name a language, with those around the name."""
    return {place for code in _spaced() for one in _find_named(code, [*words]) for place in range(one.start, one.end)}


def mentions_language(text: str, code: str | None) -> bool:
    """Return whether a text names a language, also inflected or as an adjective, or speaks of translating."""
    plain = fold(text)
    words = words_of(plain)
    if "translate" in request_words(words):
        return True
    for asking in {"en", code} & _tables().keys():
        if asking in _SCRIPTS:
            if any(name in plain for name in language_names(asking)):
                return True
        elif any(word.startswith(_name_stems(asking)) for word in words):
            return True
    return False


def language_names(asking: str) -> frozenset[str]:
    """Return the folded names of the known languages in one of them."""
    return frozenset(name for name, _ in _folded_names(asking))


def _edges(text: str) -> str:
    """Return the beginning and the end of a long text."""
    if len(text) <= 2 * _MAX_EDGE_CHARS:
        return text
    return f"{text[:_MAX_EDGE_CHARS]}\n{text[-_MAX_EDGE_CHARS:]}"


def _asked_in_spaced(plain: str) -> str | None:
    """Return the asked language of a text with spaces between its words."""
    clauses = [_read_clause(plain, found) for found in _CLAUSE.finditer(plain)]
    clauses = [clause for clause in clauses if clause.words]
    asking = _asking_languages(clauses)
    for number, clause in enumerate(clauses):
        named = _longest([one for code in asking for one in _find_named(code, clause.words)])
        may_stand_alone = clause.opens or _belongs_to_request(clauses, number)
        for place, one in reversed(list(enumerate(named))):
            if _is_asked(clause, one, may_stand_alone=may_stand_alone):
                several = any(other.code != one.code and _adjoin(one, other) for other in named[:place])
                return None if several or _another_follows(clause.words, one, asking) else one.code
    return None


def _read_clause(plain: str, found: re.Match[str]) -> _Clause:
    words = words_of(found[0])
    cues, special = (
        {kind: set[int]() for kind in _COMMON_KINDS},
        {kind: set[tuple[int, str]]() for kind in _LANGUAGE_KINDS},
    )
    asking = set[str]()
    for index, bits in _cues().find(words):
        for bit, (kind, code) in enumerate(_cue_kinds()):
            if not bits >> bit & 1:
                continue
            if kind in special:
                special[kind].add((index, code))
                continue
            cues[kind].add(index)
            if kind in ("ask", "please"):
                asking.add(code)
    excluded = special["not"] | _begun_questions(cues, special)
    opens = plain[found.end() : found.end() + 1] == ":"
    return _Clause(
        words, {kind: frozenset(places) for kind, places in cues.items()}, frozenset(excluded), frozenset(asking), opens
    )


def _begun_questions(cues: dict[str, set[int]], special: dict[str, set[tuple[int, str]]]) -> set[tuple[int, str]]:
    """Return the words at the beginning that make a clause a question about an answer or about someone else."""
    asks = cues["ask"]
    if 0 in cues["why"] or (1 in cues["why"] and 0 not in asks):
        return {(0, code) for code in _spaced()}
    return {(index, code) for index, code in special["whether"] if index == 0 and (0, code) not in special["unless"]}


def _asking_languages(clauses: Sequence[_Clause]) -> list[str]:
    """Return the languages that the request may be written in: those with its words, all for a very short message."""
    asking = frozenset[str]().union(*(clause.asking for clause in clauses))
    words = [word for clause in clauses for word in clause.words]
    if len(words) <= _MAX_BARE_WORDS:
        asking |= {code for code, known in _frame_words().items() if not known.isdisjoint(words)}
    return [code for code in _spaced() if code in asking]


def _belongs_to_request(clauses: Sequence[_Clause], number: int) -> bool:
    """Return whether a clause is the whole message, or stands behind a request or directly before one."""
    if len(clauses) == 1 or any(clause.asks for clause in clauses[:number]):
        return True
    following = clauses[number + 1 : number + 2]
    return any(0 in clause.asks | clause.pleases for clause in following)


def _is_asked(clause: _Clause, one: _Named, *, may_stand_alone: bool) -> bool:
    """Return whether the phrase belongs to a request, by what stands before and behind it."""
    if any(index < one.end and code == one.asking for index, code in clause.excluded):
        return False
    if _is_adjective(clause, one) or (one.is_target and clause.asks and not clause.cues["translate"]):
        return False
    for index in clause.asks:
        if index < one.start and _is_filled(clause, index + 1, one.start):
            return True
        if index >= one.end and _is_filled(clause, one.end, index):
            return True
    if one.is_bare and not clause.pleases:
        return False
    if not _is_filled(clause, one.end, len(clause.words)):
        return False
    if not one.is_bare and any(asks(clause, one) for asks in (_asks_to_translate, _asks_for_text, _asks_for_reason)):
        return True
    return _is_filled(clause, 0, one.start) and (bool(clause.pleases) or may_stand_alone)


def _is_adjective(clause: _Clause, one: _Named) -> bool:
    """Return whether the name may describe the word behind it, as in "in French cuisine"."""
    allowed = _words("after", one.asking)
    if not allowed or one.end == len(clause.words):
        return False
    return clause.words[one.end] not in allowed and not _is_filled(clause, one.end, one.end + 1)


def _asks_to_translate(clause: _Clause, one: _Named) -> bool:
    """Return whether something is to be translated: "translate the second paragraph into French"."""
    may_be_target = one.is_target or "into" not in _tables()[one.asking]
    return may_be_target and any(index < one.start for index in clause.cues["translate"])


def _asks_for_text(clause: _Clause, one: _Named) -> bool:
    """Return whether a text is to be written in the language: "write me a short letter ... in French"."""
    stops = _words("stops", one.asking)
    return any(
        0 < noun - verb <= _MAX_WORDS_TO_TEXT
        and noun < one.start
        and stops.isdisjoint(clause.words[verb + 1 : noun])
        and _words("relatives", one.asking).isdisjoint(clause.words[noun : one.start])
        for verb in clause.cues["writes"]
        for noun in clause.cues["texts"]
    )


def _asks_for_reason(clause: _Clause, one: _Named) -> bool:
    """Return whether a reason that has nothing to do with language is asked for: "explain why ... in French"."""
    return any(index < one.start for index in clause.cues["explains"]) and not clause.cues["topics"]


def _is_filled(clause: _Clause, start: int, end: int) -> bool:
    """Return whether only words of courtesy and short words stand between two positions."""
    words = clause.words[start:end]
    return len(words) <= _MAX_WORDS_BETWEEN and all(
        word in _between() or start + index in clause.asks | clause.pleases for index, word in enumerate(words)
    )


def _adjoin(one: _Named, other: _Named) -> bool:
    """Return whether one word, a conjunction, stands between two phrases."""
    return one.start - other.end == 1


def _another_follows(words: list[str], one: _Named, asking: Sequence[str]) -> bool:
    """Return whether the name of another language follows: "in French and German"."""
    for code in asking:
        for start in range(one.end, min(one.end + 2, len(words))):
            for end in range(start + 1, min(start + 4, len(words)) + 1):
                if _names(code).get(tuple(words[start:end]), one.code) != one.code:
                    return True
    return False


def _find_named(asking: str, words: list[str]) -> Iterator[_Named]:
    for start, word in enumerate(words):
        for phrase, code in _phrases(asking).get(word, ()):
            if tuple(words[start : start + len(phrase)]) == phrase:
                is_bare, is_target = phrase in _names(asking), phrase in _targets(asking)
                yield _Named(start, start + len(phrase), code, asking, is_bare, is_target)


def _longest(named: list[_Named]) -> list[_Named]:
    """Return the phrases in order, of overlapping ones the longest; of equal ones one that is more than a target."""
    kept: list[_Named] = []
    for one in sorted(named, key=lambda one: (one.start - one.end, one.start, one.is_target)):
        if all(one.end <= other.start or one.start >= other.end for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)


def _asked_in_unspaced(plain: str) -> str | None:
    """Return the asked language of a text without spaces between its words, or with suffixes as in Korean."""
    for code, script in _SCRIPTS.items():
        if not script.search(plain):
            continue
        for sentence in re.findall(r"[^.!?\n。]+", plain):
            alone, patterns, excluded = _unspaced_patterns(code)
            if excluded.search(sentence):
                continue
            found = [match for pattern in patterns for match in pattern.finditer(sentence[-_MAX_UNSPACED_CHARS:])]
            whole = alone.fullmatch(plain.strip(" .!?。\n"))
            codes = {_unspaced_names(code)[match["name"]] for match in ([whole] if whole else found)}
            if codes:
                return codes.pop() if len(codes) == 1 else None
    return None


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(resources.files(__package__).joinpath("asked_language.toml").read_text("utf-8"))


@cache
def _spaced() -> tuple[str, ...]:
    return tuple(code for code, table in _tables().items() if "in" in table)


@cache
def _cue_kinds() -> tuple[tuple[str, str], ...]:
    """Return the kind and the language of each bit of the cues."""
    return tuple((kind, code) for code in _spaced() for kind in (*_COMMON_KINDS, *_LANGUAGE_KINDS))


@cache
def _cues() -> CueMatcher:
    """Return the cue words; each kind of a language has a bit."""
    return CueMatcher(
        (bit, cue) for bit, (kind, code) in enumerate(_cue_kinds()) for cue in _tables()[code].get(kind, "").split(",")
    )


@cache
def _name_stems(asking: str) -> tuple[str, ...]:
    """Return the beginnings of the names of languages, without endings that inflection changes."""
    firsts = {words_of(name)[0] for name in language_names(asking) if words_of(name)}
    return tuple({first[: max(_MIN_STEM_CHARS, len(first) - 2)] for first in firsts if len(first) >= _MIN_STEM_CHARS})


@cache
def _words(kind: str, code: str) -> frozenset[str]:
    return frozenset(words_of(fold(_tables()[code].get(kind, ""))))


@cache
def _between() -> frozenset[str]:
    return frozenset(word for code in _spaced() for word in words_of(fold(_tables()[code]["between"])))


@cache
def _frame_words() -> dict[str, frozenset[str]]:
    """Return the words of the phrases around the names, by language."""
    frames = {code: re.sub(r"\S*\{.\}\S*", " ", ",".join(_frames(code))) for code in _spaced()}
    return {code: frozenset(words_of(fold(frame))) for code, frame in frames.items()}


def _frames(code: str) -> list[str]:
    """Return what stands around the name of a language."""
    table = _tables()[code]
    return [*table["in"].split(","), *(frame for frame in table.get("into", "").split(",") if frame)]


@cache
def _phrases(asking: str) -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """Return the phrases by their first word, each with the code of its language."""
    found: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for frame in _frames(asking):
        for phrase, code in filled_frame(asking, frame):
            found.setdefault(phrase[0], []).append((phrase, code))
    return found


@cache
def _targets(asking: str) -> frozenset[tuple[str, ...]]:
    """Return the phrases that say into which language something is translated."""
    frames = _tables()[asking].get("into", "").split(",")
    return frozenset(phrase for frame in frames if frame for phrase, _ in filled_frame(asking, frame))


def filled_frame(asking: str, frame: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the words of a phrase with each name (``{n}``) or form (``{f}``) in it, and the code of the language.

    Args:
        asking: the language of the phrase and the names.
        frame: the phrase.
    """
    rules = [
        [fold(end.strip()) for end in rule.split(">")] for rule in _tables()[asking].get("forms", "").split(",") if rule
    ]
    folded = fold(frame.strip())
    for name, code in _folded_names(asking):
        forms = [name[: len(name) - len(old)] + new for old, new in rules if name.endswith(old)]
        for form in [name] if "{n}" in folded else forms:
            yield tuple(words_of(re.sub(r"\{.\}", form, folded))), code


@cache
def _names(asking: str) -> dict[tuple[str, ...], str]:
    return {tuple(words_of(name)): code for name, code in _folded_names(asking)}


@cache
def _folded_names(asking: str) -> list[tuple[str, str]]:
    """Return the names of the known languages in one of them, folded, with their codes."""
    from babel import Locale

    listed = Locale.parse(asking).languages
    also = _tables()[asking].get("also", {})
    return [
        (fold(name).strip(), code)
        for code in language_codes()
        for name in (listed.get(code, ""), *also.get(code, "").split(","))
        if name.strip()
    ]


@cache
def _unspaced_names(asking: str) -> dict[str, str]:
    return dict(_folded_names(asking))


@cache
def _unspaced_patterns(asking: str) -> tuple[re.Pattern[str], list[re.Pattern[str]], re.Pattern[str]]:
    """Return the patterns of a message that only names a language, of requests, and of other sentences."""
    names = "|".join(map(re.escape, sorted(_unspaced_names(asking), key=len, reverse=True)))
    table = _tables()[asking]

    def compiled(pattern: str) -> re.Pattern[str]:
        return re.compile(fold(pattern).replace("{n}", f"(?P<name>{names})"))

    excluded = re.compile(fold(table["not"]).replace("{n}", f"(?:{names})"))
    return compiled(table["alone"]), [compiled(one) for one in table["patterns"]], excluded
