"""What Slack's blocks and attachments say, in words: what somebody has shared, and messages that have no text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from qwendesk.channels.references import Quote

Plain = Callable[[str], str]
"""Turns Slack's own markup into what was typed."""
_CALLS = {"user": ("<@{}>", "user_id"), "channel": ("<#{}>", "channel_id"), "broadcast": ("<!{}>", "range")}


def words(blocks: Iterable[Any], plain: Plain) -> str:
    """Return the text of blocks, one below the other."""
    return "\n".join(filter(None, (_block(block, plain) for block in blocks if isinstance(block, dict))))


def shared(attachments: Iterable[dict[str, Any]], plain: Plain, user: str) -> Iterator[Quote]:
    """Yield what is attached to a message: messages that are passed on, previews of pages, cards of other apps.

    Args:
        attachments: as an event has them.
        plain: turns Slack's own markup into what was typed.
        user: the app's own account.
    """
    for one in attachments:
        if text := _attached(one, plain):
            passed_on = one.get("is_share") or one.get("is_msg_unfurl")
            author = plain(str(one.get("author_name") or one.get("author_subname") or one.get("service_name") or ""))
            own = bool(one.get("author_id")) and one["author_id"] == user
            yield Quote(text, author, "forward" if passed_on else "reply", own, _moment(one.get("ts")))


def _attached(one: dict[str, Any], plain: Plain) -> str:
    title, url = plain(str(one.get("title") or "")), str(one.get("title_link") or one.get("from_url") or "")
    parts = [
        plain(str(one.get("pretext") or "")),
        f"{title} ({url})" if title and url else title,
        plain(str(one.get("text") or "")) or words(_message_blocks(one), plain),
        *(f"{plain(str(field.get('title') or ''))}: {plain(str(field.get('value') or ''))}" for field in _fields(one)),
        *(f"[file {file.get('name') or ''}]" for file in one.get("files") or ()),
    ]
    return "\n".join(filter(None, parts)) or plain(str(one.get("fallback") or "")) or url


def _message_blocks(one: dict[str, Any]) -> list[Any]:
    found = list(one.get("blocks") or ())
    for kept in one.get("message_blocks") or ():
        found += (kept.get("message") or {}).get("blocks") or ()
    return found


def _fields(one: dict[str, Any]) -> list[dict[str, Any]]:
    return [field for field in one.get("fields") or () if isinstance(field, dict)]


def _moment(stamp: object) -> float | None:
    with suppress(TypeError, ValueError):
        return float(str(stamp))
    return None


def _block(block: dict[str, Any], plain: Plain) -> str:
    match block.get("type"):
        case "rich_text":
            return "\n".join(_rich(element, plain) for element in block.get("elements") or ())
        case "context":
            return " ".join(filter(None, (_text(element, plain) for element in block.get("elements") or ())))
        case "image" | "video":
            return plain(str(block.get("alt_text") or "")) or _text(block.get("title"), plain)
        case "table":
            return "\n".join(" | ".join(_cell(cell, plain) for cell in row) for row in block.get("rows") or ())
    own = _text(block.get("text"), plain)
    return "\n".join(filter(None, (own, *(_text(field, plain) for field in block.get("fields") or ()))))


def _cell(cell: dict[str, Any], plain: Plain) -> str:
    return _block(cell, plain) if cell.get("type") == "rich_text" else plain(str(cell.get("text") or ""))


def _text(found: Any, plain: Plain) -> str:
    """Return the text of an object; that of ``plain_text`` has no markup."""
    if not isinstance(found, dict):
        return ""
    text = str(found.get("text") or found.get("alt_text") or "")
    return text if found.get("type") == "plain_text" else plain(text)


def _rich(element: dict[str, Any], plain: Plain) -> str:
    inner = element.get("elements") or ()
    match element.get("type"):
        case "rich_text_list":
            first, ordered = int(element.get("offset") or 0) + 1, element.get("style") == "ordered"
            indent = "  " * int(element.get("indent") or 0)
            marks = (f"{number}." if ordered else "-" for number, _ in enumerate(inner, first))
            return "\n".join(f"{indent}{mark} {_rich(item, plain)}" for mark, item in zip(marks, inner, strict=True))
        case "rich_text_quote":
            return "\n".join(f"> {line}" for line in _line(inner, plain).split("\n"))
        case "rich_text_preformatted":
            return f"```\n{_line(inner, plain)}\n```"
    return _line(inner, plain)


def _line(elements: Iterable[dict[str, Any]], plain: Plain) -> str:
    return "".join(_piece(element, plain) for element in elements)


def _piece(element: dict[str, Any], plain: Plain) -> str:
    kind = str(element.get("type"))
    if kind in _CALLS:
        form, key = _CALLS[kind]
        return plain(form.format(element.get(key, "")))
    if kind == "link":
        label, url = str(element.get("text") or ""), str(element.get("url") or "")
        return f"{label} ({url})" if label and label != url else url
    if kind == "emoji":
        return f":{element.get('name', '')}:"
    return str(element.get("text") or element.get("fallback") or element.get("value") or "")
