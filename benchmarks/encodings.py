"""How often text without a declared encoding is read as it was written; the figures of docs/explanation/benchmarks.md.

The texts are the desk's own translations (16 languages) and, with ``--machine``, all translations of programs that this
machine has. Run: ``python -m benchmarks.encodings``.
"""

from __future__ import annotations

import argparse
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from qwendesk.knowledge.readers.text import decode_with_notes

ENCODINGS = {
    "ar": ("cp1256", "iso8859_6"),
    "cs": ("cp1250", "iso8859_2", "cp852"),
    "de": ("cp1252", "cp850", "mac_roman"),
    "el": ("cp1253", "iso8859_7"),
    "es": ("cp1252", "cp437"),
    "fr": ("cp1252", "cp850", "mac_roman"),
    "he": ("cp1255", "iso8859_8"),
    "hu": ("cp1250", "iso8859_2"),
    "it": ("cp1252",),
    "ja": ("cp932", "euc_jp", "iso2022_jp"),
    "ko": ("cp949",),
    "lt": ("cp1257",),
    "nl": ("cp1252",),
    "pl": ("cp1250", "iso8859_2", "cp852"),
    "pt": ("cp1252", "cp850"),
    "ru": ("cp1251", "koi8_r", "cp866", "iso8859_5"),
    "sv": ("cp1252", "cp850"),
    "th": ("cp874",),
    "tr": ("cp1254", "iso8859_9"),
    "uk": ("cp1251", "koi8_u"),
    "vi": ("cp1258",),
    "zh": ("gb18030",),
    "zh_TW": ("big5",),
}
LENGTHS = (20, 60, 200, 1000)
SAMPLES = 40
_MARKUP = re.compile(r"[%{}<>\\|]|--|http|@")
Detector = Callable[[bytes], tuple[str, bool]]
"""Returns the text, and whether it says that it is not certain."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machine", action="store_true", help="use all translations of programs on this machine")
    arguments = parser.parse_args()
    texts = {language: sorted(set(strings(language, machine=arguments.machine))) for language in ENCODINGS}
    detectors: dict[str, Detector] = {
        "this reader": ours,
        "chardet": by_chardet,
        "charset-normalizer": by_normalizer,
    }
    print(f"{'':20}{''.join(f'{length:>22}' for length in LENGTHS)}")
    for name, detector in detectors.items():
        told = [measured(detector, texts, length) for length in LENGTHS]
        print(
            f"{name:20}{''.join(f'{right:>8.3f} ({unmarked:.3f}, {marked:.2f})' for right, unmarked, marked in told)}"
        )


def measured(detector: Detector, texts: dict[str, list[str]], length: int) -> tuple[float, float, float]:
    """Return the shares of texts read rightly, wrongly without "uncertain", and rightly with it."""
    counts = Counter[str]()
    for language, encodings in ENCODINGS.items():
        for encoding in encodings:
            for text in samples(texts[language], f"{language}{encoding}", encoding, length):
                found, is_doubtful = detector(text.encode(encoding))
                is_right = unicodedata.normalize("NFC", found) == unicodedata.normalize("NFC", text)
                counts["all"] += 1
                counts["right"] += is_right
                counts["unmarked"] += not is_right and not is_doubtful
                counts["marked"] += is_right and is_doubtful
    total = max(1, counts["all"])
    return counts["right"] / total, counts["unmarked"] / total, counts["marked"] / total


def samples(texts: list[str], seed: str, encoding: str, length: int) -> Iterator[str]:
    """Yield texts of about a length that the encoding can hold and that are not ASCII."""
    good = [text for text in texts if holds(encoding, text)]
    chosen = random.Random(f"{seed}{length}")
    for _ in range(SAMPLES if len(good) >= SAMPLES / 2 else 0):
        text = ""
        while len(text) < length:
            text += " " * bool(text) + chosen.choice(good)
        if not (cut := text[:length].strip()).isascii():
            yield cut


def holds(encoding: str, text: str) -> bool:
    try:
        return text.encode(encoding).decode(encoding) == text
    except UnicodeError:
        return False


def strings(language: str, *, machine: bool) -> Iterator[str]:
    """Yield translated sentences without markup."""
    for text in of_machine(language) if machine else of_desk(language):
        line = " ".join(text.split())
        if len(line) >= 10 and not _MARKUP.search(line) and not line.isascii():
            yield line


def of_desk(language: str) -> Iterator[str]:
    file = Path(__file__).parent.parent / "desk" / "locales" / f"{language}.po"
    if file.is_file():
        with file.open("rb") as source:
            yield from (str(message.string) for message in read_po(source) if message.string)


def of_machine(language: str) -> Iterator[str]:
    names = {"pt": "pt_BR", "zh": "zh_CN"}
    for file in Path("/usr/share/locale").glob(f"{names.get(language, language)}/LC_MESSAGES/*.mo"):
        with file.open("rb") as source, suppress(ValueError, OSError):
            yield from (str(message.string) for message in read_mo(source) if message.id and message.string)


def ours(data: bytes) -> tuple[str, bool]:
    found = decode_with_notes(data)
    return found.text, any("uncertain" in note for note in found.notes)


def by_chardet(data: bytes) -> tuple[str, bool]:
    import chardet

    return data.decode(chardet.detect(data, prefer_superset=True)["encoding"] or "ascii", "replace"), False


def by_normalizer(data: bytes) -> tuple[str, bool]:
    from charset_normalizer import from_bytes

    found = from_bytes(data).best()
    return str(found) if found else "", False


if __name__ == "__main__":
    main()
