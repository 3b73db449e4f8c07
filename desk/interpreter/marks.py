"""Replace protected tokens by marks such as ``[1]``, which models copy, and put the tokens back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import regex

from qwendesk.desk.interpreter.tokens import KeptToken, Kind, comparable, find_tokens, replaced
from qwendesk.tools.number_formats import plain_digits

_MARK = regex.compile(r"[\[［【〔⟦] ?(\p{Nd}{1,3}) ?[\]］】〕⟧]")
_MARK_MADE = regex.compile(r"\[(\d+)\]")
_NUMERIC: tuple[Kind, ...] = ("number", "money", "date", "time", "phone")
_HYPHENS = {0x2010: "-", 0x2011: "-"}


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with marks in place of its tokens and terms."""

    text: str
    kinds: tuple[Kind | None, ...]
    """Kind of the token of each mark, from ``[1]`` on; None for a term of the glossary."""
    originals: tuple[str, ...]
    """What each mark stands for in the original."""
    restored: tuple[str, ...]
    """What is put back for each mark: the token, or the term in the other language."""
    names: tuple[str, ...] = ()
    """Names that are never translated."""

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks in the text."""
        return tuple(f"[{number}]" for number in range(1, len(self.originals) + 1))

    @property
    def plain(self) -> str:
        """The text with its tokens, and with the terms in the other language."""
        return str(_MARK_MADE.sub(lambda found: self.restored[int(found[1]) - 1], self.text))


@dataclass(frozen=True, slots=True)
class Restored:
    """A translation with its tokens put back."""

    text: str
    missing: tuple[int, ...] = ()
    """Indexes of marks that the translation does not have."""
    repeated: tuple[int, ...] = ()
    """Indexes of marks that it has more than once."""
    extra: tuple[KeptToken, ...] = ()
    """Tokens that the original does not have."""
    order: tuple[int, ...] = ()
    """Indexes of the marks in the order of the translation."""
    prose: str = ""
    """The translation with spaces in place of the tokens."""


def mask(text: str, tokens: Sequence[KeptToken], terms: Mapping[KeptToken, str], names: Iterable[str] = ()) -> Masked:
    """Return a text with a mark for each token and each term.

    Args:
        text: the text.
        tokens: its protected tokens, in order.
        terms: the places of glossary terms and their translations; they do not overlap with tokens.
        names: the names among which tokens were looked for.
    """
    places = sorted([*tokens, *terms], key=lambda token: token.start)
    marked = replaced(text, places, [f"[{number}]" for number in range(1, len(places) + 1)])
    return Masked(
        marked,
        tuple(None if place in terms else place.kind for place in places),
        tuple(place.text for place in places),
        tuple(terms.get(place, place.text) for place in places),
        tuple(names),
    )


def restore(output: str, masked: Masked, *, by_elimination: bool = False) -> Restored:
    """Return a model's translation with marks replaced by tokens.

    A token that the model wrote out is taken for its mark, also with other separators, digits or capitals; it gets
    its original form back.

    Args:
        output: the model's translation.
        masked: the text that it was given.
        by_elimination: whether the only missing token takes the place of the only extra one of its kind.
    """
    pieces = _pieces(output.translate(_HYPHENS), len(masked.originals))
    present = Counter(piece for piece in pieces if isinstance(piece, int))
    missing = [at for at in range(len(masked.originals)) if not present[at]]
    for is_same in (_is_equal, _has_same_digits):
        pieces, missing = _found_in_words(pieces, missing, masked, is_same)
    extra = [token for piece in pieces if isinstance(piece, str) for token in _foreign(piece, masked.names)]
    if by_elimination and len(missing) == 1 and len(extra) == 1:
        kind = masked.kinds[missing[0]]
        if kind == extra[0].kind or {kind, extra[0].kind} <= set(_NUMERIC):
            pieces, missing = _found_in_words(pieces, missing, masked, lambda token, _: token == extra[0].text)
            extra = []
    order = tuple(piece for piece in pieces if isinstance(piece, int))
    return Restored(
        "".join(masked.restored[piece] if isinstance(piece, int) else piece for piece in pieces),
        tuple(missing),
        tuple(at for at, number in Counter(order).items() if number > 1),
        tuple(extra),
        order,
        "".join(" " if isinstance(piece, int) else piece for piece in pieces),
    )


def is_reordered(order: Sequence[int], masked: Masked) -> bool:
    """Return whether two different tokens of one kind stand in another order than in the original."""
    for kind in {kind for kind in masked.kinds if kind is not None}:
        here = [masked.originals[at] for at in order if masked.kinds[at] == kind]
        if here != [text for text, one in zip(masked.originals, masked.kinds, strict=True) if one == kind]:
            return True
    return False


def _pieces(output: str, number: int) -> list[str | int]:
    """Return the text between the marks, and the marks as indexes; unknown marks stay text."""
    pieces, at = list[str | int](), 0
    for found in _MARK.finditer(output):
        index = int(found[1]) - 1
        if 0 <= index < number:
            pieces += [output[at : found.start()], index]
            at = found.end()
    return [piece for piece in (*pieces, output[at:]) if piece != ""]


def _found_in_words(
    pieces: list[str | int], missing: list[int], masked: Masked, is_same: Callable[[str, str], bool]
) -> tuple[list[str | int], list[int]]:
    """Replace tokens that are written out by the indexes of missing marks."""
    left, changed = list(missing), list[str | int]()
    for piece in pieces:
        if isinstance(piece, int) or not left:
            changed.append(piece)
            continue
        at = 0
        for start, end, text in _candidates(piece, [masked.restored[index] for index in left]):
            match = next((index for index in left if is_same(text, masked.restored[index])), None)
            if match is not None and start >= at:
                changed += [piece[at:start], match]
                left.remove(match)
                at = end
        changed.append(piece[at:])
    return [piece for piece in changed if piece != ""], left


def _candidates(piece: str, originals: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return the places of a text where a token may be written out: its tokens, and what equals an original."""
    places = [(token.start, token.end, token.text) for token in find_tokens(piece)]
    taken = {at for start, end, _ in places for at in range(start, end)}
    for original in dict.fromkeys(originals):
        for found in regex.finditer(rf"(?<![\p{{L}}\p{{N}}]){regex.escape(original)}(?![\p{{L}}\p{{N}}])", piece):
            if not taken.intersection(range(*found.span())):
                places.append((*found.span(), found[0]))
    return sorted(places)


def _is_equal(text: str, original: str) -> bool:
    return comparable(text) == comparable(original)


def _has_same_digits(text: str, original: str) -> bool:
    """Return whether two tokens differ in separators, digits of another script, capitals, spaces or currency only."""
    if _essence(text) == _essence(original) != "":
        return True
    one, other = find_tokens(text), find_tokens(original)
    if len(one) != 1 or len(other) != 1 or {one[0].kind, other[0].kind} - {"number", "money"}:
        return False
    return _digits(text) == _digits(original)


def _essence(text: str) -> str:
    return "".join(sign for sign in plain_digits(text).casefold() if sign.isalnum())


def _digits(text: str) -> str:
    return "".join(sign for sign in plain_digits(text) if sign.isdecimal())


def _foreign(piece: str, names: Sequence[str]) -> list[KeptToken]:
    """Return the tokens of a text; a word that is only written like a name is none."""
    known = {" ".join(name.casefold().split()) for name in names}
    return [
        token
        for token in find_tokens(piece, names)
        if token.kind != "name" or " ".join(token.text.casefold().split()) in known
    ]
