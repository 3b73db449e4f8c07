"""An answer from documents names document and place."""

import pytest

from qwendesk.agents.nodes.reply import cited_sources
from qwendesk.messages import ToolUse

RESULT = """[1] Shop, Returns, line 3
Goods may be sent back
within 30 days.

[2] a.pdf, page 2
[see note]
The kettle costs 49 euros."""


def use(result: str = RESULT, name: str = "search_knowledge", ok: bool = True) -> ToolUse:
    return ToolUse(name, {}, ok, result, 1.0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("It costs 49 euros [2].", ["[2] a.pdf, page 2"]),
        ("See [2] and [1], not [7].", ["[2] a.pdf, page 2", "[1] Shop, Returns, line 3"]),
        ("You have 30 days to send goods back.", ["[1] Shop, Returns, line 3"]),
        ("Hello!", []),
    ],
)
def test_what_is_cited_or_plainly_taken(answer: str, expected: list[str]) -> None:
    assert cited_sources(answer, [use()]) == expected


def test_other_tools_are_no_sources() -> None:
    answer = "You have 30 days to send goods back [1]."
    assert (
        cited_sources(answer, [])
        == cited_sources(answer, [use(ok=False)])
        == cited_sources(answer, [use(name="python")])
        == []
    )
