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


def test_passages_are_numbered_through_all_searches() -> None:
    searches = [search(RETURNS, PRICES), search(Source("Opening hours"))]
    assert cited_sources("See [1] and [3].", searches) == ["[1] Shop", "[3] Opening hours"]


@pytest.mark.parametrize("answer", ["`a[1]` and x[2]", "```\nprint(rows[1], [2])\n```", "See [1](https://x.example)."])
def test_code_and_links_cite_nothing(answer: str) -> None:
    assert cited_sources(answer, [search(RETURNS, PRICES)]) == []


def test_who_does_not_know_has_no_source() -> None:
    answer = "I do not know whether goods may be sent back."
    assert cited_sources(answer, [search(RETURNS, outcome="unknown")]) == []


def test_a_link_and_a_title_stay_what_they_are() -> None:
    assert source_link(Source("T", "https://x/a_(b)?q=1 2\n3")) == "[T](https://x/a_%28b%29?q=1%202%0A3)"
    assert source_link(Source("a | https://evil.example")) == r"a \| https:\//evil.example"


def test_without_a_search_there_is_no_source() -> None:
    answer = "You have 30 days to send goods back [1]."
    assert cited_sources(answer, []) == cited_sources(answer, [search(outcome="unrelated")]) == []


def test_a_title_is_text() -> None:
    assert source_link(Source("a [b](c) *d*\ne", "https://x.example/")) == r"[a \[b\](c) \*d\* e](https://x.example/)"
