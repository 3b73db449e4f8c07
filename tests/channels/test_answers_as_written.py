"""An answer arrives as the model wrote it: no word, address or number is lost, and none becomes markup by mistake."""

from __future__ import annotations

import html
import io
import re
from collections import Counter
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from qwendesk.channels.base import Channel, ChannelCapabilities, Markup
from qwendesk.channels.irc.channel import IrcChannel
from qwendesk.channels.mail.channel import MailChannel, compose
from qwendesk.channels.markup.render import render
from qwendesk.channels.markup.split import split_message
from qwendesk.channels.matrix.channel import MatrixChannel
from qwendesk.channels.slack.channel import SlackChannel
from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.channels.web.channel import WebChannel
from qwendesk.channels.xmpp.channel import XmppChannel
from qwendesk.cli.chat.view import markdown, split_settled
from qwendesk.messages import Outbound
from tests.examples import examples

CHANNELS: list[type[Channel]] = [
    TelegramChannel,
    SlackChannel,
    MatrixChannel,
    IrcChannel,
    XmppChannel,
    WebChannel,
    MailChannel,
]
MARKED: dict[Markup, dict[str, str]] = {
    "telegram": {"**": "<b>{}</b>", "*": "<i>{}</i>", "~~": "<s>{}</s>", "***": "<i><b>{}</b></i>"},
    "html": {"**": "<strong>{}</strong>", "*": "<em>{}</em>", "~~": "<s>{}</s>", "***": "<em><strong>{}</strong></em>"},
    "mrkdwn": {"**": "*{}*", "*": "_{}_", "~~": "~{}~", "***": "_*{}*_"},
    "plain": {"**": "{}", "*": "{}", "~~": "~{}~", "***": "{}"},
}


@pytest.mark.parametrize("mark", ["**", "*", "~~", "***"])
@pytest.mark.parametrize(
    ("before", "words", "after"),
    [
        ("请按", "「开始」", "键"),
        ("", "提示：", "先保存。"),
        ("共", "《三体》（2008年）", "一本"),
        ("これは", "『重要』", "です"),
        ("送料は", "¥500（税込）", "になります。"),
        ("가격은 ", "1,000원(부가세 포함)", "입니다"),
        ("정답은 ", "“서울”", "이에요"),
        ("ราคา", "“ลด 20%”", "วันนี้"),
        ("តម្លៃ", "(១០០៛)", "ក្នុងមួយ"),
        ("ລາຄາ", "20%", "ຕໍ່ຊິ້ນ"),
        ("ဈေး", "(၁၀၀)", "ကျပ်"),
        ("🎉", "Done!", "🎉"),
        ("", "Hinweis:", "bitte lesen"),
        ("ABC", "（全角）", "DEF"),
        ("结束", "好。", ""),
    ],
)
def test_emphasis_counts_beside_the_punctuation_of_any_script(mark: str, before: str, words: str, after: str) -> None:
    if mark == "~~" and words == "Hinweis:":
        mark = "**"
    for markup, styles in MARKED.items():
        text = html.unescape(render(f"{before}{mark}{words}{mark}{after}", markup))
        assert styles[mark].format(words) in text, markup
        assert mark not in text.replace(styles[mark].format(words), ""), markup
    assert mark not in _drawn(f"{before}{mark}{words}{mark}{after}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**甲**、**“乙”**和**丙。**完", "<b>甲</b>、<b>“乙”</b>和<b>丙。</b>完"),
        ("**外*内（注）*外**", "<b>外<i>内（注）</i>外</b>"),
        ("运行**`npm i`**即可", "运行<b><code>npm i</code></b>即可"),
        ("**见[手册](https://a.example/x)。**完", '<b>见<a href="https://a.example/x">手册</a>。</b>完'),
        ("**微信/支付宝**和**A**/**B**", "<b>微信/支付宝</b>和<b>A</b>/<b>B</b>"),
        ("**Pixel**9と**「Pro」**", "<b>Pixel</b>9と<b>「Pro」</b>"),
        ("**h = a**2 + b**2**", "<b>h = a**2 + b**2</b>"),
        ("文件_2024_终版.docx", "文件_2024_终版.docx"),
        ("a ** b ** c", "a ** b ** c"),
    ],
)
def test_several_marks_in_one_line_are_told_apart(text: str, expected: str) -> None:
    assert render(text, "telegram") == expected


def test_on_slack_a_mark_beside_a_letter_counts() -> None:
    """Slack reads a mark only where no letter stands beside it, so a blank of no width parts the two."""
    assert render("这是**重点**内容, **yes** and `a`b", "mrkdwn") == "这是\u200b*重点*\u200b内容, *yes* and `a`\u200bb"
    assert render("**one\ntwo**", "mrkdwn") == "*one*\n*two*"


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda one: one.manifest.name)
@pytest.mark.parametrize(
    "piece",
    [
        "https://docs.example/a__b__c/_d_/*e*",
        "https://x.example/?q=_a_&r=*b*~~c~~",
        "http://x.example/wiki/C_(_lang_)",
        "www.x.example/_y_/z",
        "ftp://x.example/_y_",
        "pkg/__main__.py",
        "__init__.py",
        "tests/__pycache__/*.pyc",
        "src/**/*.test.ts",
        "*.log, *.tmp",
        "/_next/static/_x_/a",
        "~/.config/_a_/b",
        "C:\\_work\\*.tmp",
        "C:\\Users\\_me_\\new folder",
        "\\\\server\\_share_\\file",
        "_first_._last_@x.example",
        "team_a_@my_host.example",
        "snake_case_name",
        "self.__class__.__name__",
        "'__main__'",
        "__init__(self, *args, **kwargs)",
        "#_private_tag",
        "#tag_one #tag_two",
        "@_user_name_",
        "138****1234, 139****5678",
        "COUNT(*), SUM(*)",
        "a.*, b.*",
        "*/5 * * * *",
        "[1]: https://x.example/a",
        "[12:30]: open\n[18:00]: closed",
        "[^1]: See the note.",
        "[ref]: <none> 'no title'",
        "arr[i](j)",
        "[guide](docs/guide_a_.md)",
        "<div>a</div>",
        "List<int> and Map<str, T>",
        "<your name>",
        "<!-- a comment -->",
        "x[0][1] and [a][b]",
    ],
)
def test_what_is_no_markup_stays_as_it_is(channel: type[Channel], piece: str) -> None:
    for text in (piece, f"See {piece}", f"**Note** ({piece}) and *more*."):
        for seen in (_seen(text, channel), _drawn(text)):
            assert "".join(piece.split()) in "".join(seen.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**https://a.example/_x_**です", "<b>https://a.example/_x_</b>です"),
        ("*see src/*.py*", "<i>see src/*.py</i>"),
        ("**__init__.py**", "<b>__init__.py</b>"),
        ("_me@x.example_", "<i>me@x.example</i>"),
        ("*either*/*or*", "<i>either</i>/<i>or</i>"),
        ("看https://a.example/x，**重要**", "看https://a.example/x，<b>重要</b>"),
        ("__really__ _so_", "<b>really</b> <i>so</i>"),
        (r"\*kept\* and a\_b", "*kept* and a_b"),
    ],
)
def test_emphasis_around_an_address_or_a_path_stays_emphasis(text: str, expected: str) -> None:
    assert render(text, "telegram") == expected


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda one: one.manifest.name)
@pytest.mark.parametrize(
    "text", ["[1]: handbook.pdf", "#", "**", "```\n```", "> ", "|a|", "[]()", "-", "***", "&#8203;"]
)
def test_an_answer_is_never_nothing(channel: type[Channel], text: str) -> None:
    assert _seen(text, channel).strip()
    assert _drawn(text).strip()


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u2060\n"])
def test_only_what_cannot_be_seen_is_not_sent(text: str) -> None:
    assert split_message(text, ChannelCapabilities()) == []


def test_marks_without_words_are_divided_too() -> None:
    assert all(len(piece.text) <= 50 for piece in split_message("# \n" * 100, ChannelCapabilities(max_length=50)))


@pytest.mark.parametrize("markup", ["plain", "telegram", "mrkdwn", "html"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 | extra |", ["extra"]),
        ("| op | means |\n|---|---|\n| `a || b` | either |", ["a || b", "either"]),
        ("```SELECT one FROM two\n```", ["SELECT one FROM two"]),
        ("```\n```\n\nafter", ["after"]),
        ("[label](https://x.example 'the title')", ["label", "the title"]),
        ("3. three\n5. five\n6. six", ["three", "five", "six"]),
        ("- [ ] open\n- [x] done", ["[ ] open", "[x] done"]),
        ("---\ntitle: Menu\n---\nSoup", ["title: Menu", "Soup"]),
        ("Menu\n====\nSoup", ["Menu", "Soup"]),
        ("a ![chart](chart_1.png) b", ["chart_1.png"]),
    ],
)
def test_no_construct_of_markdown_hides_words(markup: Markup, text: str, words: list[str]) -> None:
    written = html.unescape(re.sub(r"</?code>", "", render(text, markup)))
    assert all(word in written for word in words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7. seven\n8. eight", "7. seven\n8. eight"),
        ("1) one\n2) two", "1) one\n2) two"),
        ("1. a\n1. b\n1. c", "1. a\n2. b\n3. c"),
        ("3. c\n5. e\n6. f", "3. c\n5. e\n6. f"),
        ("0. zero\n1. one", "0. zero\n1. one"),
        ("1. a\n   1. x\n   4. y\n2. b", "1. a\n   1. x\n   4. y\n2. b"),
    ],
)
def test_a_list_has_the_numbers_that_were_written(text: str, expected: str) -> None:
    assert render(text, "plain") == expected
    drawn = re.findall(r"\d+", _drawn(text.replace(")", ".")))
    assert drawn == re.findall(r"\d+", expected)


def test_a_jump_in_numbers_is_seen_on_a_page() -> None:
    assert '<li value="5">' in render("3. c\n5. e\n6. f", "html") and "value" not in render("1. a\n1. b", "html")


def test_code_in_a_list_keeps_its_own_blanks() -> None:
    text = "1. Run:\n\n   ```python\n   if a:\n       b()\n   ```\n2. Done"
    assert '<pre><code class="language-python">if a:\n    b()</code></pre>\n2. Done' in render(text, "telegram")
    assert "```\nif a:\n    b()\n```\n2. Done" in render(text, "mrkdwn")
    assert render(text, "plain") == "1. Run:\n   if a:\n       b()\n2. Done"


LONG_CODE = "\n".join(f"x_{n} = '*{n}*'  # __step__" for n in range(300))


@pytest.mark.parametrize(
    ("before", "indent", "after"),
    [
        ("1. Run this:\n\n", "   ", "2. Then restart."),
        ("- Run this:\n", "  ", "- Then restart."),
        ("10. Run this:\n\n", "    ", "11. Then restart."),
        ("1. Outer\n   - Run this:\n\n", "     ", "2. Then restart."),
        ("> 1. Run this:\n>\n", ">    ", "> 2. Then restart."),
        ("> Run this:\n", "> ", "\nThen restart."),
    ],
)
@pytest.mark.parametrize("channel", [TelegramChannel, SlackChannel, MatrixChannel], ids=lambda one: one.manifest.name)
def test_long_code_within_a_list_or_a_quote_stays_code_in_every_part(
    before: str, indent: str, after: str, channel: type[Channel]
) -> None:
    code = "\n".join(indent + line for line in f"```python\n{LONG_CODE}\n```".split("\n"))
    parts = [piece.text for piece in split_message(f"{before}{code}\n{after}", channel.manifest.capabilities)]
    assert len(parts) > 1
    inside = re.compile(r"<pre>(.*?)</pre>|```\n(.*?)```", re.DOTALL)
    for part in parts:
        outside = inside.sub("", part)
        assert "x_" not in outside and "<b>" not in outside and "```" not in outside
        assert all("restart" not in "".join(found) for found in inside.findall(part))
    assert re.search(r"restart\.\W*(</\w+>\s*)*$", parts[-1])
    said = html.unescape("\n".join(found[0] or found[1] for part in parts for found in inside.findall(part)))
    assert re.findall(r"x_\d+ = '\*\d+\*'  # __step__", said) == LONG_CODE.split("\n")


def test_code_that_is_marked_by_its_blanks_stays_code() -> None:
    text = "Look:\n\n" + "\n".join(f"    value_{n} = *{n}*" for n in range(200))
    parts = [piece.text for piece in split_message(text, ChannelCapabilities(markup="telegram", max_length=900))]
    assert len(parts) > 2 and all("<pre>" in part and "<i>" not in part for part in parts)


def test_a_quote_is_a_quote_in_every_part() -> None:
    text = "\n".join(f"> Line {n} of what was said, and more of it.\n>" for n in range(60))
    for piece in split_message(text, ChannelCapabilities(markup="telegram", max_length=500)):
        assert piece.text.startswith("<blockquote>") and piece.text.endswith("</blockquote>")
    for piece in split_message(text, ChannelCapabilities(markup="mrkdwn", max_length=500)):
        assert all(line.startswith(">") for line in piece.text.split("\n"))


def test_a_list_of_long_items_keeps_its_numbers_in_all_parts() -> None:
    sentence = "This is a sentence of the item, and it is not short. "
    text = "\n".join(f"{n}. {sentence * 12}" for n in range(4, 12))
    written = "\n".join(
        piece.plain for piece in split_message(text, ChannelCapabilities(markup="markdown", max_length=500))
    )
    assert re.findall(r"^\d+(?=\.)", written, re.MULTILINE) == [str(n) for n in range(4, 12)]


def test_emphasis_longer_than_a_message_goes_on_in_the_next() -> None:
    text = f"Start **{'important words ' * 60}end** done."
    parts = [piece.text for piece in split_message(text, ChannelCapabilities(markup="telegram", max_length=300))]
    assert len(parts) > 3 and not any("*" in part for part in parts)
    assert all("<b>" in part and part.count("<b>") == part.count("</b>") for part in parts)


def test_a_link_is_not_torn() -> None:
    text = "See [the page about returns and refunds](https://x.example/returns) for it. " * 30
    for piece in split_message(text, ChannelCapabilities(markup="telegram", max_length=200)):
        assert "[" not in piece.text and "](" not in piece.text


def test_the_middle_of_a_paragraph_begins_no_heading_or_list() -> None:
    text = " ".join(f"# {n}" for n in range(200))
    pieces = split_message(f"Rooms {text}", ChannelCapabilities(markup="telegram", max_length=100))
    assert "".join(" ".join(piece.plain for piece in pieces).split()) == "".join(f"Rooms {text}".split())


def test_a_table_keeps_to_the_sides_that_it_names() -> None:
    table = "| item | price | 数量 |\n|:---|---:|:-:|\n| tea | 12 | 一 |\n| coffee | 7 | 十二 |"
    page = render(table, "html")
    assert "style" not in page and '<td class="align-right" align="right">12</td>' in page
    assert 'class="align-center"' in page and 'class="align-left"' in page
    assert render(table, "plain").split("\n")[2:] == ["tea        12   一", "coffee      7  十二"]


def test_an_answer_by_mail_has_words_and_page() -> None:
    (piece,) = split_message("**注意：**请看 __init__.py\n\n[1]: a.pdf", MailChannel.manifest.capabilities)
    mail = compose(Outbound("k", "ana@x.example", piece.text, plain=piece.plain), "desk@x.example", "Desk")
    plain, page = (part.get_content() for part in mail.iter_parts())
    assert "注意：请看 __init__.py" in plain and "[1]: a.pdf" in plain
    assert "<strong>注意：</strong>请看 __init__.py" in page and "[1]: a.pdf" in page


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("1. a\n\n   ```\n   x\n\n   y\n   ```\n", ""),
        ("10. a\n\n    more\n\nnext", "10. a\n\n    more\n\n"),
        ("````\n```\n\n````\n\nnext", "````\n```\n\n````\n\n"),
        ("> a\n>\n> b\n\nnext", "> a\n>\n> b\n\n"),
    ],
)
def test_in_a_terminal_a_list_is_not_parted_from_its_code(text: str, settled: str) -> None:
    assert split_settled(text)[0] == settled


def test_in_a_terminal_the_address_of_a_link_is_seen() -> None:
    assert "https://x.example/a" in _drawn("[label](https://x.example/a)")


FRAGMENTS = [
    "**bold** words", "*it*", "~~gone~~", "`co*de*`", "**「甲」**乙", "_a_b_", "__init__.py", "[l](https://x.example/a_b)",
    "[1]: x", "# Head", "- item\n  - sub\n\n    more", "1. one\n\n   ```py\n   x\n   ```\n2. two",
    "> quoted\n> > twice",
    "| a | b |\n|--:|---|\n| 1 | 2 | 3 |", "```\ncode\n\nmore\n```", "    indented", "Title\n===", "---", "<b>x</b>",
    "C:\\_x_\\y", "2*x*y", "x**2", r"\(a*b\)", "***", "\\*", "😀🇩🇪", "日本語。", "ราคา", "שלום", "- [ ] task", "1) x",
    "+ y",
    "![p](https://x.example/p.png 'tip')", "<https://x.example/_z_>", "a@b.example", "~~~\nt\n~~~", "a|b",
]  # fmt: skip
MARKDOWN = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(FRAGMENTS), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)),
        st.sampled_from(["\n\n", "\n", " ", "", "\n   ", "\n> "]),
    ),
    max_size=14,
).map(lambda parts: "".join(text + between for text, between in parts).replace("&", "+"))


@settings(max_examples=examples(250), deadline=None)
@given(
    MARKDOWN,
    st.integers(120, 500),
    st.sampled_from(["plain", "telegram", "mrkdwn", "html", "markdown"]),
    st.sampled_from(["characters", "utf16", "bytes"]),
)
def test_every_letter_arrives_on_every_markup_in_parts_that_fit(
    text: str, longest: int, markup: Markup, unit: str
) -> None:
    capabilities = ChannelCapabilities(markup=markup, max_length=longest, length_unit=unit)  # type: ignore[arg-type]
    seen = ""
    for piece in split_message(text, capabilities):
        counted = _Page(piece.text).text if markup == "telegram" else piece.text
        assert _length(counted, unit) <= longest
        seen += _Page(piece.text).all if markup in ("telegram", "html") else piece.text
    assert not _letters(text) - Counter(html.unescape(seen))


@settings(max_examples=examples(100), deadline=None)
@given(MARKDOWN)
def test_every_letter_is_drawn_in_a_terminal(text: str) -> None:
    assert not _letters(text) - Counter(_drawn(text))


def test_the_markups_here_are_all_that_there_are() -> None:
    assert set(get_args(Markup)) == {*MARKED, "markdown"}


def _seen(text: str, channel: type[Channel]) -> str:
    """Return what a person reads of an answer."""
    capabilities = channel.manifest.capabilities
    pieces = [piece.text for piece in split_message(text, capabilities)]
    if capabilities.markup in ("telegram", "html"):
        pieces = [_Page(piece.replace("<hr />", "---")).text for piece in pieces]
    return html.unescape("\n".join(pieces))


def _drawn(text: str) -> str:
    screen = Console(file=io.StringIO(), width=4000, color_system=None)
    screen.print(markdown(text))
    return screen.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def _letters(text: str) -> Counter[str]:
    """Count letters and digits, leaving out numbers of lists, which may be counted anew, and languages of code."""
    text = re.sub(r"^[\s>+*-]*(\d{1,9}[.)]|`{3,}.*|~{3,}.*)", "", text, flags=re.MULTILINE)
    return Counter(re.findall(r"[^\W_]", text))


def _length(text: str, unit: str) -> int:
    sizes = SimpleNamespace(utf16=len(text.encode("utf-16-le")) // 2, bytes=len(text.encode()), characters=len(text))
    return int(getattr(sizes, unit))


class _Page(HTMLParser):
    """Reads HTML whose tags are balanced."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.text = self.all = ""
        self._open: list[str] = []
        self.feed(written)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open += [] if tag in ("br", "hr") else [tag]
        self.all += "".join(value or "" for _, value in attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all += "".join(value or "" for _, value in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        self.all += data
