"""Write a LaTeX formula in plain signs, for platforms that show no LaTeX."""

from __future__ import annotations

import re

_GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
_FRACTION = re.compile(rf"\\[dt]?frac\s*{_GROUP}\s*{_GROUP}")
_ROOT = re.compile(rf"\\sqrt\s*{_GROUP}")
_CONTENT = re.compile(rf"\\(?:boxed|text|textbf|textit|textrm|mathrm|mathbf|operatorname)\s*{_GROUP}")
_POWER = re.compile(r"\^(?:\{(-?\d+)\}|(\d))")
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SIGNS = {
    **{
        "times": "×",
        "cdot": "·",
        "div": "÷",
        "approx": "≈",
        "simeq": "≃",
        "le": "≤",
        "leq": "≤",
        "ge": "≥",
        "geq": "≥",
    },
    **{"ne": "≠", "neq": "≠", "pm": "±", "to": "→", "rightarrow": "→", "Rightarrow": "⇒", "implies": "⇒", "infty": "∞"},
    **{"pi": "π", "theta": "θ", "alpha": "α", "beta": "β", "lambda": "λ", "mu": "μ", "sigma": "σ", "Delta": "Δ"},
    **{"ldots": "…", "dots": "…", "cdots": "…", "int": "∫", "sum": "∑", "lim": "lim", "sin": "sin", "cos": "cos"},
    **{"tan": "tan", "ln": "ln", "log": "log", "exp": "exp", "left": "", "right": "", "quad": " ", "qquad": " "},
    **{"displaystyle": "", "circ": "°", "in": "∈", "degree": "°"},
}
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_ESCAPED = re.compile(r"\\([%$#&_{}])")
_SPACE = re.compile(r"\\[,;:! ]")
_MAX_DEPTH = 4


def plain_formula(formula: str) -> str:
    """Return a formula in plain signs; one with commands that are not known stays as it is."""
    text = _SPACE.sub(" ", formula).replace("{,}", ",")
    for _ in range(_MAX_DEPTH):
        before = text
        text = _CONTENT.sub(r"\1", text)
        text = _FRACTION.sub(lambda found: f"{_operand(found[1])}/{_operand(found[2])}", text)
        text = _ROOT.sub(lambda found: f"√{_operand(found[1])}", text)
        if text == before:
            break
    text = _POWER.sub(lambda found: (found[1] or found[2]).translate(_RAISED), text)
    if any(name not in _SIGNS for name in _COMMAND.findall(text)):
        return " ".join(formula.split())
    text = _COMMAND.sub(lambda found: _SIGNS[found[1]], text)
    return " ".join(_ESCAPED.sub(r"\1", text).split())


def _operand(text: str) -> str:
    """Return a part of a fraction, in parentheses if it is a calculation."""
    text = text.strip()
    return text if re.fullmatch(r"[\w.,√]+", text) else f"({text})"
