"""Read numbers in words, such as "five" and "deux", in many languages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from qwendesk.agents.checks.equation_tokens import scale_of
from qwendesk.agents.checks.numbers import numbers_in
from qwendesk.routing.signals.cues import KINDS, fold, load_cues, words_of

_WORDS = (
    "two zwei deux dos duas dois due twee två to dwa dwie dva два две двух iki dua",
    "three drei trois tres três tre drie trzy tři три трёх трех üç tiga",
    "four vier quatre cuatro quatro quattro fyra fire cztery čtyři четыре четырёх чотири dört empat",
    "five fünf cinq cinco cinque vijf fem pięć pět пять пяти п'ять beş lima",
    "six sechs seis sei zes sex seks sześć šest шесть шести шість altı enam",
    "seven sieben sept siete sete sette zeven sju syv siedem sedm семь семи сім yedi tujuh",
    "eight acht huit ocho oito otto åtta åtte otte osiem osm восемь восьми вісім sekiz delapan",
    "nine neun neuf nueve nove negen nio ni dziewięć devět девять девяти дев'ять dokuz sembilan",
    "ten zehn dix diez dez dieci tien tio ti dziesięć deset десять десяти on sepuluh",
    "eleven elf onze once undici elva elleve jedenaście одиннадцать",
    "twelve zwölf douze doce doze dodici twaalf tolv dwanaście двенадцать oniki",
    "thirteen dreizehn treize trece treze tredici dertien tretton",
    "fourteen vierzehn quatorze catorce catorze quattordici veertien fjorton czternaście четырнадцать",
    "fifteen fünfzehn quinze quince quindici vijftien femton piętnaście пятнадцать",
)
_MORE = {
    20: "twenty zwanzig vingt veinte vinte venti twintig tjugo tyve dwadzieścia двадцать yirmi",
    30: "thirty dreißig trente treinta trinta trenta dertig trettio tredve trzydzieści тридцать otuz",
    40: "forty vierzig quarante cuarenta quarenta quaranta veertig сорок",
    50: "fifty fünfzig cinquante cincuenta cinquenta cinquanta vijftig пятьдесят elli",
    60: "sixty sechzig soixante sesenta sessenta sessanta шестьдесят",
    90: "ninety neunzig noventa novanta девяносто",
    100: "hundred hundert cien cem cento honderd hundra сто",
}
_DENSE_SIGNS = "一二两兩三四五六七八九十百"
_DENSE = re.compile(
    rf"(?<![\d第千百万{_DENSE_SIGNS}])([{_DENSE_SIGNS}]{{1,5}})(?!年?[级級生月])(?=[^\s\d千万点分{_DENSE_SIGNS}])"
)
_DENSE_DIGITS = {sign: at for at, sign in enumerate("零一二三四五六七八九")} | {"两": 2, "兩": 2}
_SINGULAR = frozenset(
    re.findall(r"\w+", "one a an ein eine einen einer un una uno une um uma een en ett один одна одно")
)
"""Number words that are articles as well."""


def has_number_words(text: str, languages: Iterable[str] | None = None) -> bool:
    """Return whether a text has numbers in words, from two on, of some languages; None: of all."""
    words = [word for word in words_of(fold(text)) if word not in _SINGULAR]
    bit = 1 << KINDS.index("numbers")
    return any(mask & bit for _, mask in load_cues().find(words, languages))


def with_digits(text: str, *, only_units: bool) -> str:
    """Return a text with its numbers in words as digits.

    Args:
        text: the text.
        only_units: whether a word is a number only before a unit, as in "five euros".
    """

    def digits(found: re.Match[str], value: int) -> str:
        behind = text[found.end() : found.end() + 40]
        numbers = numbers_in(f"{value}{behind}", None) if only_units else []
        return str(value) if not only_units or (numbers and numbers[0].unit) else found[0]

    text = _words().sub(lambda found: digits(found, _values()[found[0].lower()]), text)
    return _DENSE.sub(lambda found: digits(found, value) if (value := _dense(found[1])) > 1 else found[0], text)


def values_in_words(text: str, language: str) -> tuple[set[int], bool]:
    """Return the values of the numbers in words of a text in a language, and whether all of them could be read."""
    found = [(one.start(), one.end(), _values()[one[0].lower()]) for one in _whole_words().finditer(text)]
    values = {value for _, _, value in found}
    for (_, end, tens), (start, _, ones) in zip(found, found[1:], strict=False):
        if text[end:start] in ("-", " ", "\u00a0") and (tens % 10 == 0 and ones < tens):
            values |= {tens + ones, tens * ones}
        elif text[end:start] in ("-", " ") and ones == 100:
            values.add(tens * 100)
    dense = {value for one in _DENSE.finditer(text) if (value := _dense(one[1])) > 1}
    rest = _DENSE.sub(" ", _whole_words().sub(" ", text))
    scales = {scale for word in re.findall(r"[^\W\d_]+", rest) if (scale := scale_of(word)) > 1}
    scaled = {value * scale for value in values for scale in scales}
    rest = " ".join(word for word in re.findall(r"[^\W\d_]+", rest) if scale_of(word) == 1)
    return values | dense | scales | scaled, not has_number_words(rest, (language, "en"))


def _dense(text: str) -> int:
    """Return the value of a number below a thousand in Chinese signs."""
    total = digit = 0
    for sign in text:
        if sign in "十百":
            total += (digit or 1) * (10 if sign == "十" else 100)
            digit = 0
        else:
            digit = _DENSE_DIGITS[sign]
    return total + digit


@cache
def _values() -> dict[str, int]:
    return dict(_pairs())


def _pairs() -> Iterator[tuple[str, int]]:
    for value, line in (*enumerate(_WORDS, 2), *_MORE.items()):
        # "on" and "to" are other words far more often
        yield from ((word, value) for word in line.split() if word not in ("on", "to", "ti", "ni", "once"))


@cache
def _words() -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, _values()), key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{names})(?=[\s\u00a0-])", re.IGNORECASE)


@cache
def _whole_words() -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, _values()), key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{names})(?!\w)", re.IGNORECASE)
