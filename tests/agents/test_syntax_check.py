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
        ("json", '{"a": 1}}', "failed", "json: Extra data"),
        ("json", "{'a': 1}", "failed", "json: Expecting property name"),
        ("json", '{"a": "http://a.b" "c": 1}', "failed", "json: Expecting ',' delimiter"),
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
        ("toml", "[a]\nb = ..."),
        ("js", "const total = ...;\nconst b = (;"),
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
    for language, code in (("json", "[" * 60_000), ("toml", f"a = {'[' * 5_000}")):
        (check,) = await check_syntax(block(language, code), sandbox)
        assert check == Check(SYNTAX, "skipped", f"{language}: not parsed: it is nested too deeply")


@pytest.mark.parametrize(
    ("language", "code", "reason"),
    [
        ("json", '{"a": 1}\n{"a": 2}', "it has more than one document"),
        ("json", '{"a": 1},\n{"a": 2}', "it has more than one document"),
        ("json", "[1]\n---\n[2]", "it has more than one document"),
        ("json", f"[{'1' * 5_000}]", "it has a number of too many digits"),
        ("toml", f"a = {'1' * 5_000}", "it has a number of too many digits"),
        ("toml", "[a]\nb = 1\n\n[a]\nb = 2", "it has a table or a key twice"),
        ("toml", "# first.toml\na = 1\n# second.toml\na = 2", "it has a table or a key twice"),
        ("toml", "a = { b = 1 }\n[a.c]\nd = 1", "it has a table or a key twice"),
        ("json", '{\n  // the key\n  "a": 1\n}', "the parser does not know all that it uses"),
        ("json", '{"a": 1, /* the key */ "b": 2}', "the parser does not know all that it uses"),
        ("json", '{\n  "a": 1 # the key\n}', "the parser does not know all that it uses"),
        ("json", '{"a": <your key>}', "the parser does not know all that it uses"),
        ("json", '{"a": <user-id>}', "the parser does not know all that it uses"),
        ("json", '{"a": <你的密钥>}', "the parser does not know all that it uses"),
        ("json", '{"a": {{ key }}}', "the parser does not know all that it uses"),
        ("json", '{"a": ${KEY}}', "the parser does not know all that it uses"),
        ("json", '{"a": YOUR_KEY}', "the parser does not know all that it uses"),
        ("json", '{"a": <...>}', "the parser does not know all that it uses"),
        ("toml", "key = <your key>", "the parser does not know all that it uses"),
        ("toml", "key = <dein Schlüssel>", "the parser does not know all that it uses"),
    ],
)
async def test_what_may_be_meant_otherwise_is_not_parsed(
    sandbox: PythonSandbox, language: str, code: str, reason: str
) -> None:
    (check,) = await check_syntax(block(language, code), sandbox)
    assert check == Check(SYNTAX, "skipped", f"{language}: not parsed: {reason}")


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("js", "const key = <your key>;"),
        ("go", "func key() string {\n\treturn <your-key>\n}"),
        ("java", "class A {\n    String key() { return ...; }\n}"),
        ("rust", "fn main() {\n    show(...);\n}"),
        ("sh", "#!/bin/sh\nssh <user>@<host>"),
    ],
)
async def test_a_value_that_the_reader_fills_in_is_no_error(sandbox: PythonSandbox, language: str, code: str) -> None:
    pytest.importorskip("tree_sitter")
    (check,) = await check_syntax(block(language, code), sandbox)
    assert check.outcome == "skipped" and "the parser does not know" in check.detail
