"""What stands within a line of HTML: breaks, kept blanks, raised and lowered signs, readings, numbers of items."""

from __future__ import annotations

from selectolax.lexbor import LexborNode

from qwendesk.memory.knowledge.readers.html_marks import BREAK, SPACE, line

_RAISED = str.maketrans("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_LOWERED = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_TAB = 4


def read_inline(body: LexborNode) -> None:
    """Replace elements whose meaning is lost in plain text by signs that say it."""
    for node in body.css("sup"):
        node.replace_with(_raised(node))
    for node in body.css("sub"):
        node.replace_with(_lowered(line(node.text())))
    for node in body.css("rt"):
        if node.parent is None or node.parent.css_first("rp") is None:
            node.replace_with(f"({line(node.text())})")
    for node in body.css("br"):
        node.replace_with(BREAK)
    for node in body.css("wbr"):
        node.decompose()
    for node in body.css("pre,textarea"):
        node.replace_with(BREAK + _preformatted(node.text()) + BREAK)
    _number_items(body)
    for node in body.css("dt"):
        if not (node.text().strip() or ":").endswith((":", "?", "!", "：")):
            node.insert_child(":")


def _raised(node: LexborNode) -> str:
    text = line(node.text())
    if node.css_first("a") or not text:
        # a reference to a note is no power
        return text and f" [{text.strip('[]')}]"
    if all(ord(sign) in _RAISED for sign in text):
        return text.translate(_RAISED)
    # 1st, 2e, TM and the like are written as they are spoken
    is_ending = len(text) > 1 and text.isalpha()
    return text if is_ending or not text.isalnum() else f"^{text}"


def _lowered(text: str) -> str:
    if all(ord(sign) in _LOWERED for sign in text):
        return text.translate(_LOWERED)
    return f"_{text}" if text.isalnum() else text


def _preformatted(text: str) -> str:
    lines = text.strip("\r\n").splitlines()
    return BREAK.join(each.expandtabs(_TAB).replace(" ", SPACE) for each in lines)


def _number_items(body: LexborNode) -> None:
    for listing in body.css("ol"):
        number = _number(listing, "start", 1)
        for item in listing.iter():
            if item.tag == "li":
                number = _number(item, "value", number)
                first = item.child
                if first is not None:
                    first.insert_before(f"{number}. ")
                number += 1


def _number(node: LexborNode, name: str, other: int) -> int:
    value = (node.attributes.get(name) or "").strip()
    return int(value) if value.isdecimal() and len(value) < 9 else other
