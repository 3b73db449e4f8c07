"""Split a message that holds several questions; a message is kept whole in doubt."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from qwendesk.routing.base import Decision, Router, Signals
from qwendesk.routing.policy.policy_file import SplitPolicy
from qwendesk.routing.signals.cues import KINDS, fold, load_cues, words_of
from qwendesk.routing.signals.language import is_function_word

_MAX_MESSAGE_CHARS = 1500
"""Maximum length of a message that is split."""
_SENTENCES = re.compile(r"(?<=[.!?؟])\s+(?=\S)|(?<=[。！？])|\n+")
_ITEM = re.compile(r"^\s*(?:\(?(?:\d{1,2}|[a-h])[.)]|[-*•])\s+(?=\S)", re.MULTILINE)
_NUMBERED = re.compile(r"(?<!\S)\(?(\d{1,2})[.)]\s+(?=[^\W\d])")
"""An item of a list that stands in one line; the numbers have to count up from 1."""
_RELATIVE = re.compile(r"\ban?\s+(?:\w+\s+){1,3}?that\s+\w+[^\Ws]s\b", re.IGNORECASE)
"""As in "a function that adds": this "that" refers to nothing before it."""
_PROPER_NAME = re.compile(r"\s[^\W\d_a-z]\w{3,}")
_CHINESE_OR_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_UNSPLITTABLE_SIGNS = ("```", "{", "\\", "$", "|", "\t")
"""Signs of code, formulas and tables, which are not split."""
_TOPIC_PREFIX_CHARS = 5
"""Length of the prefix by which two parts share a word, and so a topic."""
_MIN_WORDS = 2
"""Minimum words of a part."""
_INTRODUCTION = re.compile(r"^[^:：?!.\n\d]{1,60}[:：]\s*")
"""Introduction before the questions, such as "I need three things:"."""
_SUM = re.compile(r"\d\s*[-+*/×÷^%]\s*\(?\d")
_OWN_TOPIC_KINDS = (1 << KINDS.index("service")) | (1 << KINDS.index("assist"))
"""Kinds of words that name a separate topic."""
_MAX_COURTESY_WORDS = 4
"""Maximum words of a courtesy."""
_CuePatterns = dict[str, re.Pattern[str]]


@dataclass(frozen=True, slots=True)
class SubQuestion:
    """One question of a message, and its decision."""

    text: str
    decision: Decision


def find_subquestions(
    signals: Signals, decision: Decision, router: Router, policy: SplitPolicy
) -> tuple[SubQuestion, ...]:
    """Return the questions of a message, unless an override, an attachment or a rule decided it."""
    if decision.decided_by not in ("classifier", "abstention") or signals.images or signals.audio or decision.model:
        return ()
    return split_message(signals, router, policy)


def split_message(signals: Signals, router: Router, policy: SplitPolicy) -> tuple[SubQuestion, ...]:
    """Return the questions of a message for different roles; empty for one question or in doubt."""
    text = signals.text.strip()
    if not policy.enabled or len(text) > _MAX_MESSAGE_CHARS or any(sign in text for sign in _UNSPLITTABLE_SIGNS):
        return ()
    cues = _cue_patterns(signals.language if signals.language in _tables()["starts"] else None)
    pieces = _find_requests(text, cues)
    if not 2 <= len(pieces) <= 2 * policy.max_questions:
        return ()
    questions = [SubQuestion(piece, router.route(replace(signals, text=piece))) for piece in pieces]
    if not all(_is_confident(question, policy.min_confidence, cues) for question in questions) or _share_topic(pieces):
        return ()
    merged = _merge_same_domain(questions)
    return tuple(merged) if 2 <= len(merged) <= policy.max_questions else ()


def requests_in(text: str, language: str | None) -> list[str]:
    """Return the requests of a message in order, also those that depend on others; what is no request is left out."""
    cues = _cue_patterns(language if language in _tables()["starts"] else None)
    return [piece for piece in _pieces_of(text.strip(), cues) if _is_request(piece, cues)]


def _pieces_of(text: str, cues: _CuePatterns) -> list[str]:
    """Return the items of a list, or the sentences of a message, cut before further requests."""
    if items := list_items(text):
        return [" ".join(item.split()) for item in items]
    sentences = [part.strip() for part in _SENTENCES.split(_INTRODUCTION.sub("", text)) if part and part.strip()]
    return [
        piece
        for sentence in sentences
        if not _is_courtesy(sentence, cues)
        for piece in _split_at_conjunctions(sentence, cues)
    ]


def _find_requests(text: str, cues: _CuePatterns) -> list[str]:
    """Return the requests of a message in order; empty if a part is not a request."""
    pieces = _pieces_of(text, cues)
    own = all(
        _is_request(piece, cues) and not (index and _depends_on_previous(piece, cues))
        for index, piece in enumerate(pieces)
    )
    return pieces if own else []


def list_items(text: str) -> list[str]:
    """Return the items of a list, one a line or all in one line; empty without a list."""
    items = _ITEM.split(text)
    if len(items) > 2:
        return items[1:]
    found = list(_NUMBERED.finditer(text))
    if len(found) < 2 or [int(one[1]) for one in found] != list(range(1, len(found) + 1)):
        return []
    ends = [one.start() for one in found[1:]] + [len(text)]
    return [text[one.end() : end] for one, end in zip(found, ends, strict=True)]


def _split_at_conjunctions(sentence: str, cues: _CuePatterns) -> list[str]:
    """Cut a sentence at each "and also" or comma that a request follows."""
    parts = cues["join"].split(sentence)
    return [part for part in (part.strip(" ,;，、") for part in parts) if part]


def _is_request(piece: str, cues: _CuePatterns) -> bool:
    if len(piece.split()) < _MIN_WORDS and not (_CHINESE_OR_JAPANESE.search(piece) and len(piece) >= 2 * _MIN_WORDS):
        return False
    asks = piece.rstrip(" \"')»”").endswith(("?", "？", "؟"))
    return asks or bool(cues["start"].search(piece) or cues["end"].search(piece))


def _depends_on_previous(piece: str, cues: _CuePatterns) -> bool:
    return bool(cues["lean"].search(_RELATIVE.sub("", piece)))


def _is_courtesy(sentence: str, cues: _CuePatterns) -> bool:
    return len(sentence.split()) <= _MAX_COURTESY_WORDS and bool(cues["polite"].match(sentence)) and "?" not in sentence


def _is_confident(question: SubQuestion, least: float, cues: _CuePatterns) -> bool:
    """Return whether the domain of a part is certain; general and thinking count as one domain."""
    decision, shares = question.decision, question.decision.probabilities
    if decision.role != "coder" and _SUM.search(question.text):
        return True
    if _domain(decision) != "other":
        return decision.confidence >= least
    other = shares.get("general", 0.0) + shares.get("thinking", 0.0) if shares else decision.confidence
    return other >= least and _has_own_topic(question.text, cues)


def _has_own_topic(piece: str, cues: _CuePatterns) -> bool:
    """Return whether a part names its topic: "which is faster?" belongs to the part before it."""
    if cues["who"].match(piece) and _PROPER_NAME.search(piece):
        return True
    words = words_of(fold(piece))
    named = sum(
        len(w) > 3 and not is_function_word(w) and w[:_TOPIC_PREFIX_CHARS] not in _question_word_prefixes()
        for w in words
    )
    matters = any(bits & _OWN_TOPIC_KINDS for _, bits in load_cues().find(words))
    return named >= _MIN_WORDS or matters or bool(_CHINESE_OR_JAPANESE.search(piece))


def _domain(decision: Decision) -> str:
    return decision.role if decision.role in ("coder", "math") else "other"


def _share_topic(pieces: list[str]) -> bool:
    """Return whether two parts share a word, and so a topic."""
    seen: set[str] = set()
    for piece in pieces:
        words = {
            w[:_TOPIC_PREFIX_CHARS]
            for w in words_of(fold(piece))
            if len(w) >= _TOPIC_PREFIX_CHARS and not is_function_word(w)
        }
        if words & seen - _question_word_prefixes():
            return True
        seen |= words
    return False


def _merge_same_domain(questions: list[SubQuestion]) -> list[SubQuestion]:
    """Merge adjacent questions of one domain."""
    merged = questions[:1]
    for question in questions[1:]:
        last = merged[-1]
        if _domain(last.decision) == _domain(question.decision):
            merged[-1] = SubQuestion(
                f"{last.text} {question.text}", max((last, question), key=_merge_priority).decision
            )
        else:
            merged.append(question)
    return merged


def _merge_priority(question: SubQuestion) -> tuple[bool, float]:
    return question.decision.role == "thinking", question.decision.confidence


@cache
def _tables() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files(__package__).joinpath("split_cues.toml").read_text("utf-8"))


@cache
def _question_word_prefixes() -> set[str]:
    """Return the prefixes of question words, which do not name a topic."""
    phrases = ",".join(_tables()["starts"].values()).replace(",", " ")
    return {fold(word)[:_TOPIC_PREFIX_CHARS] for word in phrases.split()}


@cache
def _cue_patterns(language: str | None) -> _CuePatterns:
    """Return the cue patterns of a language, and of English."""
    words = {kind: _cue_words(lines, language) for kind, lines in _tables().items()}
    starts, joins = _alternation(words["starts"]), _alternation(words["joins"])
    join = rf"(?:[,;，、]\s*|\s+)(?:{joins})[,\s]*(?=[¿¡]*{starts})|[,;，；]\s*(?=[¿¡]*{starts})|[;；]\s*"
    patterns = {
        "start": rf"^(?:{joins}[,\s]*)?[¿¡\"'«„]*{starts}",
        "end": rf"{_alternation(words['ends'], anywhere=True)}[\s.。!！]*$",
        "join": join,
        "lean": _alternation(words["leans"]),
        "who": _alternation(words["who"]),
        "polite": _alternation(words["polite"]),
    }
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in patterns.items()}


def _cue_words(lines: dict[str, str], language: str | None) -> list[str]:
    words = {word.strip() for code in ("any", "en", language) for word in lines.get(code or "", "").split(",")}
    return sorted(words - {""}, key=lambda word: (-len(word), word))


def _alternation(words: list[str], *, anywhere: bool = False) -> str:
    """Return a pattern for any of the words, whole words in scripts with spaces."""
    if not words:
        return r"(?!)"
    if anywhere:
        return f"(?:{'|'.join(map(re.escape, words))})"
    spaced = [re.escape(word) for word in words if not _CHINESE_OR_JAPANESE.search(word) and word[0].isalpha()]
    dense = [re.escape(word) for word in words if _CHINESE_OR_JAPANESE.search(word) or not word[0].isalpha()]
    return rf"(?:(?<!\w)(?:{'|'.join(spaced)})(?!\w)" + (rf"|{'|'.join(dense)})" if dense else ")")
