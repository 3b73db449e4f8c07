"""Worker process for SymPy: one JSON request per input line, one JSON answer per output line.

Run as ``python -m qwendesk.tools.algebra_worker``. Text is never evaluated as Python: it is parsed to a syntax tree,
and only numbers, names, known functions and arithmetic in that tree are converted to SymPy objects.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import sympy as sp

from qwendesk.subprocess_worker import limit_resources, limited_time, yield_processor
from qwendesk.tools.notation import FUNCTIONS, UNDEFINED, NotationError, to_python
from qwendesk.tools.value_text import cut

_MAX_MEMORY_BYTES = 1024 * 1024 * 1024
_GRACE_SECONDS = 5.0
"""Seconds beyond the time limit of a request after which the process ends itself; by then the caller has timed out."""
_MAX_ERROR_CHARS = 3000
_MAX_POWER_BITS = 200_000
_MAX_FACTORIAL = 5_000
_MAX_POINTS = 12
_OF_VARIABLE = ("derivative", "integral", "critical points")
"""Operations that need a variable even without a point."""
_CONSTANTS = {"pi": sp.pi, "oo": sp.oo, "e": sp.E, "E": sp.E, "i": sp.I, "I": sp.I}
_CALLS: dict[str, Callable[..., Any]] = {
    **{name: getattr(sp, {"abs": "Abs"}.get(name, name)) for name in FUNCTIONS},
    "log10": lambda value: sp.log(value, 10),
    "log": lambda value, base=sp.E: sp.log(value, base),
}
_SEPARATOR = re.compile(r"[;\n]|,(?![^(]*\))")
_DEFINITION = re.compile(r"^\s*(?:[A-Za-z]\w*\s*\([^()=]*\)|y)\s*=(?!=)")
_POINT = re.compile(r"^\s*([^\W\d]\w*)\s*(?:->|→|=|from)\s*(.+)$")


class Reader:
    """Converts text to SymPy objects."""

    def __init__(self, variables: list[str]) -> None:
        self._own = frozenset(variables)

    def read(self, text: str) -> Any:
        """Return the expression for a text."""
        source = to_python(text, self._own)
        try:
            return self._build(ast.parse(source, mode="eval").body)
        except SyntaxError:
            raise NotationError(f"{text!r} is not a complete expression.") from None

    def _build(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() as value):
                return sp.Integer(value)
            case ast.Constant(value=float()):
                return sp.Rational(ast.unparse(node))
            case ast.Name(id=name):
                return self._name(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._build(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._build(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _combine(op, self._build(left), self._build(right))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _CALLS and name not in self._own:
                return _apply(name, [self._build(arg) for arg in args])
        raise NotationError(f"{ast.unparse(node)!r} cannot be read; write plain mathematics.")

    def _name(self, name: str) -> Any:
        known = name not in self._own and name in _CONSTANTS
        return _CONSTANTS[name] if known else sp.Symbol(name)


def _combine(op: ast.operator, left: Any, right: Any) -> Any:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.Mod():
            return sp.Mod(left, right)
        case ast.Pow():
            return _power(left, right)
    raise NotationError("Only + - * / mod and powers can be read.")


def _power(base: Any, exponent: Any) -> Any:
    if base.is_Rational and exponent.is_Rational:
        bits = max(abs(base.p), base.q).bit_length()
        if abs(exponent) * bits > _MAX_POWER_BITS:
            raise NotationError(f"{base}^{exponent} is too big to be worked out.")
    return base**exponent


def _apply(name: str, args: list[Any]) -> Any:
    if name in ("factorial", "gamma", "binomial") and any(arg.is_number and abs(arg) > _MAX_FACTORIAL for arg in args):
        raise NotationError(f"{name} is too big to be worked out here; at most {_MAX_FACTORIAL} can be its argument.")
    try:
        return _CALLS[name](*args)
    except TypeError:
        raise NotationError(f"{name}() does not take {len(args)} arguments.") from None


def work(operation: str, expression: str, variable: str) -> str:
    """Perform an operation and return the result as text."""
    point = _POINT.match(variable)
    names = [point[1]] if point else [name for name in re.split(r"[,\s]+", variable) if name] or ["x"]
    reader = Reader(names)
    symbols = [sp.Symbol(name) for name in names]
    if operation == "solve":
        return _solve(reader, expression, symbols)
    value = reader.read(_right_side(expression))
    where = reader_points(reader, point[2]) if point else []
    if point and len(where) != (2 if operation == "integral" else 1):
        raise NotationError(
            f"{variable!r} is not {'a range, as x=0..1' if operation == 'integral' else 'one point, as x=3'}."
        )
    symbol = _variable(value, symbols[0], fixed=bool(point)) if point or operation in _OF_VARIABLE else symbols[0]
    return _OPERATIONS[operation](value, symbol, where)


def _variable(value: Any, symbol: Any, *, fixed: bool) -> Any:
    """Return the requested variable; if the expression lacks it, the expression's only variable.

    Args:
        value: the expression.
        symbol: the requested variable.
        fixed: whether the request has a point or a range, which rules out another variable.
    """
    free = sorted(value.free_symbols, key=str)
    if not free or symbol in free:
        return symbol
    if len(free) > 1 or fixed:
        raise NotationError(f"The expression has no {symbol}: name one of its variables, {', '.join(map(str, free))}.")
    return free[0]


def reader_points(reader: Reader, text: str) -> list[Any]:
    """Parse the point of a limit, or both bounds of an integral."""
    return [reader.read(part) for part in re.split(r"\.\.+|,|\bto\b", text)]


def _right_side(expression: str) -> str:
    """Return the expression without a leading ``f(x) =``."""
    expression = _DEFINITION.sub("", expression)
    if "=" in expression:
        raise NotationError("Only the operation 'solve' takes an equation; give the expression alone.")
    return expression


def _solve(reader: Reader, text: str, symbols: list[Any]) -> str:
    equations = [_equation(reader, part) for part in _SEPARATOR.split(text) if part.strip()]
    free = sorted(set().union(*(equation.free_symbols for equation in equations)), key=str)
    if len(symbols) == 1 and (len(equations) > 1 or symbols[0] not in free):
        symbols = free
    if not symbols:
        return "always true" if all(equation == 0 for equation in equations) else "no solution"
    if any(equation.has(sp.Abs, sp.sign, sp.Min, sp.Max) for equation in equations):
        real = {name: sp.Symbol(name.name, real=True) for name in {*free, *symbols}}
        equations, symbols = [equation.subs(real) for equation in equations], [real[name] for name in symbols]
    try:
        # pass a single equation directly: for a list, SymPy omits roots without a closed form
        found = sp.solve(equations[0] if len(equations) == 1 else equations, symbols, dict=True)
    except NotImplementedError:
        found = [_numerically(equations, symbols)]
    if not found:
        return "always true" if all(equation == 0 for equation in equations) else "no solution"
    return "; or ".join(", ".join(f"{name} = {show(value)}" for name, value in one.items()) for one in found)


def _equation(reader: Reader, text: str) -> Any:
    sides = re.split(r"==?", text)
    if len(sides) > 2:
        raise NotationError(f"{text!r} has more than one '='; write one equation after another, with commas.")
    left, right = reader.read(sides[0]), reader.read(sides[1]) if len(sides) == 2 else sp.Integer(0)
    return sp.together(left - right) if len(sides) == 2 else left


def _numerically(equations: list[Any], symbols: list[Any]) -> dict[Any, Any]:
    try:
        root = sp.nsolve(equations, symbols, [1] * len(symbols))
    except (ValueError, TypeError, ZeroDivisionError):
        raise NotationError("No way to solve this is known, and no root was found near 1.") from None
    return dict(zip(symbols, root, strict=True))


def _integral(value: Any, name: Any, where: list[Any]) -> str:
    if len(where) == 2:
        return show(sp.integrate(value, (name, *where)))
    found = sp.integrate(value, name)
    if found.has(sp.Integral):
        raise NotationError("No closed form of this integral was found.")
    return f"{show(found)} + C"


def _limit(value: Any, name: Any, where: list[Any]) -> str:
    if len(where) != 1:
        raise NotationError("Say where the limit is: variable 'x->0' or 'x->oo'.")
    if not where[0].is_finite:
        return show(sp.limit(value, name, where[0]))
    sides = [sp.limit(value, name, where[0], side) for side in "-+"]
    if sides[0] == sides[1]:
        return show(sides[0])
    return f"the limit does not exist: {show(sides[0])} from the left, {show(sides[1])} from the right"


def _critical_points(value: Any, name: Any, where: list[Any]) -> str:
    """Return the real points where the derivative is zero, each with its value and its kind."""
    real = sp.Symbol(name.name, real=True)
    value = value.subs(name, real)
    derivative = sp.diff(value, real)
    if derivative == 0:
        raise NotationError("The function is constant: every point is critical.")
    points = sp.solveset(derivative, real, sp.S.Reals)
    if points is sp.S.EmptySet:
        return "no critical points"
    if not isinstance(points, sp.FiniteSet) or len(points) > _MAX_POINTS:
        raise NotationError("The derivative has no list of zeros that can be given here.")
    told = []
    for point in sorted(points, key=lambda one: float(sp.N(one))):
        height = sp.simplify(value.subs(real, point))
        told.append(f"{name} = {show(point)}, value {show(height)}, {_kind(derivative, real, point, points)}")
    return "; or ".join(told)


def _kind(derivative: Any, name: Any, point: Any, points: Any) -> str:
    """Return whether a critical point is a minimum, a maximum or neither, by the derivative's signs around it."""
    at = float(sp.N(point))
    gaps = [abs(at - float(sp.N(other))) for other in points if other != point]
    step = min([*gaps, 1.0]) / 1000
    before, after = (float(sp.N(derivative.subs(name, at + side * step))) for side in (-1, 1))
    if before < 0 < after:
        return "minimum"
    return "maximum" if after < 0 < before else "neither minimum nor maximum"


def _factor(value: Any, name: Any, where: list[Any]) -> str:
    if not value.is_Integer:
        return show(sp.factor(value))
    powers = sp.factorint(value).items()
    return "*".join(f"{base}^{power}" if power > 1 else str(base) for base, power in powers) or str(value)


def _evaluate(value: Any, name: Any, where: list[Any]) -> str:
    return show(sp.simplify(value.subs(name, where[0]) if where else value))


_OPERATIONS: dict[str, Callable[[Any, Any, list[Any]], str]] = {
    "simplify": lambda value, name, where: show(sp.simplify(value)),
    "derivative": lambda value, name, where: show(_at(sp.expand(sp.diff(value, name)), name, where)),
    "critical points": _critical_points,
    "integral": _integral,
    "factor": _factor,
    "expand": lambda value, name, where: show(sp.expand(value)),
    "limit": _limit,
    "evaluate": _evaluate,
}


def _at(value: Any, name: Any, where: list[Any]) -> Any:
    return value.subs(name, where[0]) if where else value


def show(value: Any) -> str:
    """Return a result as text with ``^`` for powers; an exact number other than an integer also gets decimals."""
    if value.has(sp.zoo, sp.nan):
        raise NotationError(UNDEFINED)
    if value.has(sp.CRootOf):
        value = sp.N(value, 10)
    text = str(sp.sstr(value)).replace("**", "^")
    if value.is_number and value.is_real and value.is_finite and not (value.is_Integer or value.is_Float):
        return f"{text} ≈ {sp.sstr(sp.N(value, 10))}"
    return text


def answer(line: str) -> dict[str, str]:
    """Answer one request."""
    try:
        request = json.loads(line)
        with limited_time(request.pop("seconds") + _GRACE_SECONDS):
            return {"result": cut(work(**request))}
    except NotationError as error:
        return {"error": str(error)[:_MAX_ERROR_CHARS]}
    except (MemoryError, RecursionError):
        return {"error": "This needs too much memory; use a smaller expression."}
    except Exception as error:  # SymPy raises many types of errors, and the process must continue
        return {"error": f"SymPy could not do this: {type(error).__name__}: {str(error)[:200]}"}


def main() -> None:
    """Answer requests until the input ends."""
    limit_resources(_MAX_MEMORY_BYTES)
    yield_processor()
    print(json.dumps({"ready": True}), flush=True)  # noqa: T201  # the answers are this program's output
    for line in sys.stdin:
        print(json.dumps(answer(line)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
