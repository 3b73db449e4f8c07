"""Tell how angry a customer's message is, by insults, complaints and shouting, in the languages of ``anger.toml``."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from qwendesk.agents.checks.human_claims import is_text_task, without_quotations
from qwendesk.desk.handover.phrases import LETTER, WORD, PhraseTree, fold, phrases_of, words_of_phrase

ANGRY = 2
"""Intensity from which a message counts as angry."""
_MAX_CHARS = 1_500
_MAX_WORDS = 60
"""Maximum words of a message that is angry as a whole; in a longer one such words are about something else."""
_OUTRAGE, _ANNOYED = "O", "a"
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SHOUTS = re.compile(r"[!！?？]*[!！][!！?？]+|[?？]+[!！]|🤬|😡|😠|👿|💢")
_MIN_CAPITALS, _MIN_CAPITAL_SHARE = 10, 0.7
_HIGHEST = 3


def anger(text: str) -> int:
    """Return how angry a message is, from 0 to 3; from ``ANGRY`` on it counts as angry.

    An insult or an outraged complaint is enough; a mild complaint counts together with another one or with shouting.
    Quotations, code and messages that ask for work on a text, such as a translation, are calm.

    Args:
        text: the message.
    """
    said = without_quotations(text[:_MAX_CHARS])
    plain = fold(said)
    letters = _letters(plain)
    found = letters.count(_OUTRAGE) * ANGRY + letters.count(_ANNOYED)
    if not found or len(WORD.findall(plain)) > _MAX_WORDS or is_text_task(said):
        return 0
    return min(_HIGHEST, found + _shouts(said))


def _shouts(text: str) -> int:
    letters = [character for character in text if character.isupper() or character.islower()]
    capitals = sum(map(str.isupper, letters))
    is_loud = capitals >= _MIN_CAPITALS and capitals >= len(letters) * _MIN_CAPITAL_SHARE
    return bool(_SHOUTS.search(text)) + is_loud


def _letters(plain: str) -> str:
    """Return the letters of the phrases found, without those of words that stand alone in another phrase."""
    spaced, unspaced = _trees()
    found = _found(spaced, WORD.findall(plain))
    return found + _found(unspaced, LETTER.findall(plain)) if _UNSPACED.search(plain) else found


def _found(tree: PhraseTree, tokens: list[str]) -> str:
    letters, place = "", 0
    while place < len(tokens):
        end, letter = tree.longest(tokens, place)
        letters += letter
        place = max(end, place + 1)
    return letters


@cache
def _trees() -> tuple[PhraseTree, PhraseTree]:
    """Return the phrases of languages with spaces between words, and of those without."""
    spaced, unspaced = PhraseTree(), PhraseTree()
    table = tomllib.loads(resources.files(__package__).joinpath("anger.toml").read_text("utf-8"))
    for name, letter in (("outrage", _OUTRAGE), ("annoyed", _ANNOYED)):
        for line in table[name].values():
            for phrase in phrases_of(line):
                if _UNSPACED.search(phrase):
                    unspaced.add(LETTER.findall(phrase), letter)
                else:
                    spaced.add(words_of_phrase(phrase), letter)
    return spaced, unspaced
