"""Remove passwords, keys and tokens from error texts and log lines by their patterns."""

from __future__ import annotations

import re

HIDDEN = "***"
_MAX_SECRET_CHARS = 1500
"""Longest secret that is searched for; longer patterns are slow on hostile texts."""
_SCHEMES = (
    r"(?:https?|wss?|socks[45]?[ah]?|postgres(?:ql)?|sqlite|mysql|mariadb|mssql|oracle|redis[s]?|mongodb|amqps?|imaps?"
    r"|smtps?|ftps?|sftp|ssh|ldaps?)(?:\+\w+)?+"
)
_IN_TOKEN = r"[^\s'\"<>`]"
"""Characters of a URL; a quote or white space ends it."""
_ADDRESS = re.compile(
    # URL with a scheme and any number of slashes: the password ends at the last @
    rf"(?P<head>\b(?:[a-z][a-z0-9+.-]{{0,30}}+:/{{1,3}}+|{_SCHEMES}(?::/{{0,3}}+|/{{1,3}}+))[^\s:/@'\"<>`]{{0,100}}+):"
    rf"(?!\d{{1,5}}[/?#,]){_IN_TOKEN}{{0,{_MAX_SECRET_CHARS}}}@",
    re.IGNORECASE,
)
_KEY_AS_USER = re.compile(rf"(?P<head>\b{_SCHEMES}:/{{1,3}}+)[^\s:/@'\"<>`]{{16,{_MAX_SECRET_CHARS}}}@", re.IGNORECASE)
_WITHOUT_SCHEME = re.compile(
    rf"(?<![\w:/@.+%-])(?P<head>[\w.+%-]{{1,100}}+):(?!/)[^\s@'\"<>`]{{1,{_MAX_SECRET_CHARS}}}+@(?=[\w.-]{{1,253}}+:\d{{1,5}}\b)"
)
_NAMED = re.compile(
    r"""(?P<head>(?<![a-z0-9])["']?(?:[\w-]{0,60}[_-])?
    (?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|credentials?)
    (?:["']\s*:\s*|["']?\s*=\s*))
    (?:"[^"]*"|'[^']*'|[^\s&"',;)}\]]+)""",
    re.IGNORECASE | re.VERBOSE,
)
"""``password=...`` of a database, ``?token=...`` of a URL, ``"api_key": "..."`` of JSON."""
_HEADER = re.compile(
    r"(?P<head>\b(?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer|token|digest)\s+)?)[^\s\"',;]+"
    r"|(?P<bearer>\b(?:bearer|basic)\s+)(?=[\w.~+/=-]*[\d=_.-])[\w.~+/=-]{12,}",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"(?<!\d)\d{6,14}:[A-Za-z0-9_-]{30,}"  # Telegram bot token
    r"|\bx(?:ox[a-z]|app)-[A-Za-z0-9-]{8,}"  # Slack
    r"|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{16,}|\bgh[pousr]_[A-Za-z0-9]{16,}"
    r"|\bgithub_pat_\w{16,}|\bglpat-[\w-]{16,}|\bpypi-[\w-]{16,}|\bsyt_\w{16,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # a JSON web token
)


def redact(text: str) -> str:
    """Return a text with ``***`` in place of each password, key and token whose pattern is known.

    Addresses keep scheme, user and host: ``postgresql://ann:***@db.example/desk``.
    """
    text = _ADDRESS.sub(rf"\g<head>:{HIDDEN}@", text)
    text = _KEY_AS_USER.sub(rf"\g<head>{HIDDEN}@", text)
    text = _WITHOUT_SCHEME.sub(rf"\g<head>:{HIDDEN}@", text)
    text = _NAMED.sub(rf"\g<head>{HIDDEN}", text)
    text = _HEADER.sub(lambda found: f"{found['head'] or found['bearer']}{HIDDEN}", text)
    return _SHAPES.sub(HIDDEN, text)
