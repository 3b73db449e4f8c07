"""Parse CSS selectors and match compounds to elements; conditions on unknown properties count as fulfilled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_NEVER = {
    "hover", "focus", "active", "visited", "target", "checked", "focus-within", "focus-visible", "before", "after",
    "first-letter", "first-line", "placeholder", "selection", "marker", "disabled", "invalid",
}  # fmt: skip
"""Pseudo-classes and pseudo-elements that never match text of a mail as opened."""
SIBLINGS = {"+", "~"}
Attributes = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Element:
    """Properties of an element that selectors test."""

    tag: str
    attributes: Attributes
    classes: frozenset[str]

    @property
    def name(self) -> str:
        """The element's ``id``."""
        return (self.attributes.get("id") or "").lower()

    @classmethod
    def of(cls, tag: str, attributes: Attributes) -> Element:
        """Return an element for a tag and attributes."""
        return cls(tag, attributes, frozenset((attributes.get("class") or "").lower().split()))


@dataclass(slots=True)
class Compound:
    """Simple selectors that must all match one element."""

    tag: str = ""
    names: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    never_matches: bool = False
    is_certain: bool = True
    """Whether all conditions can be evaluated."""

    def matches(self, element: Element) -> bool:
        """Return whether all simple selectors match."""
        return (
            not self.never_matches
            and self.tag in ("", element.tag)
            and (not self.names or self.names == {element.name})
            and self.classes <= element.classes
            and all(_has(element.attributes, *asked) for asked in self.attributes)
        )


def split_by_comma(tokens: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the comma-separated groups of tokens."""
    part: list[Any] = []
    for token in tokens:
        if token.type == "literal" and token.value == ",":
            yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


def parse_selectors(prelude: Sequence[Any]) -> Iterator[tuple[list[Compound], list[str]]]:
    """Yield the selectors of a rule: compounds, and the combinators between them."""
    for tokens in split_by_comma(prelude):
        compounds, combinators = _selector(tokens)
        if compounds:
            yield compounds, combinators


def _selector(tokens: Sequence[Any]) -> tuple[list[Compound], list[str]]:
    """Return the compounds of a selector, and the combinators between them."""
    compounds: list[Compound] = []
    combinators: list[str] = []
    pending: str | None = ""
    dots = ""
    for token in tokens:
        if token.type == "whitespace":
            pending = pending or " "
        elif token.type == "literal" and token.value in (">", *SIBLINGS):
            pending = token.value
        else:
            if pending is not None and (pending or not compounds):
                combinators += [pending] if compounds else []
                compounds.append(Compound())
            pending = ""
            dots = _add(compounds[-1], token, dots)
    return compounds, combinators


def _add(compound: Compound, token: Any, dots: str) -> str:
    """Add a token to a compound; return the prefix that applies to the next token: ``.``, ``:`` or empty."""
    if token.type == "literal":
        return str(token.value) if token.value in (".", ":", "::") else ""
    if token.type == "ident":
        if dots == ".":
            compound.classes.add(token.lower_value)
        elif dots:
            compound.never_matches = compound.never_matches or token.lower_value in _NEVER
            compound.is_certain = False
        else:
            compound.tag = token.lower_value
    elif token.type == "function":
        compound.is_certain = False
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
    has, value = (attributes[name] or "").lower(), value.lower()
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


def key_of(compound: Compound) -> str:
    """Return the id, class or tag that an element must have to match a compound."""
    if compound.names:
        return f"#{next(iter(compound.names))}"
    if compound.classes:
        return f".{next(iter(compound.classes))}"
    return compound.tag or "*"


def specificity(compounds: Sequence[Compound]) -> tuple[int, int, int]:
    """Return the specificity of a selector."""
    return (
        sum(len(one.names) for one in compounds),
        sum(len(one.classes) + len(one.attributes) for one in compounds),
        sum(bool(one.tag) for one in compounds),
    )
