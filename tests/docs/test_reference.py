"""The generated reference pages say what the code says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_generated_pages_match_the_code() -> None:
    done = subprocess.run([sys.executable, ROOT / ".ci" / "reference.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_setting_has_a_meaning() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    rows = [line.removesuffix(" |").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 60 and not [row[0] for row in rows if not row[-1].strip()]
