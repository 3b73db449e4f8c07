"""Build channels from the settings, and read the settings of each channel that the desk itself uses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qwendesk.channels.base import COMMON_SETTINGS, Channel, Component
from qwendesk.desk.access import AccessPolicy
from qwendesk.errors import ConfigError, PluginError
from qwendesk.plugins import guarded, load
from qwendesk.settings import Settings, read_notice, read_switch

COMMON_SETTING_NAMES = tuple(setting.name for setting in COMMON_SETTINGS)
"""Settings of every channel that the desk reads itself."""
_FEEDBACK_BUTTONS = "feedback_buttons"
_MACHINE_NOTICE = "machine_notice"
log = logging.getLogger(__name__)


def make_channels(settings: Settings, excluded: dict[str, str] | None = None) -> dict[str, Channel]:
    """Return the channels that are set up; nothing is connected yet.

    A channel whose plug-in cannot be imported or made is left out, and the log names it.

    Args:
        settings: all settings.
        excluded: receives the error of each channel that is left out, by channel name.

    Raises:
        ConfigError: one is unknown, or its settings are invalid.
    """
    made: dict[str, Channel] = {}
    for name, values in settings.channels.items():
        try:
            made[name] = make_channel(load("channels", name), values, settings)
        except PluginError as error:
            log.error("Left out: %s", error)
            if excluded is not None:
                excluded[name] = str(error)
    return made


def make_channel(kind: type[Channel], values: Mapping[str, Any], settings: Settings) -> Channel:
    """Return one channel of its settings.

    Raises:
        ConfigError: it is not served, its library is not installed, or its settings are invalid.
    """
    with guarded("channels", kind.manifest.name):
        kind.manifest.check_served()
        kind.manifest.check_installed()
        own = kind.manifest.read({key: value for key, value in values.items() if key not in COMMON_SETTING_NAMES})
        if own.get("data_dir") == "":
            own["data_dir"] = str(settings.data_dir / "channels" / kind.manifest.name)
        return kind.create(own)


async def check_channel(name: str, settings: Settings) -> Channel:
    """Create a channel from its settings and close it; nothing is connected.

    Raises:
        ConfigError: its library is not installed, or its settings are invalid.
    """
    values = settings.channels[name]
    AccessPolicy.read(name, values)
    channel = make_channel(load("channels", name), values, settings)
    await channel.aclose()
    return channel


def check_component(channels: Mapping[str, Channel], component: Component) -> None:
    """Raise an error if a channel cannot be split into components.

    Raises:
        ConfigError: a channel can only send from the process that listens.
    """
    whole = [name for name, channel in channels.items() if channel.manifest.capabilities.single_process]
    if whole:
        raise ConfigError(
            f"--component {component} cannot serve the channel {whole[0]!r}: only the process that listens there "
            "can send. Serve that channel by a separate desk, without --component."
        )


def access_policy(name: str, channel: Channel, settings: Settings) -> AccessPolicy:
    """Return a channel's access policy; a channel that does not prove who writes has no operators.

    Raises:
        ConfigError: the channel's settings are invalid.
    """
    policy = AccessPolicy.read(name, settings.channels.get(name, {}))
    if not channel.authenticates_senders and (policy.operators or policy.owners):
        log.warning("%s has no operators or owners: it does not prove who writes (docs/how-to/access.md).", name)
    forgeable_senders = channel.manifest.capabilities.forgeable_senders
    return replace(policy, forgeable_senders=forgeable_senders, authenticates_senders=channel.authenticates_senders)


def machine_notice(channel: str, settings: Settings) -> str | bool:
    """Return a channel's notice that a machine answers: a text, True for the built-in one, False for none.

    Raises:
        ConfigError: the channel's setting is invalid.
    """
    own = settings.channels.get(channel, {}).get(_MACHINE_NOTICE, settings.machine_notice)
    try:
        return read_notice(own)
    except ValueError as error:
        raise ConfigError(f"{_MACHINE_NOTICE!r} in [channels.{channel}] must be {error}.") from None


def asks_for_feedback(channel: str, settings: Settings) -> bool:
    """Return whether answers on a channel have feedback buttons.

    Raises:
        ConfigError: the channel's setting is neither true nor false.
    """
    own = settings.channels.get(channel, {}).get(_FEEDBACK_BUTTONS, settings.feedback_buttons)
    switch = read_switch(own)
    if switch is None:
        raise ConfigError(f"{_FEEDBACK_BUTTONS!r} in [channels.{channel}] must be true or false, not {own!r}.")
    return switch
