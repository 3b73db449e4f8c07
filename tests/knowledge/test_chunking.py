"""Splitting documents into passages with citations."""

from qwendesk.knowledge.base import Document, Section
from qwendesk.knowledge.chunking import MAX_PASSAGE_LENGTH, split_document, text_length
from qwendesk.search_terms import index_terms, query_terms


def test_long_text_is_cut_at_sentences_and_nothing_is_lost() -> None:
    text = " ".join(f"Sentence number {n} stands here." for n in range(300))
    chunks = split_document(Document("t", (Section(text, ("A", "B"), "page 2"),)))
    assert len(chunks) > 5
    assert all(text_length(chunk.text) <= MAX_PASSAGE_LENGTH and chunk.text.endswith(".") for chunk in chunks)
    assert " ".join(chunk.text for chunk in chunks) == text
    assert {(chunk.headings, chunk.place) for chunk in chunks} == {("A › B", "page 2")}


def test_chinese_is_cut_shorter_and_at_its_own_full_stop() -> None:
    chunks = split_document(Document("t", (Section("电热水壶的保修期为两年。" * 100),)))
    assert all(text_length(chunk.text) <= MAX_PASSAGE_LENGTH and chunk.text.endswith("。") for chunk in chunks)


def test_lines_are_counted() -> None:
    text = "\n".join(f"row {n} " + "x" * 200 for n in range(1, 41))
    chunks = split_document(Document("t", (Section(text, place="sheet A", unit="row"),)))
    for chunk in chunks:
        assert chunk.place == f"sheet A, row {chunk.text.split()[1]}"


def test_a_word_without_end_is_cut_too() -> None:
    assert all(
        text_length(chunk.text) <= MAX_PASSAGE_LENGTH
        for chunk in split_document(Document("t", (Section("x" * 10_000),)))
    )


def test_terms_fold_case_width_and_accents() -> None:
    assert index_terms("ÉCOLE Ｆｕｌｌ Straße naïve") == ["ecole", "full", "strasse", "naive"]
    assert index_terms("हिन्दी ñandú") == ["हिन्दी", "nandu"], "signs that change a letter stay, accents go"
    assert query_terms("返品3日") == ["返品", "3", "日"]
    assert index_terms("返品3日") == ["返品", "返", "品", "3", "日"], "a word of one sign is found too"
    assert all(term.isalnum() or term for term in index_terms("a'b\"c*d (e) 'f'"))
