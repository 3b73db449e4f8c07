"""What only the formatted version of a message says: addresses of links, and by which name somebody is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_FORMAT = "org.matrix.custom.html"
_PEOPLE = ("https://matrix.to/#/", "matrix:u/")
_WEB = ("https://", "http://", "mailto:")


@dataclass(frozen=True, slots=True)
class Link:
    """A link, or somebody's name."""

    label: str
    url: str

    @property
    def called(self) -> str:
        """The account that is called; empty: it is another link."""
        if self.url.startswith(_PEOPLE[0]):
            return unquote(self.url.removeprefix(_PEOPLE[0]).partition("?")[0])
        return f"@{unquote(self.url.removeprefix(_PEOPLE[1]))}" if self.url.startswith(_PEOPLE[1]) else ""


def links_of(content: dict[str, Any]) -> list[Link]:
    """Return the links of a message, without those of the message that is replied to."""
    if content.get("format") != _FORMAT or "<a" not in str(content.get("formatted_body") or ""):
        return []
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(str(content["formatted_body"]))
    for quoted in page.css("mx-reply"):
        quoted.decompose()
    return [Link(one.text().strip(), one.attributes.get("href") or "") for one in page.css("a[href]")]


def with_addresses(text: str, links: list[Link]) -> str:
    """Return a text with the addresses of links that it does not name, each behind its words."""
    for link in links:
        if link.called or not link.url.startswith(_WEB) or link.url in text or link.label == link.url:
            continue
        before, label, after = text.partition(link.label) if link.label else (text, "", "")
        if link.url.partition(":")[2].strip("/") == label.strip("/"):
            continue
        text = f"{before}{label} ({link.url}){after}"
    return text


def calls_of(links: list[Link], user: str) -> list[str]:
    """Return the names by which an account is called."""
    return [link.label for link in links if link.called == user and link.label]
