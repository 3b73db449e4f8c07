"""Code of an answer in languages that are parsed and not run."""

import sys
from collections.abc import AsyncIterator

import pytest

from qwendesk.agents.checks.syntax import SYNTAX, check_syntax
from qwendesk.messages import Check, Inbound
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.syntax_worker import parse

WHOLE = {
    "js": "export async function total(items) {\n  return items.reduce((sum, each) => sum + each, 0);\n}",
    "ts": "interface Item { price: number }\n\nexport const total = (items: Item[]): number => items.length;",
    "tsx": "export const Hello = ({ name }: { name: string }) => <p>Hello {name}</p>;",
    "java": "public class Main {\n    public static void main(String[] args) {\n        show(1);\n    }\n}",
    "c": '#include <stdio.h>\n\nint main(void) {\n    printf("%d\\n", 1);\n    return 0;\n}',
    "c++": "#include <vector>\n\ntemplate <typename T>\nT first(const std::vector<T>& all) {\n    return all[0];\n}",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("a")\n}',
    "rust": "pub fn first<'a>(all: &'a [String]) -> Option<&'a String> {\n    all.first()\n}",
    "sh": '#!/bin/sh\nfor each in "$@"; do\n    echo "$each"\ndone',
}
WITH_GRAMMAR = sorted(WHOLE)


@pytest.fixture
async def sandbox() -> AsyncIterator[PythonSandbox]:
    sandbox = PythonSandbox()
    yield sandbox
    await sandbox.aclose()


def block(language: str, code: str) -> str:
    return f"Like this:\n\n```{language}\n{code}\n```\n"


@pytest.mark.parametrize("language", WITH_GRAMMAR)
async def test_good_code_is_parsed_and_not_passed(sandbox: PythonSandbox, language: str) -> None:
    pytest.importorskip("tree_sitter")
    (check,) = await check_syntax(block(language, WHOLE[language]), sandbox)
    assert (check.name, check.outcome) == (SYNTAX, "skipped")
    assert check.detail.endswith(": parsed, not run")


@pytest.mark.parametrize("language", WITH_GRAMMAR)
async def test_a_syntax_error_fails_with_its_line(sandbox: PythonSandbox, language: str) -> None:
    pytest.importorskip("tree_sitter")
    code = WHOLE[language].removesuffix("done").removesuffix("}") if language != "tsx" else WHOLE["tsx"][:-5]
    broken = code.replace("items.length;", "items.length +;").rstrip()
    (check,) = await check_syntax(block(language, broken), sandbox)
    assert check.outcome == "failed"
    assert ": line " in check.detail


@pytest.mark.parametrize(
    ("language", "code", "outcome", "detail"),
    [
        ("json", '{"a": [1, 2]}', "skipped", "json: parsed, not run"),
        ("json", '{"a": [1, 2}', "failed", "json: Expecting ',' delimiter"),
        ("toml", "[a]\nb = 1", "skipped", "toml: parsed, not run"),
        ("toml", "[a]\nb = = 1", "failed", "toml: Invalid value"),
    ],
)
async def test_json_and_toml_need_no_grammar(
    sandbox: PythonSandbox, language: str, code: str, outcome: str, detail: str
) -> None:
    (check,) = await check_syntax(block(language, code), sandbox)
    assert check.outcome == outcome
    assert check.detail.startswith(detail)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("", WHOLE["c"][:-1]),
        ("text", "{"),
        ("diff", "- let a = ;\n+ let b = ;"),
        ("js", "const a = 1;\n-let b = (;\n+let b = 2;\nconst c = 3;"),
        ("js", "if (a) {"),
        ("java", "private int count(;"),
        ("js", "function total(items) {\n  ...\n}"),
        ("json", '{"a": 1, ...}'),
        ("json", '{"token": <TOKEN>}'),
        ("c", "x = (1;"),
        ("sh", "cd <folder>; make ("),
    ],
)
async def test_a_part_or_a_difference_is_not_judged(sandbox: PythonSandbox, language: str, code: str) -> None:
    assert await check_syntax(block(language, code), sandbox) == []


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("c", '#include <stdio.h>\n#define local static\n\nlocal void f(a) int a; { puts("a"); }'),
        ("c", '#include "own.h"\n\nint main(int argc UNUSED, char **argv UNUSED) {\n    return 0;\n}'),
        ("sh", "#!/bin/sh\ncat >a <<\\END ||\n{ a: (\nEND\nexit 1"),
    ],
)
async def test_what_only_the_parser_does_not_know_is_no_error(sandbox: PythonSandbox, language: str, code: str) -> None:
    pytest.importorskip("tree_sitter")
    (check,) = await check_syntax(block(language, code), sandbox)
    assert check.outcome == "skipped" and "the parser does not know" in check.detail


async def test_one_check_for_each_language_and_the_error_wins(sandbox: PythonSandbox) -> None:
    text = block("json", "{}") + block("json", "{") + block("json", "[]") + block("toml", "a = 1")
    checks = await check_syntax(text, sandbox)
    assert [(check.detail.partition(":")[0], check.outcome) for check in checks] == [
        ("json", "failed"),
        ("toml", "skipped"),
    ]


def test_without_the_extra_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter", None)
    assert parse("go", "package main") == {"missing": "tree_sitter"}


async def test_after_a_run_that_ended_the_process_nothing_is_parsed(sandbox: PythonSandbox) -> None:
    inbound = Inbound("Write it.", "c", has_ended_a_run=True)
    assert await check_syntax(block("json", "{"), sandbox, inbound) == []


async def test_code_that_is_nested_too_deeply_is_told(sandbox: PythonSandbox) -> None:
    (check,) = await check_syntax(block("json", "[" * 60_000), sandbox)
    assert check == Check(SYNTAX, "failed", check.detail) and "recursion" in check.detail
