"""From Slack's events, slash commands and button presses to a message for the desk."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from qwendesk.channels.mentions import add_slash
from qwendesk.channels.references import with_quotes
from qwendesk.channels.slack.blocks import shared, words
from qwendesk.channels.slack.files import File, files_of
from qwendesk.messages import Inbound

_SAID = (None, "file_share", "thread_broadcast", "me_message")
"""The kinds of message that a person writes; ``me_message`` is what follows ``/me``."""
_MARKED = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")


@dataclass(frozen=True, slots=True)
class Me:
    """The app's own account in a workspace."""

    team: str
    user: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message and the files it speaks of."""

    inbound: Inbound
    files: tuple[File, ...] = ()
    in_thread: bool = False
    """Whether it was written into a thread of a channel that somebody may have begun without the desk."""


def parse(kind: str, payload: dict[str, Any], me: Me) -> Parsed | None:
    """Return what a delivery says to the desk; None where it is not for the desk.

    Args:
        kind: ``events_api``, ``slash_commands`` or ``interactive``, as Socket Mode names them.
        payload: the delivery.
        me: the app itself.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it has not the shape that Slack promises.
    """
    match kind:
        case "events_api":
            return _event(payload["event"], me)
        case "slash_commands":
            return _command(payload, me)
        case "interactive":
            return _pressed(payload, me)
    return None


def _event(event: dict[str, Any], me: Me) -> Parsed | None:
    direct = event.get("channel_type") == "im"
    # a mention comes as a message too; only one of the two is taken
    wanted = (event["type"] == "message" and direct) or (event["type"] == "app_mention" and not direct)
    if not wanted or event.get("subtype") not in _SAID or not _from_a_person(event, me):
        return None
    attached = [one for one in event.get("attachments") or () if isinstance(one, dict)]
    files = files_of([*(event.get("files") or ()), *(file for one in attached for file in one.get("files") or ())])
    read = partial(plain, me=me)
    text = read(str(event.get("text") or "")) or read(words(event.get("blocks") or (), str))
    text = with_quotes("\n".join(filter(None, (text, *files.links))), shared(attached, read, me.user))
    if not (text or files.found or files.unsupported_media):
        return None
    root = event.get("thread_ts") or (None if direct else event["ts"])
    place = _place(event["channel"], root)
    inbound = _inbound(text, place, event["user"], event["ts"], me, direct, files.unsupported_media)
    return Parsed(inbound, files.found, in_thread=not direct and root != event["ts"])


def _command(payload: dict[str, Any], me: Me) -> Parsed:
    direct = str(payload["channel_id"]).startswith("D")
    text = add_slash(str(payload.get("text") or "help"))
    inbound = _inbound(text, str(payload["channel_id"]), payload["user_id"], "", me, direct, None)
    # where the desk is no member, this address is the only way to answer
    door = str(payload.get("response_url") or "") or None
    return Parsed(replace(inbound, event=f"command:{payload['trigger_id']}", reply_to=door))


def _pressed(payload: dict[str, Any], me: Me) -> Parsed | None:
    if payload.get("type") != "block_actions":
        return None
    message, channel = payload["message"], payload["channel"]["id"]
    root = message.get("thread_ts")
    # a thread below the desk's own message does not make that message part of it
    place = _place(channel, root if root != message.get("ts") else None)
    direct = str(channel).startswith("D")
    inbound = _inbound(str(payload["actions"][0]["value"]), place, payload["user"]["id"], "", me, direct, None)
    return Parsed(replace(inbound, event=f"press:{payload['trigger_id']}"))


def _inbound(text: str, place: str, user: str, ts: str, me: Me, direct: bool, unsupported_media: str | None) -> Inbound:
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


def _place(channel: str, root: str | None) -> str:
    """Return the key of a channel, or of a thread in it."""
    return f"{channel}:{root}" if root else str(channel)


def _from_a_person(event: dict[str, Any], me: Me) -> bool:
    return not event.get("bot_id") and bool(event.get("user")) and event["user"] != me.user


def plain(text: str, me: Me) -> str:
    """Return a text as it was typed: without the app's own name, the address of a link behind its words."""

    def read(found: re.Match[str]) -> str:
        mark, target, label = found.groups()
        if mark:
            return (mark if mark in ("@", "#") else "") + (label or target)
        return _linked(target, label or "")

    called = rf"<@{re.escape(me.user)}(?:\|[^<>]*)?>"
    text = re.sub(rf"\A(?:\s*{called}[,:]?)+\s*|[^\S\n]*{called}", "", text) if me.user else text
    return html.unescape(_MARKED.sub(read, text)).strip()


def _linked(url: str, label: str) -> str:
    bare = url.removeprefix("mailto:").removeprefix("tel:")
    if not label or label == bare or label.rstrip("/") == url.partition("://")[2].rstrip("/"):
        return bare
    return url if label == url else f"{label} ({url})"
