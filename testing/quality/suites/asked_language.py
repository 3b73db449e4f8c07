"""Questions in one language that ask for an answer in another one."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from qwendesk.routing.signals.language import english_name, identify_language
from qwendesk.testing.quality.base import Answer, Question, Score, Suite
from qwendesk.tools.sandbox import PythonSandbox


class AskedLanguage(Suite):
    """A request in each of twelve languages for an answer in each other one."""

    name = "language"
    summary = "Questions in one of twelve languages that ask for an answer in another one."

    def questions(self, data: Path | None) -> list[Question]:
        """Return a question for each pair of languages; the group is the wanted language."""
        table = tomllib.loads(
            resources.files("qwendesk.testing.quality").joinpath("data", "languages.toml").read_text("utf-8")
        )
        made = []
        for asking, (code, words) in enumerate(table.items()):
            for number, (wanted, phrase) in enumerate(words["in"].items()):
                if wanted != code:
                    request = words["requests"][(asking + number) % len(words["requests"])]
                    asked = words["ask"].replace("{in}", phrase)
                    text = f"{request}{'' if code in ('zh', 'ja') else ' '}{asked}"
                    made.append(Question(f"language-{code}-{wanted}", text, wanted, row={"language": wanted}))
        return made

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Identify the language of the answer."""
        found, wanted = identify_language(answer.text), question.row["language"]
        told = english_name(found) or "undecided"
        return Score(found == wanted, f"asked for {english_name(wanted)}; the answer is {told}")
