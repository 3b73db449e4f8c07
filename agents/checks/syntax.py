"""Parse the code of an answer in languages that are not run here."""

from __future__ import annotations

import re

from qwendesk.agents.checks.code_blocks import CodeBlock, code_blocks
from qwendesk.messages import Check, Inbound
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.syntax import LANGUAGES

SYNTAX = "syntax"
"""The check that code of another language can be parsed."""
_MAX_BLOCKS = 6
_JAVASCRIPT = r"^(?:export +|default +|async +)*(?:function\b|class\b|const\b|let\b|var\b|import\b|export\b)"
_WHOLE = {
    "bash": r"\A#!|^(?:function +\w+|\w+ ?\(\)|if|for|while|case)\b[^\n]*$",
    "c": r"^#include\b|^\w[\w *]*\([^;\n]*\)\s*\{",
    "cpp": r"^#include\b|^(?:template|class|struct|namespace)\b|^[\w:][\w:<>,*& ]*\([^;\n]*\)[\w ]*\{",
    "go": r"^(?:package|func|type)\b",
    "java": r"^(?:(?:public|final|abstract|sealed) +)*(?:class|interface|enum|record)\b",
    "javascript": _JAVASCRIPT,
    "json": r"\A\s*[{\[]",
    "rust": r"^(?:pub(?:\([^)]*\))? +)?(?:async +|unsafe +|const +)*(?:fn|struct|enum|impl|trait|mod|use)\b",
    "toml": r"^\[|^[\w.-]+ *=",
    "tsx": _JAVASCRIPT + r"|^(?:export +)?(?:interface|type|enum)\b",
    "typescript": _JAVASCRIPT + r"|^(?:export +)?(?:interface|type|enum|abstract|declare)\b",
}
"""By language: what a whole program or function has; other code may be a part of one."""
_PART = re.compile(
    r"^[ \t]*(?:\.\.\.|…)[ \t,;]*$|…|[:,\[{][ \t]*\.\.\.[ \t]*[,\]}\n]|=[ \t]*\.\.\.|<[A-Z][A-Z_ ]{3,}>", re.MULTILINE
)
"""What stands for left out code."""
_STANDARD = (
    r"(?:std\w+|math|string|strings|ctype|assert|errno|limits|float|time|signal|pthread|unistd|sys/\w+)\.h|[a-z_]+"
)
_MACROS = rf"^[ \t]*#\s*(?:define|if\w*|include(?!\s*<(?:{_STANDARD})>))"
_LEFT_OUT = (
    r"<(?:your|my|the|insert|enter|put|path|name)[ _-][^<>\n]{1,60}>|<[^\x00-\x7f][^<>\n]{0,60}>|<\.\.\.>|"
    r"\([ \t]*\.\.\.[ \t]*\)|\breturn[ \t]+\.\.\."
)
"""What stands for a value that the reader fills in."""
_NAMED = rf"{_LEFT_OUT}|<[A-Za-z][^<>\n]{{0,60}}>"
_FILLED_IN = rf"{_NAMED}|\$\{{\w+\}}|\{{\{{[^{{}}\n]{{1,60}}\}}\}}|\bYOUR_\w+"
_UNSURE = {
    "bash": rf"<<|{_NAMED}",
    "c": rf"{_MACROS}|{_LEFT_OUT}",
    "cpp": rf"{_MACROS}|{_LEFT_OUT}",
    "json": rf"(?:^|[\s,{{}}\[\]])(?://|/\*|#)|{_FILLED_IN}",
    "toml": _FILLED_IN,
}
"""By language: code in which an error of the parser may be none, such as macros of headers that are not there.

Other languages have ``_LEFT_OUT`` alone.
"""
_DIFFERENCE = re.compile(r"^(?:@@ |--- |\+\+\+ |[+-](?![+-]))", re.MULTILINE)
_MIN_DIFFERENCE_LINES = 2
_UNSURE_REASON = "the parser does not know all that it uses"


async def check_syntax(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Parse the whole programs and functions of an answer; one check for each language.

    Args:
        text: the answer.
        sandbox: has the parser.
        inbound: the message; after a run that ended the desk's process nothing is parsed.
    """
    if inbound and inbound.has_ended_a_run:
        return []
    blocks = [block for block in code_blocks(text) if _is_judged(block)][:_MAX_BLOCKS]
    checks: dict[str, Check] = {}
    for block in blocks:
        language = LANGUAGES[block.language]
        result = await sandbox.syntax.parse(language, block.code)
        if result.error and result.parsed and _is_unsure(language, block.code):
            checks.setdefault(language, Check(SYNTAX, "skipped", f"{language}: not parsed: {_UNSURE_REASON}"))
        elif result.parsed and result.error:
            checks[language] = Check(SYNTAX, "failed", f"{language}: {result.error}")
        elif result.parsed:
            checks.setdefault(language, Check(SYNTAX, "skipped", f"{language}: parsed, not run"))
        else:
            checks.setdefault(language, Check(SYNTAX, "skipped", f"{language}: not parsed: {result.error}"))
    return list(checks.values())


def _is_judged(block: CodeBlock) -> bool:
    """Return whether a block names a language and is neither a difference nor a part of a program."""
    language = LANGUAGES.get(block.language)
    if language is None or _PART.search(block.code) or len(_DIFFERENCE.findall(block.code)) >= _MIN_DIFFERENCE_LINES:
        return False
    return bool(re.search(_WHOLE[language], block.code, re.MULTILINE))


def _is_unsure(language: str, code: str) -> bool:
    """Return whether an error of the parser may be no error of the code."""
    return bool(re.search(_UNSURE.get(language, _LEFT_OUT), code, re.MULTILINE))
