"""Messages that hold several questions: cut where the text itself shows it, kept whole wherever that is in doubt."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from qwendesk.routing.base import Decision, Router, Signals
from qwendesk.routing.policy.policy_file import Split
from qwendesk.routing.signals.cues import KINDS, fold, load_cues, words_of
from qwendesk.routing.signals.language import is_small_word

_LONGEST = 1500
"""Characters from which a message is a text rather than a few questions."""
_SENTENCES = re.compile(r"(?<=[.!?؟])\s+(?=\S)|(?<=[。！？])|\n+")
_ITEM = re.compile(r"^\s*(?:\(?\d{1,2}[.)]|[-*•])\s+(?=\S)", re.MULTILINE)
_NUMBERED = re.compile(r"(?<!\S)\(?(\d{1,2})[.)]\s+(?=[^\W\d])")
"""An item of a list that stands in one line; the numbers have to count up from 1."""
_RELATIVE = re.compile(r"\ban?\s+(?:\w+\s+){1,3}?that\s+\w+[^\Ws]s\b", re.IGNORECASE)
"""As in "a function that adds": this "that" points at nothing before it."""
_NAME = re.compile(r"\s[^\W\d_a-z]\w{3,}")
_NO_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_WHOLE = ("```", "{", "\\", "$", "|", "\t")
"""Signs of code, formulas and tables: such a message is one piece of work."""
_SHARED = 5
"""Letters from which a word that two parts share shows one topic."""
_FEWEST = 2
"""Words of the shortest part."""
_INTRODUCTION = re.compile(r"^[^:：?!.\n\d]{1,60}[:：]\s*")
"""What comes before the questions, such as "I need three things:"."""
_SUM = re.compile(r"\d\s*[-+*/×÷^%]\s*\(?\d")
_MATTERS = (1 << KINDS.index("service")) | (1 << KINDS.index("assist"))
"""A customer's words and everyday errands: matters of their own."""
_POLITE = 4
"""Words up to which a sentence may be a mere courtesy."""


_Cues = dict[str, re.Pattern[str]]


@dataclass(frozen=True, slots=True)
class SubQuestion:
    """One question of a message and where it goes."""

    text: str
    decision: Decision


def questions_of(signals: Signals, decision: Decision, router: Router, policy: Split) -> tuple[SubQuestion, ...]:
    """Return the questions of a message that holds several, where nobody has said who is to answer."""
    if decision.by not in ("classifier", "abstention") or signals.images or signals.audio or decision.model:
        return ()
    return split(signals, router, policy)


def split(signals: Signals, router: Router, policy: Split) -> tuple[SubQuestion, ...]:
    """Return the questions of a message for different specialists; none where it is one, or in doubt."""
    text = signals.text.strip()
    if not policy.enabled or len(text) > _LONGEST or any(sign in text for sign in _WHOLE):
        return ()
    cues = _patterns(signals.language if signals.language in _tables()["starts"] else None)
    pieces = _requests(text, cues)
    if not 2 <= len(pieces) <= 2 * policy.most:
        return ()
    questions = [SubQuestion(piece, router.route(replace(signals, text=piece))) for piece in pieces]
    if not all(_is_sure(question, policy.at, cues) for question in questions) or _overlap(pieces):
        return ()
    merged = _merged(questions)
    return tuple(merged) if 2 <= len(merged) <= policy.most else ()


def _requests(text: str, cues: _Cues) -> list[str]:
    """Return the requests of a message in order; none where a piece is no request of its own."""
    if items := _items(text):
        pieces = [" ".join(item.split()) for item in items]
    else:
        sentences = [part.strip() for part in _SENTENCES.split(_INTRODUCTION.sub("", text)) if part and part.strip()]
        pieces = [
            piece for sentence in sentences if not _is_polite(sentence, cues) for piece in _joined(sentence, cues)
        ]
    own = all(_is_request(piece, cues) and not (index and _leans(piece, cues)) for index, piece in enumerate(pieces))
    return pieces if own else []


def _items(text: str) -> list[str]:
    """Return the items of a list, one a line or all in one; empty where there is none."""
    items = _ITEM.split(text)
    if len(items) > 2:
        return items[1:]
    found = list(_NUMBERED.finditer(text))
    if len(found) < 2 or [int(one[1]) for one in found] != list(range(1, len(found) + 1)):
        return []
    ends = [one.start() for one in found[1:]] + [len(text)]
    return [text[one.end() : end] for one, end in zip(found, ends, strict=True)]


def _joined(sentence: str, cues: _Cues) -> list[str]:
    """Cut a sentence at each "and also" or comma that a request follows."""
    parts = cues["join"].split(sentence)
    return [part for part in (part.strip(" ,;，、") for part in parts) if part]


def _is_request(piece: str, cues: _Cues) -> bool:
    if len(piece.split()) < _FEWEST and not (_NO_SPACES.search(piece) and len(piece) >= 2 * _FEWEST):
        return False
    asks = piece.rstrip(" \"')»”").endswith(("?", "？", "؟"))
    return asks or bool(cues["start"].search(piece) or cues["end"].search(piece))


def _leans(piece: str, cues: _Cues) -> bool:
    return bool(cues["lean"].search(_RELATIVE.sub("", piece)))


def _is_polite(sentence: str, cues: _Cues) -> bool:
    return len(sentence.split()) <= _POLITE and bool(cues["polite"].match(sentence)) and "?" not in sentence


def _is_sure(question: SubQuestion, least: float, cues: _Cues) -> bool:
    """Tell whether the part's domain is plain; between general and thinking there is nothing to be sure of."""
    decision, shares = question.decision, question.decision.probabilities
    if decision.role != "coder" and _SUM.search(question.text):
        return True
    if _domain(decision) != "other":
        return decision.confidence >= least
    other = shares.get("general", 0.0) + shares.get("thinking", 0.0) if shares else decision.confidence
    return other >= least and _has_own_matter(question.text, cues)


def _has_own_matter(piece: str, cues: _Cues) -> bool:
    """Tell whether a part names what it is about: "which is faster?" goes with the part before it."""
    if cues["who"].match(piece) and _NAME.search(piece):
        return True
    words = words_of(fold(piece))
    named = sum(len(w) > 3 and not is_small_word(w) and w[:_SHARED] not in _asking() for w in words)
    matters = any(bits & _MATTERS for _, bits in load_cues().find(words))
    return named >= _FEWEST or matters or bool(_NO_SPACES.search(piece))


def _domain(decision: Decision) -> str:
    return decision.role if decision.role in ("coder", "math") else "other"


def _overlap(pieces: list[str]) -> bool:
    """Tell whether two parts speak of the same thing."""
    seen: set[str] = set()
    for piece in pieces:
        words = {w[:_SHARED] for w in words_of(fold(piece)) if len(w) >= _SHARED and not is_small_word(w)}
        if words & seen - _asking():
            return True
        seen |= words
    return False


def _merged(questions: list[SubQuestion]) -> list[SubQuestion]:
    """Put neighbours of one domain together."""
    merged = questions[:1]
    for question in questions[1:]:
        last = merged[-1]
        if _domain(last.decision) == _domain(question.decision):
            merged[-1] = SubQuestion(f"{last.text} {question.text}", max((last, question), key=_weight).decision)
        else:
            merged.append(question)
    return merged


def _weight(question: SubQuestion) -> tuple[bool, float]:
    return question.decision.role == "thinking", question.decision.confidence


@cache
def _tables() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files(__package__).joinpath("split_cues.toml").read_text("utf-8"))


@cache
def _asking() -> set[str]:
    """Return the beginnings of words that only ask: sharing them means nothing."""
    phrases = ",".join(_tables()["starts"].values()).replace(",", " ")
    return {fold(word)[:_SHARED] for word in phrases.split()}


@cache
def _patterns(language: str | None) -> _Cues:
    """Return what is looked for in a language that has cues; English is looked for in all."""
    words = {kind: _lines(lines, language) for kind, lines in _tables().items()}
    starts, joins = _either(words["starts"]), _either(words["joins"])
    join = rf"(?:[,;，、]\s*|\s+)(?:{joins})[,\s]*(?=[¿¡]*{starts})|[,;，；]\s*(?=[¿¡]*{starts})|[;；]\s*"
    patterns = {
        "start": rf"^(?:{joins}[,\s]*)?[¿¡\"'«„]*{starts}",
        "end": rf"{_either(words['ends'], anywhere=True)}[\s.。!！]*$",
        "join": join,
        "lean": _either(words["leans"]),
        "who": _either(words["who"]),
        "polite": _either(words["polite"]),
    }
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in patterns.items()}


def _lines(lines: dict[str, str], language: str | None) -> list[str]:
    words = {word.strip() for code in ("any", "en", language) for word in lines.get(code or "", "").split(",")}
    return sorted(words - {""}, key=lambda word: (-len(word), word))


def _either(words: list[str], *, anywhere: bool = False) -> str:
    """Return a pattern of any of the words: whole ones, where the script has spaces."""
    if not words:
        return r"(?!)"
    if anywhere:
        return f"(?:{'|'.join(map(re.escape, words))})"
    spaced = [re.escape(word) for word in words if not _NO_SPACES.search(word) and word[0].isalpha()]
    dense = [re.escape(word) for word in words if _NO_SPACES.search(word) or not word[0].isalpha()]
    return rf"(?:(?<!\w)(?:{'|'.join(spaced)})(?!\w)" + (rf"|{'|'.join(dense)})" if dense else ")")
