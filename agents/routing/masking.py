"""Take secrets out of a text, and leave its shape: what it asks for stays as plain as before."""

from __future__ import annotations

import re

_LETTERS, _DIGITS = re.compile(r"[A-Za-z]"), re.compile(r"\d")
_SECRET = re.compile(
    r"-----BEGIN [^-]{3,40}-----.*?(?:-----END [^-]{3,40}-----|$)"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+"
    r"|\b(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abpors]|hf|pypi|npm|AKIA|ASIA|AIza)[-_]?[A-Za-z0-9][\w-]{11,}"
    r"|\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9+/_-]{32,}={0,2}",
    re.DOTALL,
)
"""Keys and tokens: by their known beginnings, or long and of letters and digits."""
_NAMED = re.compile(
    r"(?i)(\b(?:pass(?:word|wort|phrase)?|passwd|pwd|pin|secret|token|api[_ -]?key|contraseña|clave|senha|mot de passe"
    r"|wachtwoord|hasło|пароль)\b\s*(?:[:=]|is\b|ist\b|es\b|è\b|est\b)\s*[\"']?)([^\s\"',;]+)"
)
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]{1,15}://)[^\s/@]{1,200}@")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,7}(?:[ ]?[A-Z0-9]{1,3})?\b")
_LONG_NUMBER = re.compile(r"(?<![\w.])\+?(?:\(?\d{1,4}\)?[ ./-]?){2,6}\d{2,4}(?![\w.])")
_FEWEST_DIGITS = 9
"""Digits from which a number may be a telephone's, a card's or an account's."""


def masked(text: str) -> str:
    """Return the text without keys, passwords, addresses of mail, telephone, card and account numbers."""
    text = _SECRET.sub(lambda found: "x" * min(len(found[0]), 32), text)
    text = _NAMED.sub(lambda found: found[1] + "xxxx", text)
    text = _LOGIN.sub(r"\1xxxx@", text)
    text = _ADDRESS.sub("name@example.org", text)
    text = _IBAN.sub(lambda found: _blank(found[0]), text)
    return _LONG_NUMBER.sub(_number, text)


def _number(found: re.Match[str]) -> str:
    return _blank(found[0]) if len(_DIGITS.findall(found[0])) >= _FEWEST_DIGITS else found[0]


def _blank(text: str) -> str:
    """Return a text of the same shape that says nothing."""
    return _DIGITS.sub("0", _LETTERS.sub("X", text))
