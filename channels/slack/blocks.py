"""Convert Block Kit blocks and message attachments to text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from qwendesk.channels.ingest import Quote

ToPlainText = Callable[[str], str]
"""Converts mrkdwn to plain text."""
_MENTIONS = {"user": ("<@{}>", "user_id"), "channel": ("<#{}>", "channel_id"), "broadcast": ("<!{}>", "range")}


def blocks_text(blocks: Iterable[Any], plain: ToPlainText) -> str:
    """Return the texts of blocks, one a line."""
    return "\n".join(filter(None, (_block_text(block, plain) for block in blocks if isinstance(block, dict))))


def attachment_quotes(attachments: Iterable[dict[str, Any]], plain: ToPlainText, user: str) -> Iterator[Quote]:
    """Yield the attachments of a message: forwarded messages, link previews, and cards of other apps.

    Args:
        attachments: The attachments of an event.
        plain: Converts mrkdwn to plain text.
        user: The app's user id.
    """
    for one in attachments:
        if text := _attachment_text(one, plain):
            passed_on = one.get("is_share") or one.get("is_msg_unfurl")
            author = plain(str(one.get("author_name") or one.get("author_subname") or one.get("service_name") or ""))
            own = bool(one.get("author_id")) and one["author_id"] == user
            yield Quote(text, author, "forward" if passed_on else "reply", own, _timestamp(one.get("ts")))


def _attachment_text(one: dict[str, Any], plain: ToPlainText) -> str:
    title, url = plain(str(one.get("title") or "")), str(one.get("title_link") or one.get("from_url") or "")
    parts = [
        plain(str(one.get("pretext") or "")),
        f"{title} ({url})" if title and url else title,
        plain(str(one.get("text") or "")) or blocks_text(_message_blocks(one), plain),
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


def _timestamp(stamp: object) -> float | None:
    with suppress(TypeError, ValueError):
        return float(str(stamp))
    return None


def _block_text(block: dict[str, Any], plain: ToPlainText) -> str:
    match block.get("type"):
        case "rich_text":
            return "\n".join(_rich_text(element, plain) for element in block.get("elements") or ())
        case "context":
            return " ".join(filter(None, (_object_text(element, plain) for element in block.get("elements") or ())))
        case "image" | "video":
            return plain(str(block.get("alt_text") or "")) or _object_text(block.get("title"), plain)
        case "table":
            return "\n".join(" | ".join(_table_cell(cell, plain) for cell in row) for row in block.get("rows") or ())
    own = _object_text(block.get("text"), plain)
    return "\n".join(filter(None, (own, *(_object_text(field, plain) for field in block.get("fields") or ()))))


def _table_cell(cell: dict[str, Any], plain: ToPlainText) -> str:
    return _block_text(cell, plain) if cell.get("type") == "rich_text" else plain(str(cell.get("text") or ""))


def _object_text(found: Any, plain: ToPlainText) -> str:
    """Return the text of a text object; ``plain_text`` has no markup."""
    if not isinstance(found, dict):
        return ""
    text = str(found.get("text") or found.get("alt_text") or "")
    return text if found.get("type") == "plain_text" else plain(text)


def _rich_text(element: dict[str, Any], plain: ToPlainText) -> str:
    inner = element.get("elements") or ()
    match element.get("type"):
        case "rich_text_list":
            first, ordered = int(element.get("offset") or 0) + 1, element.get("style") == "ordered"
            indent = "  " * int(element.get("indent") or 0)
            marks = (f"{number}." if ordered else "-" for number, _ in enumerate(inner, first))
            return "\n".join(
                f"{indent}{mark} {_rich_text(item, plain)}" for mark, item in zip(marks, inner, strict=True)
            )
        case "rich_text_quote":
            return "\n".join(f"> {line}" for line in _inline_text(inner, plain).split("\n"))
        case "rich_text_preformatted":
            return f"```\n{_inline_text(inner, plain)}\n```"
    return _inline_text(inner, plain)


def _inline_text(elements: Iterable[dict[str, Any]], plain: ToPlainText) -> str:
    return "".join(_rich_text_element(element, plain) for element in elements)


def _rich_text_element(element: dict[str, Any], plain: ToPlainText) -> str:
    kind = str(element.get("type"))
    if kind in _MENTIONS:
        form, key = _MENTIONS[kind]
        return plain(form.format(element.get(key, "")))
    if kind == "link":
        label, url = str(element.get("text") or ""), str(element.get("url") or "")
        return f"{label} ({url})" if label and label != url else url
    if kind == "emoji":
        return f":{element.get('name', '')}:"
    return str(element.get("text") or element.get("fallback") or element.get("value") or "")
