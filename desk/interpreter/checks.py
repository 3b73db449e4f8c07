"""Check a model's translation: tokens, facts, language, chatter, answers in its place, length, lines, markup."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import regex

from qwendesk.desk.interpreter.facts import differences, facts_of
from qwendesk.desk.interpreter.marks import Masked, Restored, is_reordered
from qwendesk.desk.interpreter.scripts import is_in_script_of, shares_script
from qwendesk.routing.signals.cues import KINDS, fold, load_cues, words_of
from qwendesk.routing.signals.language import are_similar, english_name, identify_language, likelier_similar_language
from qwendesk.tools.number_formats import plain_digits

FaultKind = Literal[
    "empty", "token", "order", "term", "language", "untranslated", "chatter", "answer", "length", "lines", "markup",
    "fact",
]  # fmt: skip
_DENSE = (
    (regex.compile(r"\p{Han}"), 3.0),
    (regex.compile(r"[\p{Hiragana}\p{Katakana}]"), 1.7),
    (regex.compile(r"\p{Hangul}"), 2.2),
)
"""How many Latin letters say as much as one sign of a script."""
_MAX_RATIO, _MAX_MORE = 2.4, 15.0
_MIN_RATIO, _MIN_LESS = 0.4, 3.0
"""Most and least weight of a translation: a share of the original's, and letters."""
_MIN_WEIGHT = 8.0
"""Weight from which the language of a translation is identified; shorter words are alike in many languages."""
_MAX_IN_WORDS = 31
"""Largest number that may stand in words in one text and in digits in the other."""
_MIN_REPEATED_WEIGHT = 12.0
"""Weight from which two different lines do not have the same translation."""
_MIN_KEPT_WEIGHT = 18.0
"""Weight from which a translation that equals its original is a fault."""
_FOREIGN_LETTERS = {
    "uk": "ыэъё",
    "ru": "іїєґў",
    "be": "иїєґщъ",
    "bg": "ыэёіїєґђјљњћџѓќѕ",
    "mk": "ыэёщъьюяйіїєґђћ",
    "sr": "ыэёщъьюяйіїєґѓќѕ",
    "pt": "ñ¿¡",
    "es": "ãõçêâôàè",
    "ca": "ñãõêâôá",
    "da": "äö",
    "no": "äö",
    "sv": "æø",
    "cs": "ľĺŕôä",
    "sk": "ěřů",
    "sl": "ćđ",
    "hr": "ěřůýôľ",
    "bs": "ěřůýôľ",
}
"""Letters of similar languages that a language does not have in its own words."""
_QUESTION = regex.compile(r"[?？؟;՞⁇⁈]|\u037e")
_STATES = regex.compile(r"[.!。！।։۔][\"'»”’)）」』\s]*\Z")
"""The end of a text that asks nothing; without a full stop, it may be a question."""
_SENTENCE = regex.compile(r"[.!?…。！？।؟။։]+(?=[\s\"'»”’)）」』]|\Z|(?<=[。！？]))")
_EMPHASIS = ("**", "__", "~~", "*")
_BRACKETS = regex.compile(r"[(（]")
_COLON = regex.compile(r"[:：]")


@dataclass(frozen=True, slots=True)
class TranslationFault:
    """What is wrong with a translation."""

    kind: FaultKind
    text: str
    """In words, for the reader and for the model's second try."""
    is_fatal: bool = True
    """Whether the translation may not be shown; otherwise it is shown with the text as a doubt."""


def check_unit(
    source: str, masked: Masked, restored: Restored, source_language: str | None, language: str
) -> list[TranslationFault]:
    """Return the faults of the translation of one line.

    Args:
        source: the line.
        masked: the line as the model was given it.
        restored: the translation with its tokens put back.
        source_language: the language of the line; None if it is not known.
        language: the language of the translation.
    """
    text = restored.text.strip()
    if not text:
        return [TranslationFault("empty", "the translation is empty")]
    plain = _without_marks(masked)
    faults = [*_tokens(source, masked, restored, source_language), *_lines(restored.text)]
    faults += _chatter(source, restored.prose)
    if len(_COLON.findall(restored.prose)) < len(_COLON.findall(plain)):
        faults.append(
            TranslationFault("chatter", "a colon of the original is missing, perhaps with what stood before it", False)
        )
    faults += _language(plain, restored.prose, source_language, language)
    faults += _question(plain, restored.prose, language)
    faults += _facts(source, text, source_language, language)
    faults += _length(plain, restored.prose)
    faults += _markup(source, text)
    return faults


def check_whole(lines: Sequence[tuple[str, str]], language: str) -> list[TranslationFault]:
    """Return the faults of a translation that its lines do not show one by one.

    Args:
        lines: each translated line and its translation, both without tokens.
        language: the language of the translation.
    """
    faults = list[TranslationFault]()
    made = dict[str, str]()
    for source, prose in lines:
        key = fold(" ".join(prose.split()))
        if weight(prose) >= _MIN_REPEATED_WEIGHT and made.setdefault(key, fold(source)) != fold(source):
            faults.append(TranslationFault("answer", "different lines have the same translation"))
            break
    whole = " ".join(prose for _, prose in lines)
    original = " ".join(source for source, _ in lines)
    return [*faults, *_wrong_language(whole, language, original), *_chatter(original, whole)]


def _wrong_language(prose: str, language: str, original: str) -> Iterator[TranslationFault]:
    """Yield a fault where a text is identified as being in another language; names alone are in none."""
    found = identify_language(" ".join(prose.split())) if weight(prose) >= _MIN_WEIGHT else None
    name = english_name(language) or language
    if found and found != language and not are_similar(found, language):
        yield TranslationFault("language", f"it is in {english_name(found) or found}, not in {name}")
    elif foreign := _foreign_letters(prose, language, original):
        yield TranslationFault("language", f"{foreign!r} has letters that {name} does not have")
    elif other := likelier_similar_language(prose, language):
        text = f"it may be in {english_name(other) or other}, not in {name}"
        yield TranslationFault("language", text, is_fatal=False)


def _foreign_letters(prose: str, language: str, original: str) -> str | None:
    """Return a word with letters of similar languages alone; names and words of the original may have any."""
    letters = _FOREIGN_LETTERS.get(language)
    if letters is None:
        return None
    kept = set(regex.findall(r"\w+", original))
    words = (word for word in regex.findall(r"[¿¡]?\w+", prose) if word.lstrip("¿¡") not in kept)
    return next((word for word in words if any(sign in letters for sign in word) and _is_common(word)), None)


def _is_common(word: str) -> bool:
    """Return whether a word is written as no name is, in small letters or behind a sign."""
    return word.islower() or word[0] in "¿¡"


def _without_marks(masked: Masked) -> str:
    text = masked.text
    for number, original in enumerate(masked.originals, 1):
        # a term is translated, a token is not
        text = text.replace(f"[{number}]", original if masked.kinds[number - 1] is None else " ", 1)
    return text


def _facts(source: str, text: str, source_language: str | None, language: str) -> Iterator[TranslationFault]:
    before, after = facts_of(source, source_language), facts_of(text, language)
    if before and after:
        yield from (TranslationFault("fact", found) for found in differences(before, after))


def _tokens(source: str, masked: Masked, restored: Restored, source_language: str | None) -> Iterator[TranslationFault]:
    for at in restored.missing:
        kind: FaultKind = "term" if masked.kinds[at] is None else "token"
        yield TranslationFault(kind, f"{masked.restored[at]!r} is missing")
    for at in restored.repeated:
        yield TranslationFault("token", f"{masked.restored[at]!r} stands there more than once")
    for token in restored.extra:
        digits = plain_digits(token.text)
        if digits.isdecimal() and _says_number(source, source_language, int(digits[:9])):
            yield TranslationFault("token", f"{token.text!r} stands in words in the original", is_fatal=False)
        else:
            yield TranslationFault("token", f"{token.text!r} does not stand in the original")
    if not restored.missing and not restored.repeated and is_reordered(restored.order, masked):
        shown = ", ".join(repr(masked.restored[at]) for at in restored.order)
        yield TranslationFault("order", f"codes or numbers have changed places: {shown}")


def _says_number(source: str, language: str | None, value: int) -> bool:
    """Return whether a number may stand in words in a text; any small one where its number words are not known."""
    facts = facts_of(source, language)
    if facts is not None and any(kind != "weekday" for kind, _ in facts.certain):
        return not {("number", value), ("month", value)}.isdisjoint(facts.possible)
    return value <= _MAX_IN_WORDS and has_numbers_in_words(source)


def _lines(output: str) -> Iterator[TranslationFault]:
    if len(output.strip().splitlines()) > 1:
        yield TranslationFault("lines", "the translation of one line has several lines")


def _chatter(source: str, prose: str) -> Iterator[TranslationFault]:
    before, after = fold(source), fold(prose)
    if _has_any("translation", after) and not _has_any("translation", before):
        yield TranslationFault("chatter", "it speaks of a translation, the original does not")
    if _has_any("refusal", after) and not _has_any("refusal", before):
        yield TranslationFault("answer", "it refuses something")
    if _has_any("assistant", after) and not _has_any("assistant", before):
        yield TranslationFault("chatter", "the model speaks of itself")
    if len(_COLON.findall(prose)) > len(_COLON.findall(source)):
        yield TranslationFault("chatter", "it has a colon that the original does not have", is_fatal=False)
    if len(_BRACKETS.findall(prose)) > len(_BRACKETS.findall(source)):
        yield TranslationFault("chatter", "it has a remark in brackets that the original does not have", is_fatal=False)


def _language(plain: str, prose: str, source_language: str | None, language: str) -> Iterator[TranslationFault]:
    name = english_name(language) or language
    if not is_in_script_of(language, prose):
        yield TranslationFault("language", f"it is not written in the script of {name}")
        return
    # also where only a word of the original is left, as of "Reply only with OK"
    is_kept = set(words_of(fold(prose))) <= set(words_of(fold(plain)))
    if is_kept and source_language != language:
        is_long = weight(plain) >= _MIN_KEPT_WEIGHT
        if is_long or (source_language and not shares_script(source_language, language)):
            yield TranslationFault("untranslated", "it is the original text")
            return
    yield from _wrong_language(prose, language, plain)


def _question(plain: str, prose: str, language: str) -> Iterator[TranslationFault]:
    asked, asks = len(_QUESTION.findall(plain)), len(_QUESTION.findall(prose))
    if language == "el":
        asks += prose.count(";")
    if asked and not asks and not _ends_as_question(prose):
        yield TranslationFault("answer", "the original asks a question, the translation does not")
    if not asked and asks and (_STATES.search(plain.strip()) or _sentences(prose) > _sentences(plain)):
        yield TranslationFault("answer", "it asks a question that the original does not ask")
    more = _sentences(prose) - max(_sentences(plain), 1)
    if more > 1 + _sentences(plain) // 2:
        yield TranslationFault("answer", "it has more sentences than the original")
    elif more > 0 and weight(prose) > 1.5 * weight(plain) + 10:
        yield TranslationFault("answer", "it says more than the original")


def _length(plain: str, prose: str) -> Iterator[TranslationFault]:
    before, after = weight(plain), weight(prose)
    if after > before * _MAX_RATIO + _MAX_MORE:
        yield TranslationFault("length", "it is much longer than the original")
    if after < before * _MIN_RATIO - _MIN_LESS or (before >= 2 and not after):
        yield TranslationFault("length", "it is much shorter than the original")


def _markup(source: str, text: str) -> Iterator[TranslationFault]:
    before, after = source, text
    for sign in _EMPHASIS:
        if before.count(sign) != after.count(sign):
            yield TranslationFault("markup", f"the marks {sign!r} are not those of the original", is_fatal=False)
            return
        before, after = before.replace(sign, ""), after.replace(sign, "")
    if _quotations(source) > 0 == _quotations(text):
        yield TranslationFault("markup", "the quotation marks of the original are missing", is_fatal=False)


def _quotations(text: str) -> int:
    return len(regex.findall(r"[\"“”„«»「」『』‹›《》]", text))


def weight(text: str) -> float:
    """Return the length of a text in letters, those of dense scripts counted as several."""
    letters = regex.findall(r"\p{L}", text)
    return sum(next((value for script, value in _DENSE if script.match(sign)), 1.0) for sign in letters)


def _sentences(text: str) -> int:
    return max(
        1, len([piece for piece in _SENTENCE.split(text) if regex.search(r"\p{L}{2}|\p{Han}|\p{Hangul}", piece)])
    )


def _ends_as_question(prose: str) -> bool:
    end = regex.sub(r"[\p{P}\p{S}\s]+\Z", "", prose)
    return bool(end[-1:] >= "\u0e00" and end.endswith(tuple(_words()["question"])))


def has_numbers_in_words(text: str) -> bool:
    """Return whether a text writes a number or a month in words, which a translation may write in digits."""
    bit = 1 << KINDS.index("numbers")
    words = words_of(fold(text))
    return any(mask & bit for _, mask in load_cues().find(words)) or not _month_names().isdisjoint(words)


@cache
def _month_names() -> frozenset[str]:
    from babel import Locale

    codes = (
        "en",
        "de",
        "fr",
        "es",
        "pt",
        "it",
        "nl",
        "pl",
        "cs",
        "ru",
        "uk",
        "tr",
        "ar",
        "hi",
        "id",
        "vi",
        "sv",
        "fi",
        "el",
    )
    names = (
        name
        for code in codes
        for form in ("format", "stand-alone")
        for name in Locale.parse(code).months[form]["wide"].values()
    )
    return frozenset(words[0] for name in names if (words := words_of(fold(str(name)))))


def _has_any(key: str, folded: str) -> bool:
    return any(stem in folded for stem in _words()[key])


@cache
def _words() -> dict[str, tuple[str, ...]]:
    table = tomllib.loads(resources.files(__package__).joinpath("chatter.toml").read_text("utf-8"))
    folded = {key: tuple(fold(stem.strip()) for stem in line.split(",")) for key, line in table.items()}
    return folded | {"question": tuple(stem.strip() for stem in table["question"].split(","))}
