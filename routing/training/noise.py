"""Other ways to write a question: typing errors, case, padding, mixed languages."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from qwendesk.routing.training.dataset import LabelledQuestion

_TYPING_ERRORS = 0.05
"""Share of the letters that are mistyped."""
_POLITE = {
    "ar": "مرحبا، أرجو أن تكون بخير.",
    "bg": "Здравейте, надявам се, че сте добре.",
    "de": "Guten Tag, ich hoffe, es geht Ihnen gut.",
    "el": "Γεια σας, ελπίζω να είστε καλά.",
    "en": "Hello, I hope you are doing well.",
    "es": "Hola, espero que estés bien.",
    "fi": "Hei, toivottavasti voit hyvin.",
    "fr": "Bonjour, j'espère que vous allez bien.",
    "hi": "नमस्ते, आशा है आप ठीक हैं।",
    "hu": "Jó napot, remélem, jól van.",
    "id": "Halo, semoga Anda baik-baik saja.",
    "it": "Buongiorno, spero che stia bene.",
    "ja": "こんにちは、お元気でお過ごしのことと思います。",
    "ko": "안녕하세요, 잘 지내시길 바랍니다.",
    "nl": "Goedendag, ik hoop dat het goed met u gaat.",
    "pl": "Dzień dobry, mam nadzieję, że wszystko dobrze.",
    "pt": "Olá, espero que esteja bem.",
    "ru": "Здравствуйте, надеюсь, у вас всё хорошо.",
    "tr": "Merhaba, umarım iyisinizdir.",
    "vi": "Xin chào, hy vọng bạn khỏe.",
    "zh": "您好，希望您一切都好。",
}
"""An opening in each language."""
_PADDING = "Sent from my phone while travelling, sorry for any mistakes. Best regards, Kim"
_MIXED_OPENING, _MIXED_END = "Quick question, ", " - ¡gracias de antemano!"


def noisy_texts(questions: Sequence[LabelledQuestion]) -> Iterator[tuple[str, list[str]]]:
    """Yield each way of writing with all questions written so; the same questions give the same texts."""
    for name, change in _CHANGES:
        chance = random.Random(7)
        yield name, [change(question, chance) for question in questions]


def _typing_errors(question: LabelledQuestion, chance: random.Random) -> str:
    """Swap, double, drop or replace a letter in twenty."""
    text = list(question.text)
    for at in range(len(text) - 1):
        if text[at].isalpha() and chance.random() < _TYPING_ERRORS:
            kind = chance.randrange(4)
            if kind == 0:
                text[at], text[at + 1] = text[at + 1], text[at]
            else:
                text[at] = ("", text[at] * 2, chance.choice("etaoinsr"))[kind - 1]
    return "".join(text)


def _without_diacritics(question: LabelledQuestion, chance: random.Random) -> str:
    parts = unicodedata.normalize("NFD", question.text)
    return "".join(character for character in parts if not "\u0300" <= character <= "\u036f")


def _spaced_out(question: LabelledQuestion, chance: random.Random) -> str:
    return "  " + question.text.replace(" ", "  ") + " \n\n "


_CHANGES: tuple[tuple[str, Callable[[LabelledQuestion, random.Random], str]], ...] = (
    ("typing errors, 1 character in 20", _typing_errors),
    ("missing diacritics", _without_diacritics),
    ("upper case", lambda question, chance: question.text.upper()),
    ("lower case", lambda question, chance: question.text.lower()),
    ("more spaces and empty lines", _spaced_out),
    ("emoji", lambda question, chance: f"😀 {question.text} 🙏🎉"),
    ("a polite opening", lambda question, chance: f"{_POLITE.get(question.lang, _POLITE['en'])} {question.text}"),
    ("a signature below", lambda question, chance: f"{question.text}\n\n{_PADDING}"),
    ("words of other languages around it", lambda question, chance: _MIXED_OPENING + question.text + _MIXED_END),
)
"""Names and functions of the ways of writing."""
