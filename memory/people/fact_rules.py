"""FactRules of stored facts: search by words, secrets in a text, and reasons for a refusal."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import regex
from stdnum import iban, luhn

from qwendesk.memory.records import EMPTY, HEALTH, NewFact
from qwendesk.messages import storable_text
from qwendesk.search_terms import fold

_UNSPACED = ("Han", "Hiragana", "Katakana", "Hangul", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar")
"""Scripts without spaces between words, and Korean with its suffixes: parts of words match in them."""
_LETTERS = str.maketrans("ıøłđ", "iold")
"""Letters with a stroke, which Unicode does not decompose."""
_SHAPES = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAGE-SECRET-KEY-", re.IGNORECASE),
    "an access key": re.compile(
        r"\b(?:sk|pk|rk|ak)[-_](?:live|test|proj|ant|or)?[-_]?[A-Za-z0-9_-]{12,}|\bgh[pousr]_\w{20,}|"
        r"\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bxox[abeprs]-[\w-]{10,}|\bA(?:KIA|SIA)[0-9A-Z]{16}\b|"
        r"\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}|\bnpm_\w{30,}|\bpypi-[\w-]{30,}|\b\d{8,10}:[A-Za-z0-9_-]{35}\b"
    ),
    "a token": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.|\bBearer\s+[\w.~+/-]{16,}", re.IGNORECASE),
    "a password in an address": re.compile(r"\w+://[^\s/:@]+:[^\s/@]+@"),
    "a social security number": re.compile(r"\b\d{3}-\d{2}-\d{4}\b"),
}
_WORDS = re.compile(
    r"passw(?:or|ör)d|passwort|kennwort|passphrase|passcode|\bpwd\b|\bpin\b|\bcvv\b|\bcvc\b|\bsecret\b|\bapi.?key|"
    r"access.?key|private.?key|seed phrase|recovery (?:code|phrase)|\btoken\b|\botp\b|geheim(?:zahl|wort)|contraseña|"
    r"clave|mot de passe|code secret|"
    r"senha|palavra-passe|wachtwoord|hasło|lösenord|adgangskode|salasana|jelszó|heslo|parolă|"
    r"şifre|parola|пароль|пін|пин-?код|секретн|סיסמ|كلمة (?:ال)?(?:مرور|سر)|رمز|گذرواژه|पासवर्ड|পাসওয়ার্ড|"
    r"รหัส(?:ผ่าน|ลับ)|mật khẩu|kata sandi|"
    r"密码|密碼|口令|パスワード|暗証番号|비밀번호|암호",
    re.IGNORECASE,
)
_CARD = re.compile(r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)")
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b", re.IGNORECASE)
_MIN_IBAN_CHARS = 15
_RUN = re.compile(r"[A-Za-z0-9+/_=.~!@#$%^&*-]{16,}")
_MIN_KEY_ENTROPY = 3.3
"""Bits of entropy of a character from which a long mixed run is taken for a key; words have less."""
KEY_CHARS = 60
VALUE_CHARS = 300
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]+")
_ENDS = re.compile(r"(?<=[.!?])\s+|[。！？\n]+")
_HEALTH = re.compile(
    r"diagnos|disease|illness|sick(?:ness)?\b|cancer|diabet|depress|anxiety|asthma|allerg|\bhiv\b|epilep|pregnan|medicat|medicine|"
    r"therap|surgery|disabilit|disorder|syndrome|insulin|bipolar|autis|adhd|krank|schwanger|medikament|behinder|enfermedad|"
    r"embaraz|cáncer|maladie|enceinte|grossesse|médicament|doença|grávida|malatti|incinta|ziekte|zwanger|chorob|ciąż|hastal|hamile|"
    r"болезн|болею|беремен|рак\b|диабет|депресс|аллерг|хвороб|מחלה|בהריון|מרض|مرض|حامل|سرطان|سكري|बीमारी|गर्भवती|"
    r"โรค|ตั้งครรภ์|bệnh|mang thai|penyakit|hamil|"
    r"病|癌|糖尿|抑郁|抑鬱|怀孕|懷孕|过敏|過敏|妊娠|うつ|アレルギー|질병|당뇨|우울|임신|알레르기",
    re.IGNORECASE,
)


def mentioning(what: str) -> Callable[[str, str], bool] | None:
    """Return a predicate for keys and values that mention ``what``; None if ``what`` has no words.

    Whole words of any script match, regardless of case and accents.
    """
    wanted = _bare(what.replace(":", " "))
    if not wanted:
        return None
    word = _word_character()
    before = rf"(?<!{word})" if regex.match(word, wanted[0], regex.V1) else ""
    after = rf"(?!{word})" if regex.match(word, wanted[-1], regex.V1) else ""
    pattern = regex.compile(before + regex.escape(wanted) + after, regex.V1)
    return lambda key, value: bool(pattern.search(_bare(f"{key} {value}")))


@cache
def _word_character() -> str:
    """Return the class of characters that may not adjoin a match."""
    unspaced = "".join(rf"\p{{Script={name}}}" for name in _UNSPACED)
    return rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{unspaced}\u30fc\u3005]]"


@cache
def _points() -> regex.Pattern[str]:
    return regex.compile(r"(?<=[\p{Script=Arabic}\p{Script=Hebrew}])\p{M}+|\u0640")


def _bare(text: str) -> str:
    return " ".join(_points().sub("", fold(text)).translate(_LETTERS).split())


def secret_in(text: str) -> str | None:
    """Return the kind of secret in a text; None without a secret."""
    for kind, shape in _SHAPES.items():
        if shape.search(text):
            return kind
    if any(_is_card(re.sub(r"\D", "", found)) for found in _CARD.findall(text)):
        return "a card number"
    if any(_is_account(found) for found in _ACCOUNT.findall(text)):
        return "a bank account"
    if any(_looks_random(run) for run in _RUN.findall(text)):
        return "something that looks like a key"
    return None


def mentions_secret(text: str) -> bool:
    """Return whether a text mentions a password or the like, in about thirty languages."""
    return bool(_WORDS.search(text))


def _is_card(digits: str) -> bool:
    return len(set(digits)) > 1 and luhn.is_valid(digits)


def _is_account(text: str) -> bool:
    """Return whether the text begins with an IBAN; the pattern may have matched words after it."""
    plain = iban.compact(text)
    return any(iban.is_valid(plain[:length]) for length in range(_MIN_IBAN_CHARS, len(plain) + 1))


def _looks_random(run: str) -> bool:
    if "@" in run and re.fullmatch(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", run):
        return False
    kinds = sum(bool(re.search(kind, run)) for kind in (r"[a-z]", r"[A-Z]", r"\d"))
    size = len(run)
    entropy = -sum(count / size * math.log2(count / size) for count in Counter(run).values())
    return kinds >= 2 and bool(re.search(r"\d", run)) and entropy >= _MIN_KEY_ENTROPY and not _is_plain(run)


def _is_plain(run: str) -> bool:
    """Return whether a run consists of words and numbers with separators, such as an address or a date."""
    parts = re.split(r"[-_./=]+", run)
    return all(re.fullmatch(r"[A-Za-z]*|\d{1,8}|[A-Z]?[a-z]+\d{1,4}|\d{1,4}[A-Za-z]{1,3}", part) for part in parts)


@dataclass(frozen=True, slots=True)
class FactRules:
    """Decides which facts are stored."""

    allow_health: bool = False

    def refusal(self, fact: NewFact, source: str | None = None) -> str | None:
        """Return why a fact may not be stored, without its value; None if it may.

        Args:
            fact: a tidy fact.
            source: the text that the fact must be found in.
        """
        if not fact.key or not fact.value:
            return EMPTY
        if reason := secret_in(f"{fact.key}: {fact.value}"):
            return f"it holds {reason}"
        if mentions_secret(fact.key) or mentions_secret(fact.value):
            return "it is about a password or the like"
        if not self.allow_health and _is_health(fact, source):
            return HEALTH
        return _ungrounded(fact, source) if source is not None else None


def tidy(fact: NewFact, *, exact: bool = False) -> NewFact:
    """Return the fact with key and value normalised: one line, no control characters, limited length.

    Args:
        fact: the fact.
        exact: keep key and value as a program chose them.
    """
    if exact:
        return replace(fact, key=storable_text(fact.key), value=storable_text(fact.value))
    key = _line(fact.key, KEY_CHARS).replace("_", " ").casefold()
    confidence = min(1.0, max(0.0, fact.confidence)) if fact.confidence == fact.confidence else 0.0
    return replace(fact, key=key, value=_line(fact.value, VALUE_CHARS), confidence=confidence)


def is_grounded(value: str, source: str) -> bool:
    """Return whether all words of a value occur in a text."""
    said = _folded(source)
    words = re.findall(r"\w+", _folded(value))
    return bool(words) and all(word in said for word in words)


def _line(text: str, max_chars: int) -> str:
    normal = unicodedata.normalize("NFC", storable_text(text))
    return " ".join(_CONTROLS.sub(" ", normal).split())[:max_chars].strip()


def _is_health(fact: NewFact, source: str | None) -> bool:
    said = " ".join(_around(fact.value, source)) if source else ""
    return fact.category == "health" or bool(_HEALTH.search(f"{fact.key} {fact.value} {said}"))


def _ungrounded(fact: NewFact, source: str) -> str | None:
    """Return why a fact is not supported by its source, or that it comes from a sentence about a secret."""
    if not is_grounded(fact.value, source):
        return "the person did not say so"
    if any(mentions_secret(sentence) for sentence in _around(fact.value, source)):
        return "it was said of a password or the like"
    return None


def _around(value: str, source: str) -> list[str]:
    """Return the sentences with one of the value's words."""
    words = re.findall(r"\w+", _folded(value))
    return [part for part in _ENDS.split(source) if any(word in _folded(part) for word in words)]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
