"""The checks of IFEval's instructions, by instruction id; written for this project from the descriptions of its paper.

A check reads the answer and the arguments of the instruction, and returns whether the answer follows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from qwendesk.routing.signals.language import english_name, identify_language

Arguments = Mapping[str, Any]
Check = Callable[[str, Arguments], bool]
_SENTENCE_END = re.compile(r"[.!?]+[\"')\]”’*]*(?=\s|$)|[。！？]")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|No|Jr|Sr)\.", re.IGNORECASE)
_PARAGRAPH_LINE = re.compile(r"^\s*\*\*\*\s*$", re.MULTILINE)
_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def compare(count: int, relation: str, wanted: int) -> bool:
    """Return whether a count is ``at least`` or ``less than`` a number."""
    return count < wanted if relation == "less than" else count >= wanted


def _count(text: str, phrase: str) -> int:
    """Count a phrase as whole words, in any case."""
    return len(re.findall(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE))


def has_keywords(text: str, given: Arguments) -> bool:
    """All keywords occur, also as a part of other words."""
    return all(word.lower() in text.lower() for word in given["keywords"])


def keyword_frequency(text: str, given: Arguments) -> bool:
    """A keyword occurs so many times."""
    return compare(_count(text, given["keyword"]), given["relation"], given["frequency"])


def lacks_words(text: str, given: Arguments) -> bool:
    """No forbidden word occurs."""
    return not any(_count(text, word) for word in given["forbidden_words"])


def letter_frequency(text: str, given: Arguments) -> bool:
    """A letter occurs so many times, in any case."""
    return compare(text.lower().count(given["letter"].lower()), given["let_relation"], given["let_frequency"])


def response_language(text: str, given: Arguments) -> bool:
    """The answer is in one language."""
    return identify_language(text) == str(given["language"]).partition("-")[0]


def sentence_count(text: str) -> int:
    """Count sentences: ends of sentences, and lines without one."""
    plain = _ABBREVIATION.sub(lambda found: found[0].replace(".", ""), text)
    parts = [part for line in plain.splitlines() for part in _SENTENCE_END.split(line)]
    return sum(bool(re.search(r"\w", part)) for part in parts)


def number_sentences(text: str, given: Arguments) -> bool:
    """The answer has so many sentences."""
    return compare(sentence_count(text), given["relation"], given["num_sentences"])


def number_words(text: str, given: Arguments) -> bool:
    """The answer has so many words."""
    return compare(len(re.findall(r"\w+(?:[-'’]\w+)*", text)), given["relation"], given["num_words"])


def number_paragraphs(text: str, given: Arguments) -> bool:
    """The answer has exactly so many paragraphs, with ``***`` between them."""
    parts = [part for part in _PARAGRAPH_LINE.split(text) if part.strip()]
    return bool(len(parts) == given["num_paragraphs"])


def nth_paragraph_first_word(text: str, given: Arguments) -> bool:
    """The answer has so many paragraphs between blank lines, and one of them begins with a word."""
    parts = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
    number = given["nth_paragraph"]
    if len(parts) != given["num_paragraphs"] or number > len(parts):
        return False
    first = parts[number - 1].split()[0].strip("\"'“”‘’*_.,!?:;()").lower()
    return bool(first == given["first_word"].lower())


def number_placeholders(text: str, given: Arguments) -> bool:
    """The answer has so many placeholders in square brackets."""
    return bool(len(re.findall(r"\[[^\[\]]+\]", text)) >= given["num_placeholders"])


def postscript(text: str, given: Arguments) -> bool:
    """A line begins with the postscript's mark."""
    letters = [re.escape(letter) for letter in given["postscript_marker"].replace(" ", "").replace(".", "")]
    points = r"\.?\s?" if "." in given["postscript_marker"] else ""
    return bool(re.search(rf"^\s*[*_#]*{points.join(letters)}", text, re.IGNORECASE | re.MULTILINE))


def number_bullet_lists(text: str, given: Arguments) -> bool:
    """The answer has exactly so many bullet points."""
    return bool(len(re.findall(r"^\s*(?:\*(?!\*)|-)\s*\S", text, re.MULTILINE)) == given["num_bullets"])


def constrained_response(text: str, given: Arguments) -> bool:
    """The answer is one of three sentences."""
    return any(option in text for option in _OPTIONS)


def number_highlighted_sections(text: str, given: Arguments) -> bool:
    """The answer has so many parts between asterisks."""
    found = re.findall(r"\*\*[^*\n]+\*\*|\*[^*\n]+\*", text)
    return bool(sum(bool(part.strip("* ")) for part in found) >= given["num_highlights"])


def multiple_sections(text: str, given: Arguments) -> bool:
    """The answer has so many sections, each opened by a word and its number."""
    opened = re.findall(rf"^\W*{re.escape(given['section_spliter'].strip())}\s+\d+", text, re.MULTILINE)
    return bool(len(opened) >= given["num_sections"])


def json_format(text: str, given: Arguments) -> bool:
    """The whole answer is JSON, in a fence or not."""
    fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)\n?```\s*", text, re.DOTALL | re.IGNORECASE)
    try:
        json.loads(fenced[1] if fenced else text)
    except ValueError:
        return False
    return True


def has_title(text: str, given: Arguments) -> bool:
    """The answer has a title in double angular brackets."""
    return any(found.strip() for found in re.findall(r"<<([^<>\n]+)>>", text))


def two_responses(text: str, given: Arguments) -> bool:
    """The answer is two different texts, with six asterisks between them."""
    parts = [part.strip() for part in text.split("******")]
    filled = [part for part in parts if part]
    return len(filled) == 2 and filled[0] != filled[1] and all(parts[1:-1])


def repeat_prompt(text: str, given: Arguments) -> bool:
    """The answer begins with the request, word for word."""
    return text.strip().lower().startswith(given["prompt_to_repeat"].strip().lower())


def end_checker(text: str, given: Arguments) -> bool:
    """The answer ends with a phrase."""
    return text.strip().strip('"').lower().endswith(given["end_phrase"].strip().lower())


def quotation(text: str, given: Arguments) -> bool:
    """The whole answer stands in double quotation marks."""
    plain = text.strip()
    return len(plain) > 1 and plain[0] == plain[-1] == '"'


def capital_word_frequency(text: str, given: Arguments) -> bool:
    """The answer has so many words in capitals."""
    words = [word for word in re.findall(r"[^\W_]+(?:[-'’][^\W_]+)*", text) if word.isupper()]
    return compare(len(words), given["capital_relation"], given["capital_frequency"])


def english_capital(text: str, given: Arguments) -> bool:
    """The answer is English in capitals."""
    return text.isupper() and identify_language(text) in ("en", None)


def english_lowercase(text: str, given: Arguments) -> bool:
    """The answer is English in small letters."""
    return text.islower() and identify_language(text) in ("en", None)


def no_comma(text: str, given: Arguments) -> bool:
    """The answer has no comma."""
    return "," not in text


CHECKS: Mapping[str, Check] = {
    "keywords:existence": has_keywords,
    "keywords:frequency": keyword_frequency,
    "keywords:forbidden_words": lacks_words,
    "keywords:letter_frequency": letter_frequency,
    "language:response_language": response_language,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_words": number_words,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": has_title,
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_checker,
    "startend:quotation": quotation,
    "change_case:capital_word_frequency": capital_word_frequency,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "punctuation:no_comma": no_comma,
}
"""Each instruction's check."""


def has_check(name: str, given: Arguments) -> bool:
    """Return whether an instruction can be checked; some languages cannot be identified."""
    if name == "language:response_language":
        return english_name(str(given["language"]).partition("-")[0]) is not None
    return name in CHECKS
