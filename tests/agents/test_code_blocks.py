"""The fenced blocks of a Markdown text."""

import pytest

from qwendesk.agents.checks.code_blocks import CodeBlock, code_blocks, functions


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("```python\na\n```", [("python", "a\n")]),
        ("```\na\n```\n\n~~~ JS title\nb\n~~~\n", [("", "a\n"), ("js", "b\n")]),
        ("  ```c++\n  a\n    b\n  ```", [("c++", "a\n  b\n")]),
        ("```sh\n\ta\n```", [("sh", "a\n")]),
        ("````md\n```c\na\n```\n````", [("md", "```c\na\n```\n")]),
        ("```c\na\n~~~\nb\n```", [("c", "a\n~~~\nb\n")]),
        ("```c\r\na\r\n```\r\n", [("c", "a\r\n")]),
        ("```c\n```", [("c", "")]),
        ("```c\na\n````", [("c", "a\n")]),
        ("```c\na", []),
        ("```a``` b\n```c\nd\n```", [("c", "d\n")]),
        ("````c\na\n```", []),
        ("```c\na\n``` b", []),
    ],
)
def test_closed_blocks_are_found(text: str, blocks: list[tuple[str, str]]) -> None:
    assert code_blocks(text) == [CodeBlock(*block) for block in blocks]


@pytest.mark.parametrize(
    "text",
    [
        "```a\n" * 40_000,
        "```" + "a" * 199_000 + "`",
        "```" + "`" * 199_000 + "a`",
        "```" + " " * 199_000 + "`",
        "```c\n" + "a\n" * 200_000 + "```",
    ],
    ids=["fences", "language", "backticks", "spaces", "too long"],
)
def test_long_texts_without_a_closed_block_have_none(text: str) -> None:
    assert code_blocks(text) == []


def test_the_parameters_of_functions_are_named() -> None:
    code = "def f(a, b: dict[str, int] = {}, *rest):\n    pass\n\ndef g():\n    pass\n"
    assert functions(code) == {"f": ("a", "b"), "g": ()}


def test_many_functions_are_named() -> None:
    code = "def f():\n    pass\n" * 10_000
    assert functions(code) == {"f": ()}
