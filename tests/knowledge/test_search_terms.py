"""Search terms: invisible characters, vowel signs, width, case and one-letter endings."""

from __future__ import annotations

import pytest

from qwendesk.knowledge import document_repository, fulltext
from qwendesk.knowledge.knowledge_base import KnowledgeBase, open_knowledge
from qwendesk.search_terms import index_terms, query_terms


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("券", "入場券は当日限り"),
        ("水", "生活用水价格"),
        ("값", "값은 오만원"),
        ("Haftpflicht", "Haft\u00adpflicht"),
        ("cooperation", "co\u200doperation\ufeff"),
        ("مدرسة", "مَدْرَسَةٌ"),
        ("احمد", "أَحْمَد"),
        ("شلوم", "شـــلوم"),
        ("کتاب", "كتاب"),
        ("میروم", "می\u200cروم"),
        ("שלום", "שָׁלוֹם"),
        ("straße", "STRASSE"),
        ("Strasse", "Straße"),
        ("ISPARTA", "ısparta"),
        ("İstanbul", "istanbul"),
        ("diyarbakir", "DİYARBAKIR"),
        ("サーバ", "サーバー"),
        ("コンピューター", "コンピュータ"),
        ("ガイド", "ｶﾞｲﾄﾞ"),
        ("ABC123", "ＡＢＣ１２３"),
        ("Lodz", "Łódź"),
        ("smorrebrod", "Smørrebrød"),
        ("2026", "٢٠٢٦"),
        ("2026", "२०२६"),
        ("H2O", "H₂O"),
        ("cafe", "cafe\u0301"),
        ("елка", "ёлка"),
    ],
)
def test_a_word_is_found_as_it_may_be_written(asked: str, written: str) -> None:
    assert set(index_terms(asked)) & set(index_terms(written)) >= set(query_terms(asked))
    assert query_terms(asked)


@pytest.mark.parametrize(("one", "other"), [("ビル", "ビール"), ("10³", "103"), ("हिन्दी", "हनद"), ("の", "物")])
def test_other_words_stay_apart(one: str, other: str) -> None:
    assert not set(query_terms(one)) <= set(index_terms(other))


async def test_a_word_of_one_sign_finds_its_document(base: KnowledgeBase) -> None:
    await base.add_bytes("tax.txt", "消費税は10%です。".encode())
    await base.add_bytes("other.txt", "送料は無料です。".encode())
    found = await base.search("税", mode="words")
    assert [passage.title for passage in found] == ["tax.txt"]


async def test_terms_of_an_older_version_are_asked_about_and_made_anew(
    kb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_repository, "TERMS_VERSION", 1)
    monkeypatch.setattr(fulltext, "index_terms", lambda _: ["old"])
    async with open_knowledge(kb_url) as base:
        await base.add_bytes("a.txt", "Rück\u00adgabe in 30 Tagen".encode())
        assert await base.search("Rückgabe") == []
    monkeypatch.undo()
    async with open_knowledge(kb_url) as base:
        assert (await base.state()).old_terms == 1
        assert (
            "1 of the documents indexed by an older version: run 'qwendesk kb reindex'"
            in await base.explain_no_results()
        )
        await base.reindex()
        assert (await base.state()).old_terms == 0
        assert [passage.title for passage in await base.search("Rückgabe")] == ["a.txt"]
        assert await base.search("old") == [], "nothing of the old terms is left in the index"
        assert await base.remove([document.id for document in await base.documents()]) == 1
        assert await base.search("Rückgabe") == []
