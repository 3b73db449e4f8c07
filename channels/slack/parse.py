"""Parse events, slash commands and button presses to inbound messages with their files."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from qwendesk.channels.base import MAX_FILE_BYTES
from qwendesk.channels.ingest import add_slash, with_quotes
from qwendesk.channels.slack.blocks import attachment_quotes, blocks_text
from qwendesk.messages import Inbound, kind_of

_UNAVAILABLE_MODES = ("tombstone", "hidden_by_limit")
_USER_SUBTYPES = (None, "file_share", "thread_broadcast", "me_message")
"""Message subtypes of people; ``me_message`` is the text of ``/me``."""
_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_BOLD = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])")
_BULLET = re.compile(r"^( *)[•◦▪] *", re.MULTILINE)
_PERSON = re.compile(r"([^\S\n]*)<@([A-Z0-9]+)>")
_MARKUP = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")


@dataclass(frozen=True, slots=True)
class SlackFile:
    """A file that the bot's token can download."""

    url: str
    """Empty if ``files.info`` has to be called for it."""
    kind: str
    mime: str
    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class SlackFiles:
    """The files of one message."""

    found: tuple[SlackFile, ...] = ()
    links: tuple[str, ...] = ()
    """Name and URL of each external file."""
    unsupported_media: str | None = None
    """Why a file is left out."""


def files_of(files: list[dict[str, Any]]) -> SlackFiles:
    """Return the files of a message that can be downloaded, and links to external ones."""
    found, links, reasons = [], [], []
    for one in files:
        if one.get("is_external") or one.get("mode") == "external":
            links.append(f"{one.get('title') or one.get('name') or 'file'}: {_url(one) or one.get('permalink') or ''}")
        elif reason := _unavailable_reason(one):
            reasons.append(reason)
        else:
            found.append(file_of(one))
    return SlackFiles(tuple(found), tuple(links), reasons[0] if reasons else None)


def file_of(file: dict[str, Any]) -> SlackFile:
    """Return a file from Slack's file object."""
    mime = str(file.get("mimetype") or "application/octet-stream")
    return SlackFile(
        _url(file), kind_of(mime), mime, str(file.get("name") or file.get("title") or ""), str(file.get("id") or "")
    )


def _url(file: dict[str, Any]) -> str:
    return str(file.get("url_private_download") or file.get("url_private") or "")


def _unavailable_reason(file: dict[str, Any]) -> str | None:
    """Return why a file is left out; None if it can be downloaded."""
    size = file.get("size")
    if size is not None and int(size) > MAX_FILE_BYTES:
        return "large file"
    if size is not None and int(size) == 0 and _url(file):
        return "empty file"
    # events contain only the id of a file of another workspace
    is_known = _url(file) or file.get("id")
    return (
        None
        if is_known and file.get("mode") not in _UNAVAILABLE_MODES and file.get("file_access") != "access_denied"
        else "file"
    )


@dataclass(frozen=True, slots=True)
class SlackIdentity:
    """The app's team id and user id."""

    team: str
    user: str


@dataclass(frozen=True, slots=True)
class SlackEvent:
    """A parsed delivery: the message and its files."""

    inbound: Inbound
    files: tuple[SlackFile, ...] = ()
    in_thread: bool = False
    """Whether the message is a reply in a channel's thread, whose first message the desk may not have."""


def parse(kind: str, payload: dict[str, Any], me: SlackIdentity, room: str = "") -> SlackEvent | None:
    """Return the message of a delivery; None if it does not address the desk.

    Args:
        kind: The delivery's type in Socket Mode: ``events_api``, ``slash_commands`` or ``interactive``.
        payload: The delivery's payload.
        me: The app's own account.
        room: The channel that is the operators' room; empty: there is none.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: The payload does not conform to Slack's API.
    """
    match kind:
        case "events_api" if room and payload["event"].get("channel") == room:
            return _room_event(payload["event"], me)
        case "events_api":
            return _event(payload["event"], me)
        case "slash_commands":
            return _of_room(_command(payload, me), room)
        case "interactive":
            return _of_room(_button_press(payload, me), room)
    return None


def _of_room(parsed: SlackEvent | None, room: str) -> SlackEvent | None:
    """Return a slash command or a pressed button, marked if it was given in the operators' room."""
    if parsed is None or not room or parsed.inbound.conversation.partition(":")[0] != room:
        return parsed
    return replace(parsed, inbound=replace(parsed.inbound, in_operators_room=True))


def _room_event(event: dict[str, Any], me: SlackIdentity) -> SlackEvent | None:
    """Return what a person has written, changed or deleted in the operators' room."""
    if event["type"] != "message":
        return None  # a mention comes as a message, too
    subtype = event.get("subtype")
    if subtype in ("message_changed", "message_deleted"):
        return _room_change(event, me)
    if subtype not in _USER_SUBTYPES or not _is_from_person(event, me):
        return None
    files = files_of([*(event.get("files") or ())])
    text = "\n".join(filter(None, (to_markdown(str(event.get("text") or ""), me), *files.links)))
    place = _conversation(event["channel"], event.get("thread_ts"))
    inbound = _inbound(text, place, event["user"], event["ts"], me, False, files.unsupported_media)
    return SlackEvent(replace(inbound, in_operators_room=True), files.found)


def _room_change(event: dict[str, Any], me: SlackIdentity) -> SlackEvent | None:
    """Return that a message of the operators' room was edited or deleted; None for the app's edits and previews."""
    before, after = event.get("previous_message") or {}, event.get("message") or {}
    is_deleted = event["subtype"] == "message_deleted" or after.get("subtype") == "tombstone"
    if not is_deleted and (after.get("user") == me.user or before.get("text") == after.get("text")):
        return None
    stamp = str(event.get("deleted_ts") or before.get("ts") or after["ts"])
    place = _conversation(event["channel"], before.get("thread_ts") or stamp)
    person = str(before.get("user") or "")
    inbound = replace(
        _inbound("", place, person, stamp, me, False, None),
        event=f"{event['channel']}:{event['ts']}",
        in_operators_room=True,
        change="deleted" if is_deleted else "edited",
    )
    return SlackEvent(inbound)


def _event(event: dict[str, Any], me: SlackIdentity) -> SlackEvent | None:
    direct = event.get("channel_type") == "im"
    # Slack sends a mention as app_mention and as message; one of the two is ignored
    wanted = (event["type"] == "message" and direct) or (event["type"] == "app_mention" and not direct)
    if not wanted or event.get("subtype") not in _USER_SUBTYPES or not _is_from_person(event, me):
        return None
    attached = [one for one in event.get("attachments") or () if isinstance(one, dict)]
    files = files_of([*(event.get("files") or ()), *(file for one in attached for file in one.get("files") or ())])
    read = partial(to_plain_text, me=me)
    text = read(str(event.get("text") or "")) or read(blocks_text(event.get("blocks") or (), str))
    text = with_quotes("\n".join(filter(None, (text, *files.links))), attachment_quotes(attached, read, me.user))
    if not (text or files.found or files.unsupported_media):
        return None
    root = event.get("thread_ts") or (None if direct else event["ts"])
    place = _conversation(event["channel"], root)
    inbound = _inbound(text, place, event["user"], event["ts"], me, direct, files.unsupported_media)
    return SlackEvent(inbound, files.found, in_thread=not direct and root != event["ts"])


def _command(payload: dict[str, Any], me: SlackIdentity) -> SlackEvent:
    direct = str(payload["channel_id"]).startswith("D")
    text = add_slash(str(payload.get("text") or "help"))
    inbound = _inbound(text, str(payload["channel_id"]), payload["user_id"], "", me, direct, None)
    # in channels without the app this URL is the only way to answer
    response_url = str(payload.get("response_url") or "") or None
    return SlackEvent(
        replace(inbound, event=f"command:{payload['trigger_id']}", reply_to=response_url, is_control=True)
    )


def _button_press(payload: dict[str, Any], me: SlackIdentity) -> SlackEvent | None:
    if payload.get("type") != "block_actions":
        return None
    message, channel = payload["message"], payload["channel"]["id"]
    root = message.get("thread_ts")
    # the message that starts a thread is not part of it
    place = _conversation(channel, root if root != message.get("ts") else None)
    direct = str(channel).startswith("D")
    inbound = _inbound(str(payload["actions"][0]["value"]), place, payload["user"]["id"], "", me, direct, None)
    return SlackEvent(replace(inbound, event=f"press:{payload['trigger_id']}", is_control=True))


def _inbound(
    text: str, place: str, user: str, ts: str, me: SlackIdentity, direct: bool, unsupported_media: str | None
) -> Inbound:
    return Inbound(
        text,
        place,
        person=str(user),
        channel="slack",
        account=me.team,
        event=f"{place.partition(':')[0]}:{ts}",
        reply_to=ts or None,
        group=not direct,
        unsupported_media=unsupported_media,
    )


def _conversation(channel: str, root: str | None) -> str:
    """Return the conversation key of a channel, or of a thread in it."""
    return f"{channel}:{root}" if root else str(channel)


def _is_from_person(event: dict[str, Any], me: SlackIdentity) -> bool:
    return not event.get("bot_id") and bool(event.get("user")) and event["user"] != me.user


def to_plain_text(text: str, me: SlackIdentity) -> str:
    """Convert mrkdwn to plain text without mentions of the app, with each link's URL after its label."""

    def read(found: re.Match[str]) -> str:
        mark, target, label = found.groups()
        if mark:
            return (mark if mark in ("@", "#") else "") + (label or target)
        return _linked(target, label or "")

    return html.unescape(_MARKUP.sub(read, _without_calls(text, me))).strip()


def to_markdown(text: str, me: SlackIdentity) -> str:
    """Convert mrkdwn to Markdown without mentions of the app; a mention of a person without a name stays."""

    def read(found: re.Match[str]) -> str:
        mark, target, label = found.groups()
        if mark == "@" and not label:
            return found[0]
        if mark:
            return (mark if mark in ("@", "#") else "") + (label or target)
        return f"[{label}]({target})" if _linked(target, label or "") == f"{label} ({target})" else _linked(target, "")

    parts = _CODE.split(_without_calls(text, me))
    for number in range(0, len(parts), 2):
        part = _BULLET.sub(r"\1- ", _STRUCK.sub(r"~~\1~~", _BOLD.sub(r"**\1**", parts[number])))
        parts[number] = _MARKUP.sub(read, part)
    return html.unescape("".join(parts)).strip()


def mentioned_people(text: str) -> list[str]:
    """Return the ids of the people whom a text mentions without a name."""
    return list(dict.fromkeys(person for _, person in _PERSON.findall(text)))


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Return a text with the names of the people whom it mentions; a person without a name is left out."""
    return _PERSON.sub(lambda found: f"{found[1]}@{names[found[2]]}" if names.get(found[2]) else "", text).strip()


def _without_calls(text: str, me: SlackIdentity) -> str:
    called = rf"<@{re.escape(me.user)}(?:\|[^<>]*)?>"
    return re.sub(rf"\A(?:\s*{called}[,:]?)+\s*|[^\S\n]*{called}", "", text) if me.user else text


def _linked(url: str, label: str) -> str:
    bare = url.removeprefix("mailto:").removeprefix("tel:")
    if not label or label == bare or label.rstrip("/") == url.partition("://")[2].rstrip("/"):
        return bare
    return url if label == url else f"{label} ({url})"
