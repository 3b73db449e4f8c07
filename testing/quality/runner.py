"""Ask the questions of a suite in each arm; stored answers are not asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qwendesk.testing.quality.arms import Arm
from qwendesk.testing.quality.base import Answer, Question, Score, Suite, score_answer
from qwendesk.testing.quality.run_folder import RunFolder
from qwendesk.tools.sandbox import PythonSandbox

MakeArm = Callable[[str, Suite], Arm]
"""Returns the arm of a name for a suite."""
Step = Callable[[], None]
"""Is called for each answer that is there."""


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """A question with its answer and score."""

    question: Question
    answer: Answer
    score: Score


ArmResults = Mapping[str, Mapping[str, ScoredAnswer]]
"""The scored answers by arm and id of the question."""


async def ask_suite(
    suite: Suite, questions: Sequence[Question], arms: Sequence[str], folder: RunFolder, make_arm: MakeArm, step: Step
) -> None:
    """Ask each question in all arms, one after the other, so that an interrupted run has pairs of answers.

    Raises:
        QwendeskError: the model is not there.
    """
    folder.keep_questions(suite.name, questions)
    stored = {arm: folder.answers(suite.name, arm) for arm in arms}
    opened: dict[str, Arm] = {}
    try:
        for question in questions:
            for name in arms:
                if not _is_answered(question, stored[name]):
                    if name not in opened:
                        opened[name] = make_arm(name, suite)
                    folder.add(suite.name, name, await opened[name].answer(question))
                step()
    finally:
        for arm in opened.values():
            await arm.aclose()


async def score_suite(
    suite: Suite, questions: Sequence[Question], arms: Sequence[str], folder: RunFolder, sandbox: PythonSandbox
) -> dict[str, dict[str, ScoredAnswer]]:
    """Return the scored answers of a suite; questions without an answer are left out."""
    results: dict[str, dict[str, ScoredAnswer]] = {}
    for arm in arms:
        answers = folder.answers(suite.name, arm)
        results[arm] = {
            question.id: ScoredAnswer(
                question, answers[question.id], await score_answer(suite, question, answers[question.id], sandbox)
            )
            for question in questions
            if _is_answered(question, answers)
        }
    return results


def _is_answered(question: Question, answers: Mapping[str, Answer]) -> bool:
    return question.id in answers and answers[question.id].fingerprint == question.fingerprint
