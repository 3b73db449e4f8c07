"""Match style rules of a mail to its elements; uncertain rules apply, so that in doubt text counts as hidden."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tinycss2

from qwendesk.channels.mail.selectors import (
    SIBLINGS,
    Compound,
    Element,
    key_of,
    parse_selectors,
    specificity,
    split_by_comma,
)

_MAX_SHEET_CHARS = 200_000
_MAX_COMPARISONS = 300_000
"""Maximum number of comparisons of a compound selector with an element in one mail."""
_SCREEN_PX = 1024.0
"""Screen width for media queries, in pixels."""
_KNOWN_MEDIA = {"screen", "all", "only", "and"}
_KNOWN_FEATURES = {"min-width", "max-width", "min-device-width", "max-device-width"}
_NESTING = {"media", "supports", "layer", "container", "document", "-moz-document"}
USED_PROPERTIES = {
    "display", "visibility", "opacity", "filter", "content-visibility", "mso-hide", "zoom", "scale", "transform",
    "font", "font-size", "letter-spacing", "white-space", "text-indent", "clip", "clip-path", "overflow", "overflow-x",
    "overflow-y", "color", "-webkit-text-fill-color", "background", "background-color", "background-image", "left",
    "right", "top", "bottom", "margin", "margin-left", "margin-top", "margin-right", "height", "max-height", "width",
    "max-width", "line-height", "inset", "translate", "padding-left",
}  # fmt: skip
"""Properties that determine the visibility of text and its line breaks."""
Declarations = dict[str, Any]
"""Properties with their values as tinycss2 tokens."""
_IN_PX = {"px": 1.0, "em": 16.0, "rem": 16.0, "pt": 4 / 3}


class TooManyComparisons(Exception):
    """The style sheets exceed the comparison budget of a mail."""


@dataclass(frozen=True, slots=True)
class _Rule:
    compounds: Sequence[Compound]
    combinators: Sequence[str]
    """The combinator before each compound but the first: `` ``, ``>``, ``+`` or ``~``."""
    order: tuple[int, int, int, int]
    declarations: Sequence[Any]
    is_certain: bool
    """Whether the matching of the rule is fully known."""


class StyleSheets:
    """The style sheets of one mail.

    Args:
        sources: contents of the mail's ``<style>`` elements.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._by_key: defaultdict[str, list[_Rule]] = defaultdict(list)
        self._styles: dict[str, list[Any]] = {}
        """Parsed ``style`` attributes; the cache lives as long as the mail is processed."""
        self._left = _MAX_COMPARISONS
        source = "\n".join(sources)
        if len(source) > _MAX_SHEET_CHARS:
            raise TooManyComparisons
        for number, (prelude, declarations, is_certain) in enumerate(_rules(source)):
            for compounds, combinators in parse_selectors(prelude):
                order = (*specificity(compounds), number)
                known = is_certain and not SIBLINGS & set(combinators) and all(one.is_certain for one in compounds)
                rule = _Rule(compounds, combinators, order, declarations, known)
                self._by_key[key_of(compounds[-1])].append(rule)

    def declared(self, path: Sequence[Element], style: str = "") -> tuple[Declarations, Declarations]:
        """Return the declarations of the path's last element: by the certain rules, and by the possible rules, too.

        Args:
            path: the elements from the root down.
            style: the element's own declarations.

        Raises:
            TooManyComparisons: the sheets exceed the comparison budget.
        """
        element = path[-1]
        keys = ["*", element.tag, f"#{element.name}", *(f".{name}" for name in element.classes)]
        if not (self._by_key or style):
            return {}, {}
        holding = [rule for key in keys for rule in self._by_key.get(key, ()) if self._matches(rule, path)]
        certain = [rule for rule in holding if rule.is_certain]
        own = self._inline(style)
        known = _cascade(certain, own)
        return known, known if len(certain) == len(holding) else _cascade(holding, own)

    def _inline(self, style: str) -> list[Any]:
        """Return the declarations of a ``style`` attribute, cached because many elements of one mail share it."""
        if style and style not in self._styles:
            self._styles[style] = _declarations(_contents(style))
        return self._styles.get(style, [])

    def _matches(self, rule: _Rule, path: Sequence[Element]) -> bool:
        """Return whether a selector matches the last element of a path, trying all ancestors for each compound."""
        places = self._holding(rule.compounds[-1], path, [len(path) - 1])
        steps = zip(reversed(rule.compounds[:-1]), reversed(rule.combinators), strict=True)
        for compound, combinator in steps:
            if not places or combinator in SIBLINGS:
                break  # siblings are unknown: assume that they match
            above = [place - 1 for place in places if place] if combinator == ">" else range(max(places))
            places = self._holding(compound, path, above)
        return bool(places)

    def _holding(self, compound: Compound, path: Sequence[Element], places: Iterable[int]) -> list[int]:
        found = []
        for place in places:
            self._left -= 1
            if self._left < 0:
                raise TooManyComparisons
            if compound.matches(path[place]):
                found.append(place)
        return found


def _cascade(rules: Iterable[_Rule], own: Iterable[Any]) -> Declarations:
    """Return the cascaded declarations of the rules and the element's own style."""
    found: list[tuple[tuple[bool, bool, tuple[int, int, int, int]], Any]] = [
        ((one.important, False, rule.order), one) for rule in rules for one in rule.declarations
    ]
    found += [((one.important, True, (0, 0, 0, 0)), one) for one in own]
    found.sort(key=lambda ranked: ranked[0])
    return {one.lower_name: one.value for _, one in found}


def _contents(content: Any) -> list[Any]:
    try:
        return list(tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True))
    except RecursionError as error:
        raise TooManyComparisons from error


def _declarations(contents: Iterable[Any]) -> list[Any]:
    return [one for one in contents if one.type == "declaration" and one.lower_name in USED_PROPERTIES]


def _rules(source: str) -> Iterator[tuple[list[Any], list[Any], bool]]:
    """Yield the selectors and declarations of each rule for screens, and whether the rule certainly applies."""
    source = source.replace("<!--", " ").replace("-->", " ")
    left = [(iter(tinycss2.parse_stylesheet(source, skip_comments=True, skip_whitespace=True)), True)]
    while left:
        rules, is_certain = left[-1]
        rule = next(rules, None)
        if rule is None:
            left.pop()
        elif rule.type == "qualified-rule":
            contents = _contents(rule.content)
            if declarations := _declarations(contents):
                yield rule.prelude, declarations, is_certain
            left.append((iter(contents), False))  # nested rules
        elif rule.type == "at-rule" and rule.content and rule.lower_at_keyword in _NESTING and _is_on_screen(rule):
            left.append((iter(_contents(rule.content)), is_certain and _is_plain(rule)))


def _is_plain(rule: Any) -> bool:
    """Return whether a media query uses only supported media types and features."""
    words = {token.lower_value for token in rule.prelude if token.type == "ident"}
    names = [token.content for token in rule.prelude if token.type == "() block"]
    features = {next((one.lower_value for one in name if one.type == "ident"), "") for name in names}
    return rule.lower_at_keyword == "media" and words <= _KNOWN_MEDIA and features <= _KNOWN_FEATURES


def _is_on_screen(rule: Any) -> bool:
    """Return whether a rule's media query matches a computer screen."""
    if rule.lower_at_keyword != "media":
        return True
    return any(_query_holds(query) for query in split_by_comma(rule.prelude)) or not rule.prelude


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
