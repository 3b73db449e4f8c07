"""What operators write in rooms comes to customers as Markdown, with names."""

from __future__ import annotations

from typing import Any

import pytest

from qwendesk.channels.matrix.parse import MatrixIdentity, parse_room
from qwendesk.channels.slack.parse import SlackIdentity, mentioned_people, to_markdown, with_names
from qwendesk.channels.telegram.entities import TelegramIdentity, markdown_text

SLACK, TELEGRAM = SlackIdentity("T1", "UBOT"), TelegramIdentity(7, "desk_bot")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("It is *very* _late_, ~sorry~ &amp; more", "It is **very** _late_, ~~sorry~~ & more"),
        ("2*3*4 and a * b * c", "2*3*4 and a * b * c"),
        (
            "see <https://a.example/x|our page> or <https://a.example>",
            "see [our page](https://a.example/x) or https://a.example",
        ),
        ("*see <https://a.example/x|it>*", "**see [it](https://a.example/x)**"),
        ("`*code*` and ```*more*```", "`*code*` and ```*more*```"),
        ("• one\n    ◦ two", "- one\n    - two"),
        ("<@UBOT> in <#C1|sales> ask <@U777|bo>", "in #sales ask @bo"),
    ],
)
def test_mrkdwn_becomes_markdown(written: str, read: str) -> None:
    assert to_markdown(written, SLACK) == read


def test_a_mention_in_slack_has_the_name() -> None:
    text = to_markdown("Ask <@U777> or <@U888>, *please*", SLACK)
    assert mentioned_people(text) == ["U777", "U888"]
    assert with_names(text, {"U777": "Bo"}) == "Ask @Bo or, **please**"


def test_entities_of_telegram_become_markdown() -> None:
    def part(kind: str, words: str, **more: Any) -> dict[str, Any]:
        begin = len(text[: text.index(words)].encode("utf-16-le")) // 2
        return {"type": kind, "offset": begin, "length": len(words.encode("utf-16-le")) // 2, **more}

    text = "😀 very late , see our page or code"
    entities = [
        part("bold", "very late "),
        part("italic", "late"),
        part("text_link", "our page", url="https://a.example/x"),
        part("code", "code"),
    ]
    assert (
        markdown_text(text, entities, TELEGRAM) == "😀 **very _late_** , see [our page](https://a.example/x) or `code`"
    )


def test_a_bold_and_italic_word_of_telegram_is_closed_in_order() -> None:
    entities = [{"type": kind, "offset": 0, "length": 4} for kind in ("bold", "italic")]
    assert markdown_text("late", entities, TELEGRAM) == "**_late_**"


@pytest.mark.parametrize(
    ("body", "label", "read"),
    [
        ("Ask @bo:here.example please", "@bo:here.example", "Ask @bo please"),
        ("Ask [Bo](https://matrix.to/#/@bo:here.example) please", "Bo", "Ask Bo please"),
        ("Ask Bo please", "Bo", "Ask Bo please"),
    ],
)
def test_a_pill_of_matrix_has_the_name(body: str, label: str, read: str) -> None:
    html = f'Ask <a href="https://matrix.to/#/@bo:here.example">{label}</a> please'
    content = {"msgtype": "m.text", "body": body, "format": "org.matrix.custom.html", "formatted_body": html}
    event = {"type": "m.room.message", "sender": "@ann:here.example", "event_id": "$1", "content": content}
    parsed = parse_room(event, "!room", MatrixIdentity("@desk:here.example", "desk"))
    assert parsed and parsed.inbound.text == read
