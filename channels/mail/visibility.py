"""Compute whether text of an HTML mail is visible from the styles of its ancestors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tinycss2
from tinycss2.color4 import parse_color

from qwendesk.channels.mail.css import Declarations
from qwendesk.channels.mail.selectors import Element

RGB = tuple[float, float, float]
_SMALLEST_PX = 2.0
_NEAR = 0.06
"""Difference of each of red, green and blue, from 0 to 1, below which two colours count as equal."""
_FAR_PX = 300.0
"""Offset that moves text off the page, in pixels."""
_BEYOND_PX = 3000.0
_PX = {
    "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "q": 0.945, "rem": 16.0, "vw": 10.0,
    "vh": 8.0, "vmin": 8.0, "vmax": 10.0,
}  # fmt: skip
_RELATIVE = {"em": 1.0, "ex": 0.5, "ch": 0.5, "lh": 1.2}
_SIDES = (
    "left", "right", "top", "bottom", "margin", "margin-left", "margin-top", "margin-right", "text-indent", "inset",
    "translate", "padding-left",
)  # fmt: skip
_PLACES = {"left", "right", "top", "bottom", "text-indent", "margin-left", "padding-left", "inset", "translate"}
_TABLE = {"table", "tbody", "thead", "tfoot", "tr", "td", "th", "col", "colgroup"}
"""Elements sized by their content, regardless of their declared size."""
_OWN_LOOK = {"pre", "textarea", "listing", "xmp", "font", "body", "basefont", "hidden", "bgcolor", "background"}
"""Elements and attributes that change the look of text without a style."""
_NUMBER = re.compile(r"-?\d*\.?\d+(?:e[+-]?\d+)?", re.IGNORECASE)
_FLAT = re.compile(r"scale(?:3d|x|y)?\(\s*0*\.?0*\s*[,)]|rotate[xy]\(\s*-?90deg|matrix\(\s*0\s*,\s*0", re.IGNORECASE)
_CLIPPED = re.compile(r"(?:inset\(\s*(?:[5-9]\d|1\d\d)(?:\.\d+)?%|(?:circle|ellipse)\(\s*0)", re.IGNORECASE)
_NOTHING = re.compile(r"(?:opacity\(\s*0*\.?0*%?\s*\)|opacity\s*=\s*0*\s*\))", re.IGNORECASE)
_NAMED_SIZES = {"xx-small", "x-small", "small", "medium", "large", "x-large", "xx-large", "xxx-large", "initial"}
_SYSTEM_COLORS = {"canvas": "white", "canvastext": "black", "window": "white", "windowtext": "black", "field": "white"}
_BY_LIGHTNESS = {"lab": 100.0, "lch": 100.0, "oklab": 1.0, "oklch": 1.0}
"""Colour spaces that are reduced to their lightness, with its maximum."""


@dataclass(frozen=True, slots=True)
class ComputedStyle:
    """Computed style of an element's text."""

    is_gone: bool = False
    """Whether neither the element nor any descendant is displayed."""
    is_invisible: bool = False
    font_px: float = 16.0
    color: RGB | None = (0.0, 0.0, 0.0)
    """None if unknown."""
    alpha: float = 1.0
    background: RGB | None = (1.0, 1.0, 1.0)
    """None if it is an image."""
    opacity: float = 1.0
    """Product of the opacities of the element and its ancestors."""
    keeps_lines: bool = False
    """Whether spaces and line breaks are preserved."""

    @property
    def is_seen(self) -> bool:
        """Whether the text is readable in the opened mail."""
        if self.is_gone or self.is_invisible or self.font_px < _SMALLEST_PX or self.alpha * self.opacity < 0.1:
            return False
        if self.color is None or self.background is None:
            return True
        shown = _blended(self.color, self.alpha, self.background)
        return any(abs(one - other) > _NEAR for one, other in zip(shown, self.background, strict=True))


def compute_style(parent: ComputedStyle, element: Element, declared: Declarations) -> ComputedStyle:
    """Return the computed style of an element within its parent."""
    if not declared and element.tag not in _OWN_LOOK and not _OWN_LOOK & element.attributes.keys():
        return parent
    values = {name: _text(value) for name, value in declared.items()}
    font_px = _font_px(parent.font_px, declared)
    space = values.get("white-space", "")
    look = replace(
        parent,
        font_px=font_px,
        opacity=parent.opacity * _share(values.get("opacity", "1")),
        is_gone=parent.is_gone or _is_hidden(element, values) or _is_moved_away(element, declared, values, font_px),
        is_invisible=_is_invisible(values.get("visibility", ""), parent.is_invisible),
        keeps_lines=(element.tag in ("pre", "textarea", "listing", "xmp") or parent.keeps_lines)
        if not space
        else space.startswith("pre") or space == "break-spaces",
    )
    return _coloured(look, element, declared)


def _text(value: Sequence[Any]) -> str:
    try:
        return str(tinycss2.serialize(value)).strip().lower()
    except RecursionError:
        return "var("


def _is_hidden(element: Element, values: dict[str, str]) -> bool:
    return (
        "hidden" in element.attributes
        or values.get("display", "").startswith(("none", "var("))
        or values.get("content-visibility", "") == "hidden"
        or values.get("mso-hide", "").startswith("all")
        or _is_zero(values.get("opacity", ""))
        or bool(_NOTHING.search(values.get("filter", "")))
        or _is_zero(values.get("zoom", ""))
        or _is_zero(values.get("scale", ""))
        or bool(_FLAT.search(values.get("transform", "")))
    )


def _share(value: str) -> float:
    """Return a value as a fraction from 0 to 1; 1 if it is not a number."""
    found = _NUMBER.match(value)
    return min(1.0, max(0.0, float(found[0]) / (100 if "%" in value else 1))) if found else 1.0


def _is_zero(value: str) -> bool:
    """Return whether a value is nearly zero."""
    found = _NUMBER.match(value)
    return value.startswith("var(") or (found is not None and abs(float(found[0])) <= (5 if "%" in value else 0.05))


def _is_invisible(value: str, inherited: bool) -> bool:
    if value in ("hidden", "collapse") or value.startswith("var("):
        return True
    return inherited and value not in ("visible", "initial")


def _is_moved_away(element: Element, declared: Declarations, values: dict[str, str], font_px: float) -> bool:
    if any(_is_far(name, px) for name in _SIDES for px in _lengths(declared.get(name, ()), font_px)):
        return True
    if any(px <= -_FAR_PX for px in _lengths_within(declared.get("transform", ()), font_px)):
        return True
    if any(px <= -font_px / 2 for px in _lengths(declared.get("letter-spacing", ()), font_px)):
        return True
    clip = values.get("clip", "")
    if clip.startswith("rect") and all(float(number) <= 1 for number in _NUMBER.findall(clip)):
        return True
    return bool(_CLIPPED.search(values.get("clip-path", ""))) or _is_flat(element, declared, values, font_px)


def _is_far(name: str, px: float) -> bool:
    return px <= -_FAR_PX or (name in _PLACES and px > _BEYOND_PX)


def _is_flat(element: Element, declared: Declarations, values: dict[str, str], font_px: float) -> bool:
    """Return whether an element is collapsed to almost no size."""
    if element.tag in _TABLE:
        return False
    is_cut = any(
        values.get(name, "").startswith(("hidden", "clip")) for name in ("overflow", "overflow-x", "overflow-y")
    )
    heights = [px for name in ("height", "max-height") for px in _lengths(declared.get(name, ()), font_px)]
    widths = [px for name in ("width", "max-width") for px in _lengths(declared.get(name, ()), font_px)]
    if any(px <= 0 for px in heights) and values.get("overflow", "") != "visible":
        return True
    if is_cut and _is_zero(values.get("line-height", "1")):
        return True
    return is_cut and any(px <= 1 for px in (*heights, *widths))


def _lengths(value: Sequence[Any], font_px: float) -> Iterator[float]:
    """Yield the lengths of a value in pixels; percentages refer to a page of 800 pixels."""
    for token in value:
        if token.type == "dimension":
            unit = token.lower_unit
            yield token.value * (_RELATIVE[unit] * font_px if unit in _RELATIVE else _PX.get(unit, 1.0))
        elif token.type == "percentage":
            yield token.value * 8
        elif token.type == "number":
            yield token.value


def _lengths_within(value: Sequence[Any], font_px: float) -> Iterator[float]:
    """Yield the lengths in a value's functions, such as ``translate``; percentages refer to the element's own size."""
    for token in value:
        if token.type == "function" and token.lower_name.startswith("translate"):
            yield from _lengths([one for one in token.arguments if one.type != "percentage"], font_px)
            yield from (one.value * 2 for one in token.arguments if one.type == "percentage" and one.value <= -150)


def _font_px(inherited: float, declared: Declarations) -> float:
    size = inherited
    for name in ("font", "font-size"):  # the later declaration is unknown: the smaller size applies
        if name in declared:
            found = _size(declared[name], inherited)
            size = found if found is not None else size
    return size


def _size(value: Sequence[Any], inherited: float) -> float | None:
    for token in value:
        if token.type == "percentage":
            return float(token.value * inherited / 100)
        if token.type == "dimension":
            return next(_lengths([token], inherited))
        if token.type == "number" and token.value == 0:
            return 0.0
        if token.type == "function":
            numbers = [float(one.value) for one in token.arguments if one.type in ("dimension", "number", "percentage")]
            return 0.0 if token.lower_name == "var" or (numbers and not any(numbers)) else None
    words = {token.lower_value for token in value if token.type == "ident"}
    return 16.0 if words & _NAMED_SIZES else None


def _coloured(look: ComputedStyle, element: Element, declared: Declarations) -> ComputedStyle:
    background = _background(look.background, element, declared)
    color, alpha = look.color, look.alpha
    if element.tag in ("font", "body", "basefont"):
        named = element.attributes.get("text" if element.tag == "body" else "color")
        color, alpha = _named_color(named) or (color, alpha)
    for name in ("color", "-webkit-text-fill-color"):
        if name in declared:
            color, alpha = _color(declared[name]) or (color, alpha)
    if any("currentcolor" in _text(declared.get(name, ())) for name in ("background", "background-color")):
        background = color
    return replace(look, color=color, alpha=alpha, background=background)


def _named_color(value: str | None) -> tuple[RGB | None, float] | None:
    """Return the colour of an attribute, with or without ``#``."""
    if not value:
        return None
    return _parsed(value.strip()) or _parsed(f"#{value.strip()}")


def _color(value: Sequence[Any]) -> tuple[RGB | None, float] | None:
    text = _text(value)
    return (None, 1.0) if "var(" in text else _parsed(text)


def _parsed(value: str) -> tuple[RGB, float] | None:
    try:
        found = parse_color(_SYSTEM_COLORS.get(value.lower(), value))
        if found is None or isinstance(found, str):
            return None
        if found.space in _BY_LIGHTNESS:
            light = float(found.coordinates[0] or 0) / _BY_LIGHTNESS[found.space]
            return (light, light, light), float(found.alpha)
        red, green, blue = (float(part or 0) for part in found.to("srgb").coordinates[:3])
    except (ValueError, NotImplementedError, TypeError, RecursionError):
        return None
    return (red, green, blue), float(found.alpha)


def _background(under: RGB | None, element: Element, declared: Declarations) -> RGB | None:
    found = _named_color(element.attributes.get("bgcolor"))
    is_picture = bool(element.attributes.get("background"))
    for name in ("background", "background-color", "background-image"):
        for token in declared.get(name, ()):
            if token.type == "url" or (token.type == "function" and token.lower_name in ("url", "image-set", "var")):
                is_picture = True
            elif token.type == "function" and "gradient" in token.lower_name:
                colors = {said for one in token.arguments if (said := _color([one]))}
                found, is_picture = (colors.pop(), is_picture) if len(colors) == 1 else (found, True)
            else:
                found = _color([token]) or found
    if found is None or found[0] is None:
        return None if is_picture else under
    return _blended(found[0], found[1], under) if under else found[0]


def _blended(color: RGB, alpha: float, under: RGB) -> RGB:
    red, green, blue = (alpha * one + (1 - alpha) * other for one, other in zip(color, under, strict=True))
    return red, green, blue
