"""Look up known vulnerabilities of requirements.lock; say "not checked" where the service does not answer.

Exits with 1 where a locked version has a known vulnerability.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

COMMAND = ["--requirement", "requirements.lock", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]


def main() -> int:
    """Run pip-audit and tell a checked package from one that the service does not know."""
    program = Path(sys.executable).parent / "pip-audit"
    done = subprocess.run([str(program), *COMMAND, "--format", "json"], capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        packages = []
    checked = [package for package in packages if "skip_reason" not in package]
    vulnerable = [package for package in checked if package["vulns"]]
    for package in vulnerable:
        known = ", ".join(each["id"] for each in package["vulns"])
        print(f"{package['name']} {package['version']}: {known}")
    if not checked:
        why = "the service cannot be reached" if packages else f"pip-audit failed: {done.stderr.strip()[-300:]}"
        print(f"vulnerabilities: not checked, {why}")
    else:
        print(f"vulnerabilities: {len(checked)} of {len(packages)} packages checked, {len(vulnerable)} affected")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
