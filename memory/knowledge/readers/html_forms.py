"""Forms of HTML: the values, labels and options that a person sees in them."""

from __future__ import annotations

from selectolax.lexbor import LexborNode

from qwendesk.memory.knowledge.readers.html_marks import BREAK, line

_BUTTONS = ("submit", "reset", "button", "image")
_CHOICES = ("checkbox", "radio")


def read_forms(body: LexborNode) -> None:
    """Write out what fields hold and offer."""
    for node in body.css("input"):
        node.replace_with(_field(node))
    for node in body.css("select,datalist"):
        options = (_option(option) for option in node.css("option"))
        node.replace_with(f" {'; '.join(filter(None, options))} ")
    for node in body.css("button"):
        node.insert_before(BREAK)
        node.insert_after(BREAK)


def _field(node: LexborNode) -> str:
    attributes = node.attributes
    kind = (attributes.get("type") or "text").lower()
    if kind in _CHOICES:
        return " [x] " if "checked" in attributes else " [ ] "
    value = attributes.get("value") or attributes.get("placeholder") or attributes.get("aria-label") or ""
    if kind in _BUTTONS:
        return f"{BREAK}{line(value or attributes.get('alt') or '')}{BREAK}"
    return f" {line(value)} "


def _option(node: LexborNode) -> str:
    text = line(node.text()) or node.attributes.get("label") or node.attributes.get("value") or ""
    return f"{text} [x]" if "selected" in node.attributes and text else text
