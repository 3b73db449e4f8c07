"""An answer says more than the question."""

from __future__ import annotations

import re
from functools import cached_property
from typing import ClassVar

from qwendesk.agents.checks.human_claims import normalize
from qwendesk.agents.guards.base import Guard, GuardName, tokens_of
from qwendesk.prompt_quoting import without_quoted_lines

_MIN_WORDS = 4
"""Minimum words of a question whose repetition is a fault: a greeting may be returned."""
_MIN_SHARE = 0.8
"""Share of the question's words that an echo has."""
_MAX_NEW_SHARE = 0.05
"""Share of other words that a long echo may have, such as changed endings."""
_MATERIAL = re.compile(r"[:：]\s|\n|[\"“”„«»「」『』‘’`]")
"""Signs that part a request from the text that it is about."""
_MAX_CHARS = 20_000
_LEAD_IN = frozenset(
    normalize(
        "you your asked ask question the is are want wanted to know was were so user says said wrote "
        "du sie ihre deine frage fragen fragst haben hast gefragt lautet die der das ist mochten "
        "vous tu votre question demandez demande est la "
        "usted tu su pregunta preguntas preguntado es la quiere quieres saber "
        "voce sua pergunta perguntou e a quer saber "
        "lei tua domanda chiede hai chiesto la vuole vuoi sapere "
        "je uw vraag vraagt de het gevraagd luidt "
        "din fraga fragar du fragan ar sporsmal sporger spurte sporsmalet er "
        "pytasz pytanie twoje pan pani pyta chcesz wiedziec brzmi "
        "ваш вопрос вы спрашиваете спросили ты твой это хотите узнать "
        "ваше питання ви запитуєте "
        "soru sorunuz sordunuz soruyorsunuz "
        "سؤالك هو سألت تسأل عن "
        "आपका प्रश्न सवाल है आप पूछ रहे हैं ने पूछा "
        "pertanyaan anda adalah bertanya "
        "cau hoi cua ban la hoi "
        "질문은 질문 당신의 물었습니다 질문하신 내용은 "
        "vas dotaz otazka je ptate se kerdese kerdes kerdezi intrebarea ta este kysymys kysyit "
        "η ερωτηση σας ειναι ρωτας ρωτατε"
    ).split()
) | frozenset("您的问题是你问我题請请提了想知道ご質問はですあなたのお客様คำถามของุณือ")
"""Words of sentences that introduce a question."""


class EchoGuard(Guard):
    """Finds answers that only repeat the question, with or without words that introduce it.

    An answer that repeats the text that a request is about may be right: "Correct this sentence: ...".
    """

    key: ClassVar[GuardName] = "echo"
    name: ClassVar[str] = "says more than the question"
    feedback: ClassVar[str] = "You only repeated the question instead of answering it"
    voids_answer: ClassVar[bool] = True

    def check_answer(self, text: str) -> str | None:
        """Compare the words of the answer with those of the question."""
        asked = self._asked
        if len(asked) < _MIN_WORDS or len(text) > _MAX_CHARS or "```" in text:
            return None
        known = set(asked)
        said = tokens_of(normalize(text))
        new = sum(word not in known and word not in _LEAD_IN for word in said)
        if new > len(said) * _MAX_NEW_SHARE:
            return None
        if any(word.isdecimal() and word not in known for word in said):
            return None
        shared = sum(word in set(said) for word in known)
        if shared < len(known) * _MIN_SHARE or self._is_material(said):
            return None
        return "the answer only repeats the question"

    @cached_property
    def _asked(self) -> list[str]:
        return tokens_of(normalize(without_quoted_lines(self.context.question)[:_MAX_CHARS]))

    def _is_material(self, said: list[str]) -> bool:
        """Return whether an answer only has the words of the text that the request is about."""
        parts = _MATERIAL.split(self.context.question[:_MAX_CHARS])
        words = [set(tokens_of(normalize(part))) for part in parts]
        # the request itself is one of the parts: an echo of all has words of each
        return len([part for part in words if part]) > 1 and any(part and not part & set(said) for part in words)
