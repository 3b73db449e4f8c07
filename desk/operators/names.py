"""Names in an account: log-in names, names that customers see, languages and teams."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from qwendesk.errors import InputError, did_you_mean
from qwendesk.printable import one_line

_LOGIN_NAME = re.compile(r"[\w.@+-]{1,64}")
_MAX_NAME_CHARS = 80
_MAX_LISTED = 40
"""Languages or teams of an operator."""


def login_name(text: str) -> str:
    """Return a log-in name in the form that is stored: composed characters, lower case.

    Raises:
        InputError: it is no log-in name.
    """
    name = unicodedata.normalize("NFKC", text.strip()).casefold()
    if not _LOGIN_NAME.fullmatch(name):
        raise InputError(f"{text!r} is not a log-in name: use up to 64 letters, digits and . _ - + @, no spaces.")
    return name


def display_name_of(text: str) -> str:
    """Return a name as customers see it.

    Raises:
        InputError: it is empty, too long, or has invisible characters.
    """
    return _name(text, "The name")


def team_names(texts: Iterable[str]) -> list[str]:
    """Return names of teams, each once.

    Raises:
        InputError: a name is too long or has invisible characters, or there are too many.
    """
    found: dict[str, str] = {}
    for text in texts:
        if text.strip():
            name = _name(text, "The name of a team")
            found.setdefault(name.casefold(), name)
    return _limited(list(found.values()), "teams")


def language_codes(texts: Iterable[str]) -> list[str]:
    """Return the codes of languages, each once and in their order.

    Args:
        texts: codes such as ``de`` and ``pt-BR``, of which the language counts, or English names such as ``German``.

    Raises:
        InputError: one is no language, or there are too many.
    """
    return _limited(list(dict.fromkeys(_language_code(text.strip()) for text in texts if text.strip())), "languages")


def language_names() -> dict[str, str]:
    """Return the English names of languages by their codes."""
    return dict(_languages())


def _language_code(text: str) -> str:
    lowered = text.casefold()
    code = re.split(r"[-_]", lowered)[0]
    if code in _languages():
        return code
    by_name = {name.casefold(): code for code, name in _languages().items()}
    if lowered in by_name:
        return by_name[lowered]
    advice = did_you_mean([lowered], list(by_name)) or " Write a code such as de, ja or pt, or an English name."
    raise InputError(f"{text!r} is not a language.{advice}")


@cache
def _languages() -> dict[str, str]:
    from babel import Locale

    names = Locale("en").languages
    return {code: str(names[code]) for code in sorted(names) if re.fullmatch("[a-z]{2,3}", code) and code != "root"}


def _name(text: str, what: str) -> str:
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise InputError(f"{what} is empty.")
    if len(name) > _MAX_NAME_CHARS:
        raise InputError(f"{what} has {len(name)} characters; use at most {_MAX_NAME_CHARS}.")
    if one_line(name) != name:
        raise InputError(f"{what} has invisible characters.")
    return name


def _limited(names: list[str], what: str) -> list[str]:
    if len(names) > _MAX_LISTED:
        raise InputError(f"{len(names)} {what} are too many; name at most {_MAX_LISTED}.")
    return names
