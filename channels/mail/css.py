"""Find which declarations of a mail's style sheets hold for an element; what is uncertain holds, to hide too much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import tinycss2

_MAX_SHEET_CHARS = 200_000
_MAX_COMPARISONS = 300_000
"""How many simple selectors are compared with elements in one mail."""
_SCREEN_PX = 1024.0
"""Width of the screen that media queries are answered for."""
_NEVER = {
    "hover", "focus", "active", "visited", "target", "checked", "focus-within", "focus-visible", "before", "after",
    "first-letter", "first-line", "placeholder", "selection", "marker", "disabled", "invalid",
}  # fmt: skip
"""Pseudo-classes and elements that hold for no text of a mail as it is opened."""
_NESTING = {"media", "supports", "layer", "container", "document", "-moz-document"}
_SIBLINGS = {"+", "~"}
LOOKED_AT = {
    "display", "visibility", "opacity", "filter", "content-visibility", "mso-hide", "zoom", "scale", "transform",
    "font", "font-size", "letter-spacing", "white-space", "text-indent", "clip", "clip-path", "overflow", "overflow-x",
    "overflow-y", "color", "-webkit-text-fill-color", "background", "background-color", "background-image", "left",
    "right", "top", "bottom", "margin", "margin-left", "margin-top", "margin-right", "height", "max-height", "width",
    "max-width", "line-height",
}  # fmt: skip
"""Properties that say whether text can be seen, and how it stands in lines."""

Attributes = Mapping[str, str | None]
Declared = dict[str, Any]
"""Properties with their values, as tinycss2 reads them."""


class TooComplex(Exception):
    """Style sheets take more time than a mail is given."""


@dataclass(frozen=True, slots=True)
class Element:
    """What selectors can ask of an element."""

    tag: str
    attributes: Attributes
    classes: frozenset[str]

    @property
    def name(self) -> str:
        """The element's ``id``."""
        return (self.attributes.get("id") or "").lower()

    @classmethod
    def of(cls, tag: str, attributes: Attributes) -> Element:
        """Return an element by its tag and attributes."""
        return cls(tag, attributes, frozenset((attributes.get("class") or "").lower().split()))


@dataclass(slots=True)
class _Compound:
    """Simple selectors that have to hold for one element."""

    tag: str = ""
    names: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    never: bool = False

    def holds(self, element: Element) -> bool:
        return (
            not self.never
            and self.tag in ("", element.tag)
            and (not self.names or self.names == {element.name})
            and self.classes <= element.classes
            and all(_has(element.attributes, *asked) for asked in self.attributes)
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    compounds: Sequence[_Compound]
    combinators: Sequence[str]
    """What stands before each compound but the first: `` ``, ``>``, ``+`` or ``~``."""
    order: tuple[int, int, int, int]
    declarations: Sequence[Any]


class Sheet:
    """The style sheets of one mail.

    Args:
        sources: what stands in the mail's ``<style>`` elements.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._by_key: defaultdict[str, list[_Rule]] = defaultdict(list)
        self._left = _MAX_COMPARISONS
        source = "\n".join(sources)
        if len(source) > _MAX_SHEET_CHARS:
            raise TooComplex
        for number, (prelude, content) in enumerate(_rules(source)):
            declarations = _declarations(content)
            if not declarations:
                continue
            for compounds, combinators in _selectors(prelude):
                order = (*_specificity(compounds), number)
                rule = _Rule(compounds, combinators, order, declarations)
                self._by_key[_key(compounds[-1])].append(rule)

    def declared(self, path: Sequence[Element], style: str = "") -> Declared:
        """Return the properties of the last element of a path, which begins at the page's root.

        Raises:
            TooComplex: the sheets take too much time.
        """
        element = path[-1]
        keys = ["*", element.tag, f"#{element.name}", *(f".{name}" for name in element.classes)]
        if not (self._by_key or style):
            return {}
        holding = [rule for key in keys for rule in self._by_key.get(key, ()) if self._matches(rule, path)]
        found: list[tuple[tuple[bool, bool, tuple[int, int, int, int]], Any]] = [
            ((one.important, False, rule.order), one) for rule in holding for one in rule.declarations
        ]
        found += [((one.important, True, (0, 0, 0, 0)), one) for one in inline(style)]
        found.sort(key=lambda ranked: ranked[0])
        return {one.lower_name: one.value for _, one in found}

    def _matches(self, rule: _Rule, path: Sequence[Element]) -> bool:
        """Tell whether a selector holds, by all ways in which its parts may stand for what is above an element."""
        places = self._holding(rule.compounds[-1], path, [len(path) - 1])
        steps = zip(reversed(rule.compounds[:-1]), reversed(rule.combinators), strict=True)
        for compound, combinator in steps:
            if not places or combinator in _SIBLINGS:
                break  # which elements stand beside another is not known: they may be the right ones
            above = [place - 1 for place in places if place] if combinator == ">" else range(max(places))
            places = self._holding(compound, path, above)
        return bool(places)

    def _holding(self, compound: _Compound, path: Sequence[Element], places: Iterable[int]) -> list[int]:
        found = []
        for place in places:
            self._left -= 1
            if self._left < 0:
                raise TooComplex
            if compound.holds(path[place]):
                found.append(place)
        return found


@lru_cache(maxsize=1000)
def inline(style: str) -> tuple[Any, ...]:
    """Return the declarations of a ``style`` attribute."""
    return tuple(_declarations(style)) if style else ()


def _declarations(content: Any) -> list[Any]:
    try:
        found = tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True)
    except RecursionError as error:
        raise TooComplex from error
    return [one for one in found if one.type == "declaration" and one.lower_name in LOOKED_AT]


def _rules(source: str) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield selectors and declarations of all rules that hold on a screen."""
    source = source.replace("<!--", " ").replace("-->", " ")
    left = [iter(tinycss2.parse_stylesheet(source, skip_comments=True, skip_whitespace=True))]
    while left:
        rule = next(left[-1], None)
        if rule is None:
            left.pop()
        elif rule.type == "qualified-rule":
            yield rule.prelude, rule.content
        elif rule.type == "at-rule" and rule.content and rule.lower_at_keyword in _NESTING and _is_on_screen(rule):
            left.append(iter(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)))


def _is_on_screen(rule: Any) -> bool:
    """Tell whether a rule's media query holds on a computer's screen."""
    if rule.lower_at_keyword != "media":
        return True
    return any(_query_holds(query) for query in _split(rule.prelude)) or not rule.prelude


def _query_holds(query: Sequence[Any]) -> bool:
    words = {token.lower_value for token in query if token.type == "ident"}
    if words & {"print", "speech", "tty", "tv", "handheld"} and "not" not in words:
        return False
    return all(_feature_holds(token.content) for token in query if token.type == "() block")


def _feature_holds(content: Sequence[Any]) -> bool:
    name = next((token.lower_value for token in content if token.type == "ident"), "")
    value = next((token.value * _IN_PX.get(token.lower_unit, 1.0) for token in content if token.type == "dimension"), 0)
    if name in ("max-width", "max-device-width"):
        return bool(value >= _SCREEN_PX)
    if name in ("min-width", "min-device-width"):
        return bool(value <= _SCREEN_PX)
    said = [token.lower_value for token in content if token.type == "ident"][1:]
    return not (name == "prefers-color-scheme" and said == ["dark"]) and name != "-ms-high-contrast"


_IN_PX = {"px": 1.0, "em": 16.0, "rem": 16.0, "pt": 4 / 3}


def _split(tokens: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield what stands between commas."""
    part: list[Any] = []
    for token in tokens:
        if token.type == "literal" and token.value == ",":
            yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


def _selectors(prelude: Sequence[Any]) -> Iterator[tuple[list[_Compound], list[str]]]:
    for tokens in _split(prelude):
        compounds, combinators = _selector(tokens)
        if compounds:
            yield compounds, combinators


def _selector(tokens: Sequence[Any]) -> tuple[list[_Compound], list[str]]:
    """Return the compounds of a selector, and the combinators between them."""
    compounds: list[_Compound] = []
    combinators: list[str] = []
    pending: str | None = ""
    dots = ""
    for token in tokens:
        if token.type == "whitespace":
            pending = pending or " "
        elif token.type == "literal" and token.value in (">", *_SIBLINGS):
            pending = token.value
        else:
            if pending is not None and (pending or not compounds):
                combinators += [pending] if compounds else []
                compounds.append(_Compound())
            pending = ""
            dots = _add(compounds[-1], token, dots)
    return compounds, combinators


def _add(compound: _Compound, token: Any, dots: str) -> str:
    """Add a token to a compound, and return what the next token's name belongs to: ``.``, ``:`` or nothing."""
    if token.type == "literal":
        return str(token.value) if token.value in (".", ":", "::") else ""
    if token.type == "ident":
        if dots == ".":
            compound.classes.add(token.lower_value)
        elif dots:
            compound.never = compound.never or token.lower_value in _NEVER
        else:
            compound.tag = token.lower_value
    elif token.type == "hash":
        compound.names.add(token.value.lower())
    elif token.type == "[] block":
        compound.attributes.append(_attribute(token.content))
    return ""


def _attribute(content: Sequence[Any]) -> tuple[str, str, str]:
    words = [token.value for token in content if token.type in ("ident", "string")]
    signs = "".join(token.value for token in content if token.type == "literal" and token.value != "|")
    return (str(words[0]).lower() if words else "", signs, str(words[1]) if len(words) > 1 else "")


def _has(attributes: Attributes, name: str, sign: str, value: str) -> bool:
    if name not in attributes:
        return False
    has = attributes[name] or ""
    match sign:
        case "=":
            return has == value
        case "~=":
            return value in has.split()
        case "^=":
            return has.startswith(value)
        case "$=":
            return has.endswith(value)
        case "*=":
            return value in has
    return True


def _key(compound: _Compound) -> str:
    """Return what an element must have that a compound holds for."""
    if compound.names:
        return f"#{next(iter(compound.names))}"
    if compound.classes:
        return f".{next(iter(compound.classes))}"
    return compound.tag or "*"


def _specificity(compounds: Sequence[_Compound]) -> tuple[int, int, int]:
    return (
        sum(len(one.names) for one in compounds),
        sum(len(one.classes) + len(one.attributes) for one in compounds),
        sum(bool(one.tag) for one in compounds),
    )
