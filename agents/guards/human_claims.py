"""An answer does not claim that a human writes it."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from qwendesk.agents.checks.human_claims import asks_for_human, claim_in
from qwendesk.agents.guards.base import AnswerContext, Guard, GuardName, Sentence
from qwendesk.agents.guards.cues import is_text_work


class HumanClaimGuard(Guard):
    """Finds claims to be human in 30 languages, outside quotations; in answers to text tasks nothing counts as one."""

    key: ClassVar[GuardName] = "human_claims"
    name: ClassVar[str] = "does not claim to be human"
    feedback: ClassVar[str] = "You are a machine and must not say that you are human"
    voids_answer: ClassVar[bool] = True

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._statement = ""

    def check_sentence(self, sentence: Sentence) -> str | None:
        """Search a sentence."""
        if sentence.is_code:
            return None
        statement = claim_in(sentence.unquoted, dict.fromkeys((self.context.language, *sentence.languages)))
        if statement is None or self._is_off:
            return None
        self._statement = statement
        return "the answer claimed to be human"

    def replacement(self) -> str:
        """Return the true statement, in the language of the claim."""
        return self._statement

    @cached_property
    def _is_off(self) -> bool:
        context = self.context
        return is_text_work(context) and asks_for_human(context.question, context.language) is None
