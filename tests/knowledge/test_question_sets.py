"""Question sets with documents: the SQuAD format and the Debian FAQ."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.knowledge.evaluation.measure import CachedEmbeddingModel, evaluate_set
from qwendesk.knowledge.evaluation.question_sets import debian_faq, read_squad
from qwendesk.knowledge.knowledge_base import open_knowledge
from tests.knowledge.conftest import WordVectors

EN = [
    ("Cats sleep most of the day.", "When do cats sleep?"),
    ("Money is given back within a month.", "Is money returned?"),
]
DE = [
    ("Eine Katze schläft fast den ganzen Tag.", "Wann schläft die Katze?"),
    ("Geld kommt zurück.", "Wann kommt Geld?"),
]


def squad(path: Path, rows: list[tuple[str, str]]) -> Path:
    paragraphs = [
        {"context": context, "qas": [{"id": f"q{number}", "question": question, "answers": []}]}
        for number, (context, question) in enumerate(rows)
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return path


def test_the_debian_faq_is_parallel_in_ten_languages_and_carries_its_terms() -> None:
    faq = debian_faq()
    assert {language.code for language in faq.languages} == {"de", "en", "fr", "it", "ja", "ko", "nl", "pt", "ru", "zh"}
    english = next(language for language in faq.languages if language.code == "en")
    for language in faq.languages:
        assert len(language.questions) >= 95
        assert set(language.questions) <= set(english.questions)
        assert all(document in language.documents for _, document in language.questions.values())
    terms = (
        resources.files("qwendesk.knowledge.evaluation").joinpath("data", "debian_faq", "SOURCES.md").read_text("utf-8")
    )
    assert "Permission is granted to make and distribute verbatim copies" in terms


def test_a_set_is_narrowed_to_languages_that_it_has() -> None:
    assert [language.code for language in debian_faq().only(["zh", "de", "zh"]).languages] == ["zh", "de"]
    with pytest.raises(ConfigError, match="is not in 'xx'; it is in: de, en"):
        debian_faq().only(["xx"])


async def test_questions_are_asked_in_their_language_and_across(tmp_path: Path) -> None:
    files = [squad(tmp_path / "cats.de.json", DE), squad(tmp_path / "cats.en.json", EN)]
    steps: list[tuple[str, int, int]] = []
    result = await evaluate_set(
        read_squad(files),
        lambda name: open_knowledge(f"sqlite+aiosqlite:///{tmp_path / name}.db", WordVectors()),
        lambda *step: steps.append(step),
    )
    assert result["set"] == "cats" and result["questions"] == 4
    assert result["words"] == {"questions": 4, "recall5": 1.0, "mrr": 1.0}
    assert list(result["by_pair"]) == ["en>de", "de>en"]
    assert result["by_pair"]["de>en"]["words"]["recall5"] == 0, "no word is the same in both languages"
    assert result["by_pair"]["de>en"]["vectors"]["recall5"] == 1, "the model knows that Katze is cat"
    assert steps == [("de", 0, 2), ("de", 1, 2), ("en", 0, 2), ("en", 1, 2)]


async def test_a_question_is_embedded_once() -> None:
    vectors = WordVectors()
    remembering = CachedEmbeddingModel(vectors)
    first = await remembering.embed_query("cats")
    vectors.is_away = True
    assert await remembering.embed_query("cats") is first and remembering.name == vectors.name
    with pytest.raises(EngineUnavailable):
        await remembering.embed_query("dogs")


async def test_without_a_model_words_alone_are_measured(tmp_path: Path) -> None:
    result = await evaluate_set(
        read_squad([squad(tmp_path / "cats.en.json", EN)]),
        lambda name: open_knowledge(f"sqlite+aiosqlite:///{tmp_path / name}.db"),
        lambda language, done, total: None,
    )
    assert result["model"] is None and "hybrid" not in result
    assert result["across"] == {} and result["by_pair"] == {}


def test_unanswerable_questions_are_not_asked(tmp_path: Path) -> None:
    file = squad(tmp_path / "two.en.json", EN)
    file.write_text(file.read_text().replace('"id": "q0"', '"is_impossible": true, "id": "q0"'))
    assert list(read_squad([file]).languages[0].questions) == ["q1"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not in the SQuAD format"),
        ("[]", "is not in the SQuAD format"),
        ('{"data": [{"paragraphs": [{"context": "x"}]}]}', "is not in the SQuAD format"),
        ('{"data": []}', "holds no questions"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "set.en.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        read_squad([file])


def test_two_files_of_one_language_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name them after their languages"):
        read_squad([squad(tmp_path / "a.en.json", EN), squad(tmp_path / "b.en.json", EN)])
