"""Find the examples of a function in a question: doctests, assertions, `f(2) == 4`, "Input: 2" with "Output: 4"."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qwendesk.agents.checks.question_words import allows_any_order, asks_for_code, has_contrast, reports_fault

MAX_EXAMPLES = 8
"""Maximum number of examples of a question that are compared."""
_MAX_CHARS = 300
"""Maximum length of a call and of an expected value."""
_MAX_CALLS = 64
"""Maximum number of calls in a question behind which a value is looked for."""
_MAX_QUESTION_CHARS = 20_000
_MAX_DEPTH = 30
"""Maximum depth of the tree of an expression; deeper ones can exhaust the stack of what reads them."""
_MAX_ENDS = 8
"""Maximum number of places behind a call at which its value may end."""
_PASSAGE_CHARS = 150
"""Length of the text behind an example that can set another value against it."""
_RETURNS = re.compile(
    r"`?\s*(?:==|=>|->|→|➞|⇒|=(?!=)|#\s*(?:=>|->|→|[Rr]eturns?:?|[Oo]utput:?)|"
    r"(?:should |must |will )?(?:return|give|yield|equal|output|evaluate to|be)s?(?: to)?\b|is\b|"
    r"(?:er)?gibt\b|liefert\b|devuelve\b|retorna\b|renvoie\b|retourne\b|donne\b|restituisce\b|возвращает\b|вернёт\b|"
    r"返回|应返回)[ \t]*:?[ \t]*`?"
)
"""What stands between a call and its value."""
_OBLIGED = re.compile(
    r"`?\s*(?:(?:should|must) (?:return|give|yield|equal|output|evaluate to|be)|"
    r":?[ \t]*expected(?: value| result| output)?|sollte|debería (?:devolver|dar|ser)|"
    r"deveria (?:retornar|devolver|dar|ser)|devrait (?:renvoyer|retourner|donner|être)|"
    r"dovrebbe (?:restituire|dare|essere)|должна? (?:возвращать|вернуть|быть)|应该?返回|应该是|应为)"
    r"(?=[ \t:`\d\[({'\"-])[ \t]*:?[ \t]*`?"
)
"""What stands between a call and the value that it has to have, which a report of a fault states too."""
_END = re.compile(
    r"`?[ \t]*(?:$|#|[.,;](?:[ \t]|$)|[。，；]|\(|(?:because|since|as|and|und|zurück|y|et|"
    r"but|not|instead|rather|aber|ergeben|sein|zurückgeben|liefern|pero|mas|mais|ma|но|а)\b)"
)
"""What may follow an expected value."""
_LITERAL_FOLLOWS = re.compile(r"`?[ \t]*[,，][ \t]*`?(?:[-\d'\"\[({]|True\b|False\b|None\b)")
"""Another literal behind a value and a comma."""
_DOCTEST = re.compile(
    r"^[ \t]*>>> ?(?P<source>[^\n]+)\n(?![ \t]*(?:>>>|\.\.\.))[ \t]*(?P<want>\S[^\n]*)"
    r"(?=\n[ \t]*(?:\n|>>>|\"\"\"|\'\'\'|```|\Z)|\Z)",
    re.MULTILINE,
)
_ASSERTION = re.compile(r"^[ \t]*assert[ \t(](?P<test>[^\n]+)$", re.MULTILINE)
_INPUT = re.compile(
    r"^[ \t>*-]{0,8}Input[:*]{0,4}[ \t]{0,4}`?(?P<input>[^\n`]{1,300})`?[ \t]{0,4}\n{1,3}"
    r"[ \t>*-]{0,8}Output[:*]{0,4}[ \t]{0,4}`?(?P<output>[^\n`]{1,300})`?[ \t]{0,4}$",
    re.MULTILINE,
)
_ASSIGNMENT = re.compile(r"(\w+)[ \t]*=(?!=)")
_EFFECTS = frozenset(("print", "input", "open", "exec", "eval", "exit", "quit"))
"""Functions whose value says nothing."""


@dataclass(frozen=True, slots=True)
class Example:
    """A call of a function and the value that the question states for it."""

    call: str
    """A Python expression."""
    expected: str
    """A Python literal."""
    digits: int | None = None
    """Decimal digits of an expected number; None for other values."""
    tells_tuples: bool = False
    """Whether a list differs from a tuple: in Python code it does, in prose they are written alike."""

    @property
    def stated(self) -> str:
        """The example in one line."""
        return f"{self.call} == {self.expected}"


def find_examples(question: str, functions: Mapping[str, tuple[str, ...]]) -> list[Example]:
    """Return the examples of a question for these functions, without those that have two readings.

    Of a question that may report a fault only the values that a call has to have are examples. Of one that leaves the
    order open no lists are.

    Args:
        question: the text of the message.
        functions: names of functions with those of their parameters.
    """
    text = question[:_MAX_QUESTION_CHARS]
    is_report = reports_fault(text) or not asks_for_code(text)
    found = list(_statements(text, functions, only_obliged=is_report))
    if not is_report:
        found = [*_doctests(text), *_assertions(text), *found, *_inputs(text, functions)]
    fitting = [example for example in found if _fits(example, functions)]
    if allows_any_order(text):
        fitting = [example for example in fitting if not _has_order(example)]
    stated: dict[str, set[str]] = {}
    for example in fitting:
        stated.setdefault(example.call, set()).add(example.expected)
    # one call with two values: one of them is not meant as its value
    unique = {example.call: example for example in fitting if len(stated[example.call]) == 1}
    return list(unique.values())[:MAX_EXAMPLES]


def _doctests(text: str) -> Iterator[Example]:
    for found in _DOCTEST.finditer(text):
        if not _is_contrasted(text, *found.span()) and (
            example := _example(found["source"], found["want"], tells_tuples=True)
        ):
            yield example


def _assertions(text: str) -> Iterator[Example]:
    """Yield the assertions that compare a call with a value."""
    for found in _ASSERTION.finditer(text):
        if _is_contrasted(text, *found.span()):
            continue
        match _parsed(found[0].strip()):
            case ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]) as test):
                if example := _example(ast.unparse(left), ast.unparse(right), tells_tuples=True):
                    yield example
                else:
                    yield Example(ast.unparse(test), "True")
            case ast.Assert(test=ast.UnaryOp(op=ast.Not(), operand=ast.Call() as operand)):
                yield Example(f"bool({ast.unparse(operand)})", "False")
            case ast.Assert(test=ast.Call() as call):
                yield Example(f"bool({ast.unparse(call)})", "True")
            case _:
                pass


def _statements(text: str, functions: Mapping[str, tuple[str, ...]], *, only_obliged: bool) -> Iterator[Example]:
    """Yield the calls that are followed by their value on the same line."""
    names = "|".join(re.escape(name) for name in functions)
    if not names:
        return
    defines_by_formula = re.search(rf"(?:{names})\([^()\n]{{0,80}}[a-z][^()\n'\"]{{0,80}}\)[ \t]{{0,4}}=(?!=)", text)
    calls, start = 0, 0
    for line in text.splitlines(keepends=True):
        line_start, start = start, start + len(line)
        if line.lstrip().startswith(("def ", "async def ", "assert", ">>>")):
            continue
        for found in re.finditer(rf"(?<![\w.])(?:{names})\(", line):
            if (calls := calls + 1) > _MAX_CALLS:
                return
            end = _closing(line, found.end())
            obliged = end and _OBLIGED.match(line, end)
            returns = obliged or (end and not only_obliged and _RETURNS.match(line, end))
            if not end or not returns:
                continue
            if defines_by_formula and returns[0].strip("` \t") == "=":
                continue  # "f(1) = 3, f(n) = f(n - 1) + 2" defines a sequence
            if not obliged and _is_contrasted(text, line_start, line_start + returns.end()):
                continue
            value = _value_at(line[returns.end() :].rstrip())
            if value and (example := _example(line[found.start() : end], value)):
                yield example


def _is_contrasted(text: str, start: int, end: int) -> bool:
    """Return whether an example, or the text behind it, has words that set another value against it."""
    return has_contrast(text[start : end + _PASSAGE_CHARS])


def _inputs(text: str, functions: Mapping[str, tuple[str, ...]]) -> Iterator[Example]:
    """Yield the inputs and outputs that name the parameters of the only function, or have its only one."""
    if len(functions) != 1:
        return
    ((name, parameters),) = functions.items()
    for found in _INPUT.finditer(text):
        given, value = found["input"].strip(), _value_at(found["output"].strip())
        named = _ASSIGNMENT.findall(given)
        is_clear = set(named) <= set(parameters) if named else len(parameters) == 1 and _value_at(given) == given
        if is_clear and value and (example := _example(f"{name}({given})", value)):
            yield example


def _example(call: str, value: str, *, tells_tuples: bool = False) -> Example | None:
    expression, literal = _parsed(call), _literal(value)
    if literal is None or not isinstance(expression, ast.Expr):
        return None
    number = re.match(r"-?\d+\.(\d+)\s*(?:#|$)", value.strip())
    # without the comments of both
    return Example(ast.unparse(expression), literal, len(number[1]) if number else None, tells_tuples)


def _fits(example: Example, functions: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether a call calls one of the functions and needs no other name."""
    expression = _parsed(example.call)
    if not isinstance(expression, ast.Expr) or not any(isinstance(node, ast.Call) for node in ast.walk(expression)):
        return False
    names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    known = all(name in functions or hasattr(builtins, name) for name in names)
    return bool(names & set(functions)) and known and not names & _EFFECTS


def _has_order(example: Example) -> bool:
    """Return whether an example compares a list or a tuple, or compares in itself."""
    call, expected = _parsed(example.call), _parsed(example.expected)
    if expected is None or (isinstance(call, ast.Expr) and isinstance(call.value, ast.Compare)):
        return True
    return any(isinstance(node, ast.List | ast.Tuple) for node in ast.walk(expected))


def _parsed(source: str) -> ast.stmt | None:
    """Return the only statement of a short source; None if it is none or too deep."""
    if len(source) > 2 * _MAX_CHARS:
        return None
    try:
        body = ast.parse(source.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return body[0] if len(body) == 1 and _is_shallow(body[0]) else None


def _is_shallow(tree: ast.AST) -> bool:
    """Return whether a tree has at most the greatest depth at which it is written as source."""
    level = [tree]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False


def _literal(text: str) -> str | None:
    """Return a literal without its comment; None for other text."""
    text = text.strip()
    statement = _parsed(text) if text and len(text) <= _MAX_CHARS else None
    if not isinstance(statement, ast.Expr):
        return None
    try:
        value = ast.literal_eval(statement.value)
    except (ValueError, TypeError):
        return None
    # "1,000" is a number to a person
    return ast.unparse(statement) if not isinstance(value, tuple) or text.startswith("(") else None


def _value_at(text: str) -> str | None:
    """Return the literal at the start of a text; None if none stands there or something continues it."""
    ends = 0
    for end, depth in _outside_quotes(text[:_MAX_CHARS]):
        if depth < 0 or ends >= _MAX_ENDS:
            break
        if depth or not end or text[:end].endswith((".", ";")) or not _END.match(text, end):
            continue
        ends += 1
        if _literal(text[:end]):
            # "1, 2" may be one value or two
            return None if _LITERAL_FOLLOWS.match(text, end) else text[:end].strip()
    return None


def _closing(line: str, start: int) -> int | None:
    """Return the index behind the bracket that closes one opened before ``start``."""
    for index, depth in _outside_quotes(line[start : start + _MAX_CHARS]):
        if depth < 0:
            return start + index
    return None


def _outside_quotes(text: str) -> Iterator[tuple[int, int]]:
    """Yield each index that is not within quotation marks, and the end, with the number of brackets open before it."""
    depth, quote = 0, ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote and text[index - 1] != "\\" else quote
            continue
        yield index, depth
        if char in "'\"":
            quote = char
        depth += (char in "([{") - (char in ")]}")
    if not quote:
        yield len(text), depth
