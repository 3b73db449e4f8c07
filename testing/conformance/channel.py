"""Conformance kit of channels: the tests that every channel's own tests inherit.

A channel's test module subclasses ``ChannelConformance`` and defines one fixture, ``simulator``, the started platform:

    class TestMyChannel(ChannelConformance):
        channel_class = MyChannel

        @pytest.fixture
        async def simulator(self):
            async with MySimulator() as simulator:
                yield simulator

The tests are asynchronous: pytest-asyncio has to run in its ``auto`` mode.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from qwendesk.errors import ChannelError, ConfigError
from qwendesk.testing.conformance.channel_inbound import InboundConformance
from qwendesk.testing.conformance.channel_outbound import OutboundConformance
from qwendesk.testing.simulators.base import Simulator


class ChannelConformance(InboundConformance, OutboundConformance):
    """All tests of a channel: its manifest and credentials, inbound, and outbound."""

    def test_the_manifest_needs_no_library_of_the_platform(self) -> None:
        """The manifest can be read without the platform's library."""
        kind = self.channel_class
        code = (
            f"import sys; from {kind.__module__} import {kind.__name__} as c; c.manifest.settings; print(*sys.modules)"
        )
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert not {*kind.manifest.needs, "telegram", "slack_sdk", "nio", "aiohttp", "starlette"} & set(loaded)

    def test_invalid_settings_are_refused(self) -> None:
        """The error names an unknown or missing setting."""
        manifest = self.channel_class.manifest
        with pytest.raises(ConfigError, match="no_such_setting"):
            manifest.read({"no_such_setting": 1})
        for setting in (setting for setting in manifest.settings if setting.required):
            with pytest.raises(ConfigError, match="needs"):
                manifest.read({})
            assert setting.help

    async def test_a_wrong_credential_is_named(self, simulator: Simulator) -> None:
        """``check`` returns the desk's account, or the error names the wrong credential."""
        channel = self.channel_class.create(self.channel_class.manifest.read(simulator.settings()))
        assert await channel.check()
        await channel.aclose()
        secret = next((one.name for one in self.channel_class.manifest.settings if one.secret and one.required), None)
        if secret is None:
            return
        wrong = self.channel_class.create(self.channel_class.manifest.read(simulator.wrong_settings(secret)))
        with pytest.raises((ChannelError, ConfigError), match=f"(?i){secret}"):
            await wrong.check()
        await wrong.aclose()
