"""Check that an answer holds something for each part of what a message asks.

The parts are several requests or items of a list, two units or languages of one answer, several operations of algebra,
and two things that are asked for in one clause, as in "the capital and the population". A part counts as answered if
words of its own, its unit or its language stand in the answer, or if the answer has a piece that belongs to no other
part. A long answer needs the words: a piece of it may belong to what stands before.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qwendesk.agents.algebra_words import asked_operations, states_operation
from qwendesk.agents.checks.answer_forms import CODE, SENTENCES, missing_languages, missing_units
from qwendesk.agents.checks.human_claims import is_text_task, without_quotations
from qwendesk.agents.checks.tool_results import is_refusal
from qwendesk.messages import Check, Inbound
from qwendesk.routing.policy.subquestions import list_items, requests_in
from qwendesk.routing.signals.asked_language import asked_languages
from qwendesk.routing.signals.cues import KINDS, fold, load_cues, words_of
from qwendesk.routing.signals.language import identify_language, is_function_word, letters_in
from qwendesk.search_terms import query_terms
from qwendesk.tools.sandbox import PythonSandbox

ANSWERED_PARTS = "answers each part"
_MAX_QUESTION_CHARS = 1500
_MAX_PARTS = 8
_MAX_SHOWN_CHARS = 80
_MAY_HAVE_PARTS = re.compile(
    r"[^\w\s\"'’()\[\]/%$€£-]\s*\w|\n|[/&和与與と及、，]|(?:와|과|및|그리고|وا|و)\s?\S|"
    r"\b(?:[Aa]nd|[Uu]nd|et|y|e|ed|en|i|oraz|и|та|ve|och|og|dan|và|[Aa]lso|as well as|sowie)\b"
)
"""Signs and words between two parts."""
_STEM = 5
"""Letters by which two words are the same in spite of their endings."""
_MIN_STEM = 3
_MIN_OWN_STEMS = 2
"""Words of its own that a part needs so that a long answer without any of them leaves it out."""
_MIN_SHARE = 4
"""One of so many own words of a part has to stand in the answer."""
_LONG_QUESTION = 15
"""Words of its own from which some stand in any answer to a part."""
_CAPITALISED = re.compile(r"(?<!\w)(?=[^\W\d_])[^\Wa-zà-ÿа-я\d_]\w+")
_MAX_LEAD_CHARS = 12
"""Characters before the first request of a sentence."""
_TALK = 1 << KINDS.index("talk")
_OF_HELP = re.compile(
    r"\b(?:help(?:en)?|helfen|hilf|aider|aidez|aide|ayudar\w*|ayuda|ajudar|ajuda|aiutar\w*|aiuto|помочь|помог\w*|pomóc|"
    r"yardım|your (?:reasoning|answer|work|working|steps|thinking|calculations?|solution)|all (?:the )?(?:work|steps)|"
    r"(?:deine?n?|ihre?n?) (?:antwort|rechnung|lösung|überlegung\w*|schritte)|rechenweg|begründe\w*|justifi\w+|"
    r"raisonnement|razonamiento|raciocínio|ragionamento|ход решения|step by step|schritt für schritt|étape par étape|"
    r"paso a paso|passo a passo|шаг за шагом)\b|一步|过程|理由|途中式|풀이|帮|幫|助け|手伝|도와|مساعد|मदद",
    re.IGNORECASE,
)
_MAX_TALK_CHARS = 30
"""Words of a request that asks for an answer to the others."""
_MIN_IMPERATIVE_STEMS, _MIN_DENSE_STEMS = 3, 5
_QUESTION_MARKS = ("?", "？", "؟", ";")
_MAX_UNMARKED_CHARS = 200
"""Length of a message without question marks whose sentences may be questions all the same."""
_ENDS = re.compile(r"(?<=[.!?؟।])\s+(?=\S)|(?<=[。！？])|\n+")
_GREEK_ENDS = re.compile(r"(?<=[.!;])\s+(?=\S)|\n+")
_OPENS_CLAUSE = re.compile(
    r"\W*(?:and|und|et|y|e|en|i|и)?\W*(?:what|who|where|when|why|how|which|whose|is|are|do|does|was|wer|wo|wann|wie|welche\w*|ist|sind|"
    r"que|qui|où|quand|comment|quel\w*|qué|quién|donde|dónde|cuando|cuándo|como|cómo|cual|cuál|qual\w*|quem|onde|quando|chi|dove|"
    r"come|quanto|wat|waar|wanneer|hoe|что|кто|где|когда|как|какой|который|co|kto|gdzie|kiedy|jak|który)(?!\w)",
    re.IGNORECASE,
)
"""Words that open a question, or a clause in a sentence that is none."""
_PIECES = re.compile(r"[.!?;:](?=\s|$)|[。！？；।؟]|\n+|,\s|[、，،]|和|と|및")
_LIST_MARK = re.compile(r"^[ \t*_#>-]*\(?(?:\d{1,2}|[a-h])[.)]\s", re.MULTILINE)
_FIRST_MARK = re.compile(r"^[ \t*_#>-]*\(?[1a][.)]\s", re.MULTILINE)
_AND = {
    "en": "and|also|while", "de": "und|sowie", "fr": "et", "es": "y", "pt": "e", "it": "e|ed", "nl": "en",
    "pl": "i|oraz", "ru": "и|а также", "uk": "та|і|й", "tr": "ve", "sv": "och", "da": "og", "no": "og", "id": "dan",
    "vi": "và", "cs": "a",
}  # fmt: skip
"""Words between two pieces of a short answer."""
_SHORT_PIECE = 45
"""Letters of a piece up to which commas and conjunctions separate answers."""
_ARTICLE = r"(?:the|its|their|his|her|der|die|das|den|dem|le|la|les|l['’]|el|los|las|su|sus|o|os|as|il|lo|gli|i|de|het)"
_THING = r"[^\W\d_]{3,}(?:\s[^\W\d_]{3,})?"
_PORTUGUESE_PAIR = re.compile(
    rf"^\W*(?:[^\W\d_]+\s+){{0,3}}(?:o|a|os|as)\s(?P<one>{_THING})\s+e\s+(?:o|a|os|as)\s(?P<two>{_THING})(?P<one_d>)(?P<two_d>)",
    re.IGNORECASE,
)
_PAIR = re.compile(
    rf"^\W*(?:[^\W\d_]+\s+){{0,3}}{_ARTICLE}\s*(?P<one>{_THING})\s+(?:and|und|et|y|e|en)\s+{_ARTICLE}\s*(?P<two>{_THING})|"
    r"[的の](?P<one_d>[\u3040-\u30ff\u3400-\u9fff]{2,8}?)[和与と](?P<two_d>[\u3040-\u30ff\u3400-\u9fff]{2,8}?)(?:是什么|是多少|分别|各|は何|はいくつ|を教え)",
    re.IGNORECASE,
)
_MATERIAL = re.compile(r"[:：]\s*[^\s\d]")
_BETWEEN = re.compile(
    r"\b(?:between|zwischen|entre|tra|fra|tussen|między|между|arasında|compare|vergleich)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    stems: frozenset[str]
    """The words that no other part has."""


async def check_parts(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Check that each part of a message is answered; a message of one part, and a refusal, are not judged."""
    if inbound is None or len(inbound.text) > _MAX_QUESTION_CHARS or not _MAY_HAVE_PARTS.search(inbound.text.strip()):
        return []
    if not text.strip() or is_refusal(text):
        return []
    number, missing = await asyncio.to_thread(lambda: find_missing(text, inbound.text, identify_language(inbound.text)))
    if missing:
        return [Check(ANSWERED_PARTS, "failed", "; ".join(missing))]
    return [Check(ANSWERED_PARTS, "passed", f"{number} parts")] if number > 1 else []


def find_missing(text: str, question: str, language: str | None) -> tuple[int, list[str]]:
    """Return the number of parts that a message has, and those that its answer leaves out.

    Args:
        text: the answer.
        question: the message.
        language: the message's language.
    """
    if text.rstrip().endswith(("?", "？", "؟")) and len(SENTENCES.split(text.strip())) <= 2:
        # asks back
        return 0, []
    languages = asked_languages(question)
    if languages:
        return len(languages), list(missing_languages(text, languages))
    if _MATERIAL.search(question) and is_text_task(question):
        # what is to be translated or corrected may hold questions
        return 0, []
    question = without_quotations(question)
    requests = _own_requests(question, language)
    if len(requests) > _MAX_PARTS:
        return 0, []
    found = list(missing_units(text, question))
    operations = asked_operations(question)
    if len(operations) > 1:
        found += [words for name, words in operations.items() if not states_operation(name, text)]
        return len(operations), found
    answer_language = identify_language(text) if len(text) > _MAX_SHOWN_CHARS else None
    is_translated = None not in (answer_language, language) and answer_language != language
    if len(requests) > 1:
        return len(requests), found + _missing_requests(text, requests, language, is_translated=is_translated)
    pair = [] if _BETWEEN.search(question) else _asked_pair(question, language)
    if pair:
        return 2, found + _missing_requests(text, pair, language, is_translated=is_translated)
    return 2 if found else 1, found


def _missing_requests(text: str, requests: Sequence[str], language: str | None, *, is_translated: bool) -> list[str]:
    """Return the requests of which nothing stands in an answer."""
    stems = [_stems(request) for request in requests]
    shared = {stem for one in stems for stem in one if sum(stem in other for other in stems) > 1}
    parts = [_Part(_shown(request), frozenset(own - shared)) for request, own in zip(requests, stems, strict=True)]
    said = _stems(text)
    open_parts = [
        part for at, part in enumerate(parts, 1) if not (_is_said(part, said) or _is_marked(text, at, len(parts)))
    ]
    if not open_parts:
        return []
    blocks = len(CODE.findall(text))
    sentences = [one for one in SENTENCES.split(_prose(text)) if letters_in(one) or _has_digit(one)]
    if len(sentences) + blocks > len(parts) + 1:
        if is_translated or len(open_parts) == len(parts):
            return []
        return [part.text for part in open_parts if len(part.stems) >= _MIN_OWN_STEMS]
    pieces = [piece for one in sentences for piece in _pieces(one, language)]
    lacking = len(parts) - len(pieces) - blocks
    if lacking > 0:
        return [part.text for part in open_parts[-lacking:]]
    if len(open_parts) == len(parts) or is_translated:
        return []
    # what belongs to another part answers no further one
    taken = sum(any(_is_said(part, _stems(one)) for part in parts) for one in pieces)
    free = len(pieces) + blocks - max(taken, len(parts) - len(open_parts))
    long_ones = [part for part in open_parts if len(part.stems) >= _LONG_QUESTION]
    others = [part for part in open_parts if part not in long_ones and part.stems]
    return [part.text for part in (*long_ones, *others[max(free, 0) :])]


def _pieces(sentence: str, language: str | None) -> list[str]:
    """Return what commas and conjunctions join in a short sentence, each of which may answer a part; else the whole."""
    joined = rf"\s(?:{_AND[language]})\s" if language in _AND else r"(?!)"
    found = [
        piece
        for one in _PIECES.split(sentence)
        for piece in re.split(joined, one)
        if letters_in(piece) or _has_digit(piece)
    ]
    if any(letters_in(piece) > _SHORT_PIECE for piece in found):
        return [sentence]
    # "Leonardo da Vinci in 1517" answers who and when
    mixed = [piece for piece in found if _has_digit(piece) and len(_CAPITALISED.findall(piece)) > 1]
    return [*found, *mixed]


def _prose(text: str) -> str:
    """Return an answer without code and without the marks of a list."""
    prose = CODE.sub("\n", text)
    return _LIST_MARK.sub("", prose) if _FIRST_MARK.search(prose) else prose


def _has_digit(text: str) -> bool:
    return any(sign.isdigit() for sign in text)


def _own_requests(question: str, language: str | None) -> list[str]:
    """Return the requests of a message, or the items of a list of requests."""
    if items := list_items(question):
        return [one for one in items if one.rstrip().endswith(_QUESTION_MARKS) or requests_in(one, language)]
    found = _requests_of(question, language)
    return [one for one, is_question in found if _asks_something(one, is_question=is_question)]


def _requests_of(question: str, language: str | None) -> Iterator[tuple[str, bool]]:
    """Yield the requests of a message, and whether they are questions.

    Each is whole: what a comma cuts off a sentence belongs to it.
    """
    asks_without_marks = len(question) <= _MAX_UNMARKED_CHARS and not any(mark in question for mark in _QUESTION_MARKS)
    for sentence in _sentences(question, language):
        found = requests_in(sentence, language)
        opens = bool(_OPENS_CLAUSE.match(sentence))
        is_question = sentence.rstrip(" \"')»”*_").endswith(_QUESTION_MARKS) or (opens and asks_without_marks)
        if not found:
            if is_question:
                yield sentence, True
            continue
        starts = [sentence.find(request) for request in found]
        if not is_question and (opens or starts[0] > _MAX_LEAD_CHARS):
            # a statement with a clause, such as "she is paid each time when she works"
            continue
        cut = [request for request, start in zip(found, starts, strict=True) if _begins_request(sentence, start)]
        if len(cut) < 2 or starts[0] > _MAX_LEAD_CHARS or (not is_question and any(map(_OPENS_CLAUSE.match, cut[1:]))):
            yield sentence, is_question
        else:
            yield from ((request, is_question) for request in cut)


def _asks_something(request: str, *, is_question: bool) -> bool:
    """Return whether a request asks for a thing of its own: small talk, and "explain your answer", do not."""
    if _OF_HELP.search(request):
        return False
    if len(request) <= _MAX_TALK_CHARS and any(bits & _TALK for _, bits in load_cues().find(words_of(fold(request)))):
        return False
    stems = _stems(request)
    is_dense = any(stem >= "\u2e80" for stem in stems)
    if is_question:
        return bool(stems)
    return len(stems) >= (_MIN_DENSE_STEMS if is_dense else _MIN_IMPERATIVE_STEMS)


def _begins_request(sentence: str, start: int) -> bool:
    """Return whether a piece stands at the beginning of a sentence, or behind a conjunction or a semicolon."""
    before = sentence[:start].rstrip(" ¿¡")
    return start <= _MAX_LEAD_CHARS or not before.endswith((",", "，", "、", "،"))


def _sentences(question: str, language: str | None) -> list[str]:
    ends = _GREEK_ENDS if language == "el" else _ENDS
    return [one.strip() for one in ends.split(question) if one and one.strip()]


def _is_said(part: _Part, said: frozenset[str] | set[str]) -> bool:
    """Return whether enough words of a part stand in a text."""
    return len(part.stems & said) >= max(len(part.stems) // _MIN_SHARE, 1)


def _is_marked(text: str, number: int, parts: int) -> bool:
    """Return whether a line of an answer has the number or letter of a part, and something behind it."""
    letter = "abcdefgh"[number - 1]
    marked = rf"^[\s*_#>-]*\(?(?:{number}|{letter})[.):][*_]*\s*\S"
    last = rf"^[\s*_#>-]*\(?(?:{parts}|{'abcdefgh'[parts - 1]})[.):]"
    # steps of one solution are numbered too, but rarely as many as the parts
    return bool(re.search(marked, text, re.MULTILINE)) and bool(re.search(last, text, re.MULTILINE))


def _stems(text: str) -> set[str]:
    """Return the beginnings of the words of a text that say what it is about, in pairs of signs for dense scripts."""
    return {
        term[:_STEM]
        for term in query_terms(text)
        if (len(term) >= _MIN_STEM or not term.isascii() or (term.isdigit() and len(term) > 1))
        and not is_function_word(term)
    }


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_SHOWN_CHARS else f"{line[:_MAX_SHOWN_CHARS].rsplit(' ', 1)[0]} …"


def _asked_pair(question: str, language: str | None) -> list[str]:
    """Return the two things of "the capital and the population of France"; empty if there are none."""
    found = (_PORTUGUESE_PAIR if language == "pt" else _PAIR).search(question)
    if found is None or not question.rstrip().endswith(("?", "？", ".", "。", "!")):
        return []
    return [found["one"] or found["one_d"], found["two"] or found["two_d"]]
