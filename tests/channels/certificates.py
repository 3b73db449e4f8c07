"""A certificate for a server of the tests, which vouches for itself."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    """Two files; readable by servers that give up their rights."""

    file: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, name: str) -> Certificate:
        """Make a certificate for a name or an address."""
        openssl = shutil.which("openssl") or pytest.skip("needs openssl: apt-get install openssl")
        made = cls(folder / "certificate.pem", folder / "key.pem")
        kind = "IP" if name.replace(".", "").isdecimal() else "DNS"
        about = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}"]
        how = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        where = ["-keyout", str(made.key), "-out", str(made.file)]
        subprocess.run([openssl, *how, *about, *where], check=True, capture_output=True)
        made.key.chmod(0o644)
        return made
