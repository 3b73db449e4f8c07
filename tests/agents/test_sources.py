"""An answer from documents names their titles and links them, and never shows the place."""

import pytest

from qwendesk.agents.nodes.reply import cited_sources
from qwendesk.agents.nodes.retrieve import source_link
from qwendesk.messages import DocumentSearch, SearchOutcome, Source

RETURNS = Source("Shop", place="Returns, line 3", text="Goods may be sent back within 30 days.")
PRICES = Source("Price list", "https://shop.example/prices", "page 2", "The kettle costs 49 euros.")


def search(*sources: Source, outcome: SearchOutcome = "found") -> DocumentSearch:
    return DocumentSearch("kettle", outcome, "", sources)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("It costs 49 euros [2].", ["[2] [Price list](https://shop.example/prices)"]),
        ("See [2] and [1], not [7].", ["[2] [Price list](https://shop.example/prices)", "[1] Shop"]),
        ("You have 30 days to send goods back.", ["[1] Shop"]),
        ("Hello!", []),
    ],
)
def test_what_is_cited_or_plainly_taken(answer: str, expected: list[str]) -> None:
    assert cited_sources(answer, [search(RETURNS, PRICES)]) == expected


def test_a_document_is_named_once() -> None:
    answer = "30 days [1], and 49 euros [2]."
    assert cited_sources(answer, [search(RETURNS, Source("Shop", place="line 9"))]) == ["[1] [2] Shop"]


def test_the_last_search_that_has_the_number_counts() -> None:
    searches = [search(RETURNS, PRICES), search(Source("Opening hours"))]
    assert cited_sources("See [1] and [2].", searches) == [
        "[1] Opening hours",
        "[2] [Price list](https://shop.example/prices)",
    ]


def test_without_a_search_there_is_no_source() -> None:
    answer = "You have 30 days to send goods back [1]."
    assert cited_sources(answer, []) == cited_sources(answer, [search(RETURNS, outcome="unrelated")]) == []


def test_a_title_is_text() -> None:
    assert source_link(Source("a [b](c) *d*\ne", "https://x.example/")) == r"[a \[b\](c) \*d\* e](https://x.example/)"
