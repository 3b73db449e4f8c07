"""An answer in a platform's shape: nothing lost, nothing torn, nothing too long."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwendesk.channels.base import ChannelCapabilities, Markup
from qwendesk.channels.markup.render import render
from qwendesk.channels.markup.split import split_message
from tests.examples import examples

CODE = "\n".join(f"print({n})  # line {n}" for n in range(200))
TEXTS = st.lists(
    st.one_of(
        st.text(max_size=80),
        st.sampled_from(
            ["**bold words here**", "`code`", "- item\n- item two", "> quoted", "# Head", "日本語の文章。次の文。"]
        ),
        st.sampled_from(["```python\nprint(1)\n\nprint(2)\n```", "| a | b |\n|---|---|\n| 1 | 2 |", "1. one\n2. two"]),
    ),
    max_size=12,
).map("\n\n".join)


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("plain", "A bold and italic move: a<b, see docs (https://a.b/?x=1&y=2)"),
        (
            "telegram",
            'A <b>bold</b> and <i>italic</i> move: <code>a&lt;b</code>, see <a href="https://a.b/?x=1&amp;y=2">docs</a>',
        ),
        ("mrkdwn", "A *bold* and _italic_ move: `a&lt;b`, see <https://a.b/?x=1&amp;y=2|docs>"),
        ("markdown", "A **bold** and *italic* move: `a<b`, see [docs](https://a.b/?x=1&y=2)"),
    ],
)
def test_each_markup_writes_the_same_line_in_its_own_way(markup: Markup, expected: str) -> None:
    assert render("A **bold** and *italic* move: `a<b`, see [docs](https://a.b/?x=1&y=2)", markup) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Simplified: 24*x*y*z", "Simplified: 24*x*y*z"),
        ("Calculated: **3*x^2 + 4*x - 5**", "Calculated: <b>3*x^2 + 4*x - 5</b>"),
        ("(a*b)*(c+d) and x**2 + y**2", "(a*b)*(c+d) and x**2 + y**2"),
        (
            "a *slanted* and **bold** word, 这是**重点**内容",
            "a <i>slanted</i> and <b>bold</b> word, 这是<b>重点</b>内容",
        ),
        (r"so \( f(x) = a*b \) is", "so <code>f(x) = a*b</code> is"),
        ("\\[\n\\boxed{2 \\times 3}\n\\]", r"<code>\boxed{2 \times 3}</code>"),
        (r"it costs \(about\] 5", "it costs (about] 5"),
        (r"so \boxed{84} grains", "so <code>84</code> grains"),
        (r"so $\boxed{\frac{1}{2}}$", "so <code>1/2</code>"),
        (r"$\frac{x+1}{2} \approx 4^{2}$", "<code>(x+1)/2 ≈ 4²</code>"),
        (r"from $5 to $6", "from $5 to $6"),
        (r"$\unknown{1}$", r"<code>\unknown{1}</code>"),
    ],
)
def test_formulas_keep_their_signs(text: str, expected: str) -> None:
    assert render(text, "telegram") == expected


@pytest.mark.parametrize("markup", ["telegram", "html", "mrkdwn"])
def test_what_a_model_writes_cannot_become_markup(markup: Markup) -> None:
    text = render('<script>alert(1)</script> [x](javascript:alert(1)) <b onclick="x">', markup)
    assert "<script" not in text and "<b " not in text and "href" not in text


def test_a_picture_is_a_link_so_that_nothing_loads_by_itself() -> None:
    page = render("![pixel](https://stranger.example/?secret)", "html")
    assert "<img" not in page and 'href="https://stranger.example/?secret"' in page


def test_a_table_stays_a_table_where_there_are_none() -> None:
    text = render("| town | people |\n|---|---|\n| Oslo | 700000 |", "plain")
    assert text.split("\n") == ["town  people", "----  ------", "Oslo  700000"]


def test_code_is_cut_at_lines_and_each_part_is_fenced_again() -> None:
    pieces = split_message(
        f"Look:\n\n```python\n{CODE}\n```\n\nDone.", ChannelCapabilities(markup="markdown", max_length=1000)
    )
    assert len(pieces) > 3
    for piece in pieces:
        assert piece.text.count("```") % 2 == 0 and len(piece.text) <= 1000
    lines = [line for piece in pieces for line in piece.text.split("\n") if line.startswith("print")]
    assert lines == CODE.split("\n")
    assert pieces[1].text.startswith("```python")


def test_a_text_is_cut_between_sentences_and_bold_stays_whole() -> None:
    text = "This is a **rather important. Really.** sentence. " * 40
    pieces = split_message(text, ChannelCapabilities(markup="telegram", max_length=300))
    for piece in pieces:
        assert piece.text.count("<b>") == piece.text.count("</b>") and "**" not in piece.text
        assert piece.plain.endswith("sentence.")


def test_a_head_of_a_table_is_repeated() -> None:
    rows = "\n".join(f"| {n} | {n * n} |" for n in range(100))
    pieces = split_message(f"| n | square |\n|---|---|\n{rows}", ChannelCapabilities(markup="plain", max_length=200))
    assert len(pieces) > 3 and all(piece.text.startswith("n") for piece in pieces)


def test_a_list_goes_on_counting_in_the_next_part() -> None:
    items = "\n".join(f"1. item of the list, number {n}" for n in range(1, 31))
    text = "\n".join(piece.text for piece in split_message(items, ChannelCapabilities(max_length=200)))
    assert text.split("\n") == [f"{n}. item of the list, number {n}" for n in range(1, 31)]


@pytest.mark.parametrize(("unit", "size"), [("utf16", 2), ("bytes", 4)])
def test_lengths_are_counted_in_the_platform_s_own_unit(unit: str, size: int) -> None:
    pieces = split_message("😀" * 500, ChannelCapabilities(max_length=100, length_unit=unit))  # type: ignore[arg-type]
    assert max(len(piece.text) for piece in pieces) == 100 // size
    assert "".join(piece.text for piece in pieces) == "😀" * 500


def test_a_family_of_joined_signs_is_not_torn() -> None:
    family = "👨\u200d👩\u200d👧"
    pieces = split_message(family * 30, ChannelCapabilities(max_length=17))
    assert all(len(piece.text) % len(family) == 0 for piece in pieces)


def test_telegram_counts_what_is_left_after_its_tags() -> None:
    assert (
        len(
            split_message(
                "**x**" + "y" * 4095, ChannelCapabilities(markup="telegram", max_length=4096, length_unit="utf16")
            )
        )
        == 1
    )


@settings(max_examples=examples(150), deadline=None)
@given(TEXTS, st.integers(12, 90), st.sampled_from(["plain", "telegram", "mrkdwn", "markdown"]))
def test_whatever_is_written_all_of_it_arrives_in_parts_that_fit(text: str, longest: int, markup: Markup) -> None:
    pieces = split_message(text, ChannelCapabilities(markup=markup, max_length=longest * 4))
    for piece in pieces:
        length = len(piece.plain if markup == "telegram" else piece.text)
        assert length <= longest * 4
        if markup == "telegram":
            _Balanced().check(piece.text)
    assert _letters("".join(piece.plain for piece in pieces)) == _letters(render(text.strip(), "plain"))


@settings(max_examples=examples(50), deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_be_written_in_any_markup(text: str) -> None:
    written = {markup: render(text, markup) for markup in ("plain", "telegram", "mrkdwn", "html")}  # type: ignore[arg-type]
    _Balanced().check(written["telegram"])
    assert _letters(written["plain"]) in (_letters(written["mrkdwn"]), _letters(html.unescape(written["mrkdwn"])))


def test_a_very_long_text_is_divided_in_reasonable_time() -> None:
    text = "\n\n".join(["A sentence of some length, with **bold** in it. " * 20] * 100)
    assert len(split_message(text, ChannelCapabilities(markup="telegram", max_length=4096))) > 20


def _letters(text: str) -> str:
    """Leave out what a cut may change: white space, marks of lists and quotes, a repeated head of a table."""
    return "".join(re.findall(r"[^\W_]", text))


class _Balanced(HTMLParser):
    def check(self, text: str) -> None:
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
