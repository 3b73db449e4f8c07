"""``requirements.lock``: it fits ``pyproject.toml``, and every version has hashes."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def locked() -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for line in re.findall(r"^([a-zA-Z0-9].*?) *\\$", LOCK, re.M):
        requirement = Requirement(line)
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def wanted() -> list[Requirement]:
    (extras,) = re.findall(r"^EXTRAS := (\S+)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    texts = [*PROJECT["dependencies"]]
    for extra in extras.split(","):
        texts += PROJECT["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


def test_every_dependency_is_locked_at_a_version_that_fits() -> None:
    versions = locked()
    for requirement in wanted():
        pins = versions.get(canonicalize_name(requirement.name))
        assert pins, f"{requirement.name} is not locked; run 'make lock'"
        for pin in pins:
            (specifier,) = pin.specifier
            assert specifier.operator == "==", pin
            assert requirement.specifier.contains(specifier.version), (
                f"{pin} does not fit {requirement}; run 'make lock'"
            )


def test_every_locked_version_has_hashes() -> None:
    entries = re.split(r"^(?=[a-zA-Z0-9])", LOCK, flags=re.M)[1:]
    assert len(entries) > 50
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry[:80]


def test_the_lock_names_no_index_and_no_path() -> None:
    assert not re.search(r"(?i)index-url|find-links|file:|https?://|@ ", LOCK)
