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
_MAX_NEW_SHARE = 0.05
"""Share of other words that a long echo may have, such as changed endings."""
_MATERIAL = re.compile(r"[:：]\s|\n|[\"“”„«»「」『』‘’`]")
"""Signs that part a request from the text that it is about."""
_MAX_CHARS = 20_000
_MARK = re.compile(r"[?？؟;]|吗|呢")
_ASKING = re.compile(
    r"(?<!\w)(?:what|which|who|whom|whose|where|when|why|how|was|welche\w*|wer|wen|wem|wo|wann|warum|wieso|wie|"
    r"quoi|que|quel\w*|qui|ou|quand|pourquoi|comment|combien|cual\w*|quien\w*|donde|cuando|como|cuant\w*|"
    r"qual\w*|quem|onde|quando|quant\w*|chi|dove|perche|cosa|come|wat|welke|wie|waar|wanneer|waarom|hoe\w*|"
    r"vad|vilk\w*|vem|var|nar|varfor|hur|hvad|hva|hvilk\w*|hvem|hvor\w*|hvornar|mika|mita|missa|milloin|miksi|kuka|"
    r"co|jak\w*|kto|gdzie|kiedy|dlaczego|ktor\w*|kdo|kde|kdy|proc|что|как\w*|кто|где|когда|почему|сколько|"
    r"що|як\w*|хто|де|коли|чому|скільки|ce|care|cine|unde|cand|mit|mi|ki|hol|mikor|miert|hogyan|ne|nasil|kim|nerede|"
    r"neden|hangi\w*|kac|τι|ποι\w*|που|ποτε|γιατι|πως|ما|ماذا|من|اين|متي|متى|لماذا|كيف|كم|apa|siapa|dimana|kapan|"
    r"mengapa|bagaimana|berapa|gi|ai|dau|khi nao|tai sao|the nao|bao nhieu|kas|kur|kada|kodel|kaip)(?!\w)|"
    r"什么|誰|谁|哪|为什么|為什麼|怎|多少|几|何|どこ|どの|いつ|なせ|なぜ|どう|か[。.]?\Z|무엇|누구|어디|언제|왜|어떻게|얼마|까|อะไร|ใคร|ที่ไหน|เมื่อ|ทำไม|อย่างไร|ไหม"
)
"""Question words, and particles of questions, in folded letters."""
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
        """Compare the words of the answer with those of the question, in their order."""
        asked = self._asked
        if len(asked) < _MIN_WORDS or len(text) > _MAX_CHARS or "```" in text:
            return None
        said = tokens_of(normalize(text))
        known, words = set(asked), set(said)
        if sum(word not in known and word not in _LEAD_IN for word in said) > len(said) * _MAX_NEW_SHARE:
            return None
        # a statement of the same words is an answer: "Is Berlin the capital?", "Berlin is the capital."
        if not _has_run(said, asked) or not self._keeps_form(text) or self._is_material(words):
            return None
        return "the answer only repeats the question"

    def _keeps_form(self, text: str) -> bool:
        """Return whether a text is a question if the message is one."""
        is_question = _MARK.search(self.context.question) is not None
        return not is_question or _MARK.search(text) is not None or _ASKING.search(normalize(text)) is not None

    @cached_property
    def _asked(self) -> list[str]:
        return tokens_of(normalize(without_quoted_lines(self.context.question)[:_MAX_CHARS]))

    def _is_material(self, said: set[str]) -> bool:
        """Return whether an answer only has the words of the text that the request is about."""
        parts = _MATERIAL.split(self.context.question[:_MAX_CHARS])
        words = [set(tokens_of(normalize(part))) for part in parts]
        # the request itself is one of the parts: an echo of all has words of each
        return len([part for part in words if part]) > 1 and any(part and not part & said for part in words)


def _has_run(said: list[str], asked: list[str]) -> bool:
    """Return whether the words of a question stand in a text one behind the other."""
    text, run = f" {' '.join(said)} ", f" {' '.join(asked)} "
    return run in text
