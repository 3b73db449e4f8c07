"""Make the question set ``debian-faq`` from the pages of Debian's packages ``debian-faq`` and ``debian-faq-LANGUAGE``.

apt-get download debian-faq debian-faq-{de,fr,it,ja,ko,nl,pt,ru,zh-cn}
for package in debian-faq*.deb; do dpkg-deb -x "$package" unpacked; done
python -m benchmarks.debian_faq unpacked/usr/share/doc/debian/FAQ
"""

from __future__ import annotations

import argparse
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

LANGUAGES = ("en", "de", "fr", "it", "ja", "ko", "nl", "pt", "ru", "zh-cn")
TARGET = Path(__file__).parent.parent / "knowledge" / "evaluation" / "data" / "debian_faq"
MOST = 900
"""Letters of an answer that are taken, at a paragraph's end: as much as one passage holds."""
LEAST = 60
_X = "{http://www.w3.org/1999/xhtml}"
_HEADINGS = (f"{_X}h2", f"{_X}h3", f"{_X}h4")
_PARAGRAPHS = ("p", "pre", "dt", "td", "th")
_LEFT_OUT = ("titlepage", "toc", "section")
"""Parts of a section that are not counted as its text."""


def sections(page: Path) -> Iterator[tuple[str, str, str]]:
    """Yield id, heading and text of each section."""
    for part in ET.parse(page).iter(f"{_X}div"):
        if part.get("class") != "section":
            continue
        heading = next(element for element in part.iter() if element.tag in _HEADINGS)
        name = next(heading.iter(f"{_X}a")).get("id") or ""
        yield name, re.sub(r"^[\d.]+\s*", "", _line(heading)), _shortened(list(_paragraphs(part)))


def _paragraphs(element: ET.Element) -> Iterator[str]:
    for child in element:
        tag = child.tag.removeprefix(_X)
        if child.get("class") in _LEFT_OUT:
            continue
        if tag in _PARAGRAPHS:
            yield "".join(child.itertext()).strip("\n") if tag == "pre" else _line(child)
        else:
            yield from _paragraphs(child)


def _line(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _shortened(paragraphs: list[str]) -> str:
    text = ""
    for paragraph in filter(str.strip, paragraphs):
        longer = f"{text}\n\n{paragraph}" if text else paragraph
        if text and len(longer) > MOST:
            break
        text = longer
    return text[:MOST]


def read(folder: Path, language: str) -> dict[str, tuple[str, str]]:
    """Return the questions and answers of a language by their names, which are the same in all."""
    pages = sorted((folder if language == "en" else folder / language).glob(f"*.{language}.html"))
    return {name: (title, text) for page in pages for name, title, text in sections(page)}


def main() -> None:
    """Write one file a language; what has not been translated is left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    english = read(folder, "en")
    asked = [name for name, (title, text) in english.items() if title.endswith("?") and len(text) >= LEAST]
    for language in LANGUAGES:
        found = read(folder, language)
        taken = [
            name
            for name in asked
            if language == "en" or (found[name][0] != english[name][0] and found[name][1] != english[name][1])
        ]
        rows = [{"id": name, "question": found[name][0], "answer": found[name][1]} for name in taken]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (TARGET / f"{language.partition('-')[0]}.jsonl").write_text(text, "utf-8")
        print(f"{language}: {len(rows)} questions")


if __name__ == "__main__":
    main()
