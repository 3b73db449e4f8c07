"""Recognise what must not be kept: passwords, keys, numbers of cards and accounts."""

from __future__ import annotations

import math
import re
from collections import Counter

from stdnum import iban, luhn

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
_BITS = 3.3
"""Entropy of a character above which a long run of mixed characters is taken for a key; words have less."""


def secret_in(text: str) -> str | None:
    """Return what kind of secret a text holds; None where it holds none."""
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


def speaks_of_secret(text: str) -> bool:
    """Tell whether a text names a password or the like, in any of some thirty languages."""
    return bool(_WORDS.search(text))


def _is_card(digits: str) -> bool:
    return len(set(digits)) > 1 and luhn.is_valid(digits)


def _is_account(text: str) -> bool:
    """Check for an IBAN at the beginning; the pattern may have matched words after it."""
    plain = iban.compact(text)
    return any(iban.is_valid(plain[:length]) for length in range(_MIN_IBAN_CHARS, len(plain) + 1))


def _looks_random(run: str) -> bool:
    if "@" in run and re.fullmatch(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", run):
        return False
    kinds = sum(bool(re.search(kind, run)) for kind in (r"[a-z]", r"[A-Z]", r"\d"))
    size = len(run)
    entropy = -sum(count / size * math.log2(count / size) for count in Counter(run).values())
    return kinds >= 2 and bool(re.search(r"\d", run)) and entropy >= _BITS and not _is_plain(run)


def _is_plain(run: str) -> bool:
    """Tell whether a run is only words and numbers with signs between them, such as an address or a date."""
    parts = re.split(r"[-_./=]+", run)
    return all(re.fullmatch(r"[A-Za-z]*|\d{1,8}|[A-Z]?[a-z]+\d{1,4}|\d{1,4}[A-Za-z]{1,3}", part) for part in parts)
