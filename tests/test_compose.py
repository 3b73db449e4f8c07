"""``docker-compose.yml``: it is read as Docker would, without Docker."""

import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from qwendesk.engines.servers import server_entry
from qwendesk.plugins import load, names
from qwendesk.settings import Settings

FILE = Path(__file__).parent.parent / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(\w+)(:?-)?([^}]*)\}")


def compose(**variables: str) -> dict[str, Any]:
    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        given = variables.get(name)
        return default if given is None or (not given and kind == ":-") else given

    services: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, FILE.read_text("utf-8")))["services"]
    return services


def flags(**variables: str) -> dict[str, str]:
    words = shlex.split(compose(**variables)["vllm"]["command"])
    at = [n for n, word in enumerate(words) if word.startswith("--")]
    ends = [*at[1:], len(words)]
    return {"model": words[0]} | {words[n]: " ".join(words[n + 1 : end]) for n, end in zip(at, ends, strict=True)}


def test_vllm_is_told_all_that_the_desk_needs() -> None:
    assert flags() == {
        "model": "Qwen/Qwen3-8B",
        "--tensor-parallel-size": "1",
        "--gpu-memory-utilization": "0.90",
        "--max-model-len": "32768",
        "--enable-auto-tool-choice": "",
        "--tool-call-parser": "hermes",
        "--reasoning-parser": "qwen3",
    }


def test_each_part_can_be_changed() -> None:
    told = flags(
        VLLM_MODEL="Qwen/Qwen2.5-32B-Instruct-AWQ",
        VLLM_TENSOR_PARALLEL="4",
        VLLM_GPU_MEMORY="0.8",
        VLLM_MAX_MODEL_LEN="8192",
        VLLM_TOOL_PARSER="qwen3_coder",
        VLLM_THINKING="",
        VLLM_FLAGS="--max-num-seqs 32",
    )
    assert (told["model"], told["--tensor-parallel-size"]) == ("Qwen/Qwen2.5-32B-Instruct-AWQ", "4")
    assert (told["--gpu-memory-utilization"], told["--max-model-len"]) == ("0.8", "8192")
    assert (told["--tool-call-parser"], told["--max-num-seqs"]) == ("qwen3_coder", "32")
    assert "--reasoning-parser" not in told


def test_vllm_starts_only_when_asked_for() -> None:
    services = compose()
    assert {name for name, service in services.items() if "vllm" in service.get("profiles", ())} == {
        "vllm",
        "desk-vllm",
    }
    assert services["desk-vllm"]["depends_on"] == {"vllm": {"condition": "service_healthy"}}
    assert services["vllm"]["healthcheck"]["test"][0] == "CMD"


def test_every_volume_is_declared() -> None:
    declared = yaml.safe_load(FILE.read_text("utf-8"))["volumes"]
    used = {volume.partition(":")[0] for service in compose().values() for volume in service.get("volumes", ())}
    assert used == set(declared)


@pytest.mark.parametrize(("service", "engine"), [("desk", "ollama"), ("desk-vllm", "vllm")])
def test_the_desk_finds_its_server(service: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compose()[service]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.engine, os.environ["QWENDESK_HOME"]) == (engine, "/data")
    url = settings.ollama_host if engine == "ollama" else server_entry(engine, settings).url
    assert url in ("http://ollama:11434", "http://vllm:8000/v1")
    assert url.split("//")[1].split(":")[0] in compose()


def test_the_image_has_what_the_channels_and_the_shared_database_need() -> None:
    root = FILE.parent
    (line,) = re.findall(r"^EXTRAS := (\S+)", (root / "Makefile").read_text("utf-8"), re.M)
    known = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    needed = {name for name in names("channels") if load("channels", name).manifest.needs}
    assert {*needed, "postgres"} <= set(line.split(",")) <= set(known)


def test_each_part_of_the_desk_runs_and_they_share_a_database() -> None:
    parts = {name: service for name, service in compose().items() if service.get("profiles") == ["scale"]}
    roles = {part["command"].split()[-1] for part in parts.values() if part["command"].startswith("serve")}
    assert roles == {"ingress", "worker", "web"}
    ports = [port for part in parts.values() for port in part.get("ports", ())]
    assert len({port.split(":")[1] for port in ports}) == len(ports) == 2
    urls = {part["environment"].get("QWENDESK_DATABASE_URL") for name, part in parts.items() if name != "postgres"}
    assert urls == {"postgresql+psycopg://desk@postgres/desk"}


def test_no_service_has_a_default_password() -> None:
    def passwords(**variables: str) -> set[str]:
        environments = [service.get("environment", {}) for service in compose(**variables).values()]
        return {value or "" for each in environments for name, value in each.items() if "PASSWORD" in name}

    assert passwords() == {""}, "PostgreSQL's image refuses an empty password"
    assert passwords(POSTGRES_PASSWORD="p@ss/word") == {"p@ss/word"}


def test_images_are_named_by_version() -> None:
    images = [service["image"] for service in compose().values() if "image" in service]
    dockerfile = (FILE.parent / "Dockerfile").read_text("utf-8")
    images += re.findall(r"^FROM (\S+)", dockerfile, re.M)
    assert len(images) >= 4
    for image in images:
        assert re.search(r":v?\d+\.\d+", image), image


def test_what_listens_has_a_health_check() -> None:
    dockerfile = (FILE.parent / "Dockerfile").read_text("utf-8")
    assert re.search(r"^HEALTHCHECK .*\n.*healthz", dockerfile, re.M)
    built = {name: service for name, service in compose().items() if "build" in service}
    silent = {name for name, service in built.items() if service.get("healthcheck") == {"disable": True}}
    assert silent == {"desk", "desk-vllm", "worker"}, "what does not listen is not asked"
