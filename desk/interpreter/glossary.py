"""The glossary: terms with their fixed translations, and names that are never translated; a CSV or TOML file.

A CSV file has a column for each language and one that is called ``keep``; a row is a term, or a name in ``keep``::

    keep,en,de
    ,order number,Bestellnummer
    Lumora Sync,,

A TOML file has a list ``keep`` and a list of tables ``terms``.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from qwendesk.desk.interpreter.tokens import KeptToken
from qwendesk.errors import ConfigError

FILE_NAME = "glossary.csv"
"""Name of the file in the data folder."""
KEEP = "keep"
"""Column of the names that are never translated."""
_CODE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*")
_MAX_CHARS = 200
_MAX_ENTRIES = 5000
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"


@dataclass(frozen=True, slots=True)
class Term:
    """A term in several languages."""

    by_language: tuple[tuple[str, str], ...]
    """Language codes with the term in that language, in the file's order."""

    def in_language(self, language: str) -> str | None:
        """Return the term in a language; None if the glossary does not have it."""
        return dict(self.by_language).get(language)


@dataclass(frozen=True, slots=True)
class Glossary:
    """Terms and names."""

    terms: tuple[Term, ...] = ()
    names: tuple[str, ...] = ()

    def places(self, text: str, tokens: Sequence[KeptToken], source: str | None, target: str) -> dict[KeptToken, str]:
        """Return the places of terms in a text with their translations; none overlaps with a token.

        Args:
            text: the text.
            tokens: its protected tokens.
            source: the text's language; None: terms of every language are looked for.
            target: the language of the translation.
        """
        wanted = dict[str, str]()
        for term in self.terms:
            new = term.in_language(target)
            for language, old in term.by_language if new else ():
                if language == source or (source is None and language != target):
                    wanted.setdefault(old.casefold(), str(new))
        if not wanted:
            return {}
        taken = {at for token in tokens for at in range(token.start, token.end)}
        found = dict[KeptToken, str]()
        for match in _pattern(tuple(sorted(wanted, key=len, reverse=True))).finditer(text):
            if taken.isdisjoint(range(*match.span())):
                new = wanted[" ".join(match[0].casefold().split())]
                shown = new[:1].upper() + new[1:] if match.start() == 0 and match[0][:1].isupper() else new
                found[KeptToken("name", match[0], match.start())] = shown
        return found

    def with_name(self, name: str) -> Glossary:
        """Return the glossary with a name that is never translated.

        Raises:
            ConfigError: the name is empty or too long.
        """
        return Glossary(self.terms, tuple(dict.fromkeys([*self.names, _checked(name)])))

    def with_term(self, by_language: Mapping[str, str]) -> Glossary:
        """Return the glossary with a term; it replaces one that is the same in one of its languages.

        Raises:
            ConfigError: there are fewer than two languages, or a code or text is invalid.
        """
        term = Term(tuple((checked_code(code), _checked(text)) for code, text in by_language.items()))
        if len(term.by_language) < 2:
            raise ConfigError("A term needs two languages or more, such as: en='order number' de='Bestellnummer'.")
        kept = [one for one in self.terms if not _is_same(one, term)]
        return Glossary((*kept, term), self.names)

    def without(self, text: str) -> Glossary:
        """Return the glossary without the name or term of that text.

        Raises:
            ConfigError: there is none.
        """
        low = text.strip().casefold()
        names = tuple(name for name in self.names if name.casefold() != low)
        terms = tuple(one for one in self.terms if low not in {word.casefold() for _, word in one.by_language})
        if len(names) + len(terms) == len(self.names) + len(self.terms):
            raise ConfigError(f"The glossary has no {text!r}; 'qwendesk translate glossary list' shows what it has.")
        return Glossary(terms, names)

    def joined(self, other: Glossary) -> Glossary:
        """Return the glossary with all entries of another one."""
        result = self
        for name in other.names:
            result = result.with_name(name)
        for term in other.terms:
            result = result.with_term(dict(term.by_language))
        return result


def read_glossary(path: Path) -> Glossary:
    """Read a glossary from a CSV or TOML file; an empty one if there is no file.

    Raises:
        ConfigError: the file cannot be read, or an entry is invalid.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return Glossary()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The glossary {str(path)!r} cannot be read: {error}. It has to be a file in UTF-8."
        ) from None
    try:
        found = _from_toml(text) if path.suffix.lower() == ".toml" else _from_csv(text)
    except (ConfigError, tomllib.TOMLDecodeError, csv.Error) as error:
        raise ConfigError(f"The glossary {str(path)!r} is invalid: {error}") from None
    if len(found.terms) + len(found.names) > _MAX_ENTRIES:
        raise ConfigError(f"The glossary {str(path)!r} has more than {_MAX_ENTRIES} entries.")
    return found


def write_glossary(path: Path, glossary: Glossary) -> None:
    """Write a glossary as a CSV file; the old file stays if that fails.

    Raises:
        ConfigError: the file is a TOML file, which is edited by hand, or it cannot be written.
    """
    if path.suffix.lower() == ".toml":
        raise ConfigError(f"{str(path)!r} is a TOML file: edit it by hand, or set 'glossary' to a CSV file.")
    codes = list(dict.fromkeys(code for term in glossary.terms for code, _ in term.by_language))
    out = io.StringIO()
    writer = csv.DictWriter(out, [KEEP, *codes], lineterminator="\n")
    writer.writeheader()
    writer.writerows({KEEP: name} for name in glossary.names)
    writer.writerows(dict(term.by_language) for term in glossary.terms)
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(out.getvalue(), "utf-8")
        os.replace(new, path)  # noqa: PTH105 - one atomic step
    except OSError as error:
        raise ConfigError(f"The glossary {str(path)!r} cannot be written: {error}.") from None


def checked_code(code: str) -> str:
    """Return a language code in lower case.

    Raises:
        ConfigError: it is none.
    """
    low = code.strip().lower().replace("_", "-")
    if not _CODE.fullmatch(low):
        raise ConfigError(f"{code!r} is no language code such as 'de' or 'pt-br'.")
    return low


def _from_csv(text: str) -> Glossary:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True, restkey="")
    entries = [{(key or "").strip().lower(): value for key, value in row.items()} for row in rows]
    found = Glossary()
    for number, row in enumerate(entries, 2):
        if isinstance(row.get(""), list):
            raise ConfigError(f"row {number} has more cells than the first row.")
        cells = {key: value.strip() for key, value in row.items() if isinstance(value, str) and value.strip()}
        try:
            found = _with_row(found, cells.pop(KEEP, ""), cells)
        except ConfigError as error:
            raise ConfigError(f"row {number}: {error}") from None
    return found


def _from_toml(text: str) -> Glossary:
    data: dict[str, Any] = tomllib.loads(text)
    if strange := set(data) - {KEEP, "terms"}:
        raise ConfigError(f"unknown key {sorted(strange)[0]!r}; there are {KEEP!r} and 'terms'.")
    found = Glossary()
    for name in _strings(data.get(KEEP, []), KEEP):
        found = found.with_name(name)
    terms = data.get("terms", [])
    for term in terms if isinstance(terms, list) else [terms]:
        if not isinstance(term, dict) or not all(isinstance(value, str) for value in term.values()):
            raise ConfigError(
                'each of \'terms\' has to be a table of texts, such as {en = "order", de = "Bestellung"}.'
            )
        found = found.with_term(term)
    return found


def _strings(value: Any, key: str) -> Iterable[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{key!r} has to be a list of texts.")
    return value


def _with_row(glossary: Glossary, name: str, cells: Mapping[str, str]) -> Glossary:
    if name:
        glossary = glossary.with_name(name)
    return glossary.with_term(cells) if cells else glossary


def _checked(text: str) -> str:
    plain = " ".join(text.split())
    if not plain or len(plain) > _MAX_CHARS:
        raise ConfigError(f"{text[:40]!r} is empty or longer than {_MAX_CHARS} characters.")
    return plain


def _is_same(one: Term, other: Term) -> bool:
    words = {(code, text.casefold()) for code, text in one.by_language}
    return any((code, text.casefold()) in words for code, text in other.by_language)


def _pattern(texts: tuple[str, ...]) -> regex.Pattern[str]:
    """Return the pattern of terms: whole words, except in scripts without spaces."""
    inside = rf"[\p{{L}}\p{{M}}\p{{N}}--{_UNSPACED}]"
    words = "|".join(r"\s+".join(map(regex.escape, text.split())) for text in texts)
    return regex.compile(rf"(?i)(?<!{inside})(?:{words})(?!{inside})", regex.V1)
