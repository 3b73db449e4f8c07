"""Hostile requests and frames of every kind, to every channel that is called: no crash, no leak, visitors answered.

``python -m benchmarks.hostile`` sends ten thousand of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.hostile import MB, measure


@pytest.mark.slow
async def test_hostile_inputs_leave_the_desk_as_it_was(tmp_path: Path) -> None:
    outcome = await measure(tmp_path, 150, seed=7, settle=2.0)
    assert outcome.growth < 50 * MB
    assert outcome.statuses[400] and outcome.statuses[401] and 500 not in outcome.statuses
    assert len(outcome.waits) >= 2
