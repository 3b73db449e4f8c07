"""The generated reference pages say what the code says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_generated_pages_match_the_code() -> None:
    done = subprocess.run([sys.executable, ROOT / ".ci" / "reference.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
