"""Settings files as editors and systems write them, and the environment's proxies and certificates."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qwendesk.certificates import trusted_certificates
from qwendesk.errors import ConfigError, reason
from qwendesk.proxies import proxy_errors, uses_proxies
from qwendesk.settings import load_settings, unknown_variables
from tests.engines.web_server import Reply, serve

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_settings_files_with_and_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "qwendesk.toml").write_text('system_context = "Größe 東京"\n', encoding)
    (tmp_path / ".env").write_text("QWENDESK_SEED=7\n", encoding)
    settings = load_settings()
    assert (settings.system_context, settings.seed) == ("Größe 東京", 7)
    assert unknown_variables() == []


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("name", ["qwendesk.toml", ".env"])
def test_a_settings_file_that_is_not_utf_8_is_named_in_one_line(tmp_path: Path, name: str, encoding: str) -> None:
    text = (
        'seed = 1\nsystem_context = "Größe"\n'
        if name.endswith("toml")
        else "QWENDESK_SEED=1\nQWENDESK_SYSTEM_CONTEXT=Größe\n"
    )
    (tmp_path / name).write_bytes(text.encode(encoding))
    with pytest.raises(ConfigError) as refused:
        load_settings()
    told = str(refused.value)
    assert name in told and "UTF-8" in told and "\n" not in told


def test_a_settings_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "qwendesk.toml").write_text("engine = \n", "utf-8")
    with pytest.raises(ConfigError, match=r"qwendesk.toml.*TOML.*line 1"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/v1", False), ("http://127.8.9.1", False), ("http://localhost:11434", False),
        ("localhost:11434", False), ("http://[::1]:1/v1", False), ("0.0.0.0:11434", False),
        ("http://model.localhost", False), ("http://10.0.0.5:8000/v1", True), ("https://api.example/v1", True),
        ("http://localhost.example", True), ("http://[2001:db8::1]", True),
    ],
)  # fmt: skip
def test_servers_on_this_machine_are_asked_without_a_proxy(url: str, expected: bool) -> None:
    assert uses_proxies(url) is expected


def test_an_unusable_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks://ana:geheim@10.0.0.1:9")
    with pytest.raises(ConfigError) as refused, proxy_errors():
        raise ValueError("Unknown scheme for proxy URL")
    told = str(refused.value)
    assert "ALL_PROXY=socks://10.0.0.1:9" in told and "socks5://" in told and "geheim" not in told


def test_an_error_that_no_proxy_can_have_caused_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with pytest.raises(ValueError, match="other"), proxy_errors():
        raise ValueError("other")


def test_clients_share_one_context_which_checks_certificates_and_names() -> None:
    context = trusted_certificates()
    assert context is trusted_certificates()
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 0


def answer(path: str, body: dict[str, Any]) -> Reply:
    if "models" in path:
        return Reply({"object": "list", "data": [{"id": "m", "object": "model"}]})
    choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}
    chunk = {"id": "x", "object": "chat.completion.chunk", "choices": [choice]}
    return Reply(lines=[f"data: {json.dumps(chunk)}\n\n", "data: [DONE]\n\n"], kind="text/event-stream")


async def chat(url: str, **environment: str) -> tuple[int, str]:
    """Ask the model server at an address by the command line; return the exit code and what was written."""
    clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    settings = {"QWENDESK_ENGINE": "vllm", "QWENDESK_MODEL": "vllm:m", "QWENDESK_SERVERS__VLLM__URL": f"{url}/v1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "qwendesk", "chat", "-m", "hi"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean | settings | environment,
    )
    written, _ = await process.communicate()
    return process.returncode or 0, written.decode()


@pytest.mark.parametrize(
    ("variable", "proxy"), [("ALL_PROXY", "socks://127.0.0.1:9"), ("HTTP_PROXY", "http://127.0.0.1:9")]
)
async def test_a_server_on_this_machine_answers_whatever_proxy_is_set(variable: str, proxy: str) -> None:
    async with serve(answer) as site:
        code, written = await chat(site.url, **{variable: proxy})
    assert (code, "Hello" in written) == (0, True), written


async def test_a_server_elsewhere_behind_an_unusable_proxy_names_the_variable() -> None:
    code, written = await chat("http://models.example", ALL_PROXY="socks://127.0.0.1:9")
    assert code == 1 and "ALL_PROXY" in written and "Traceback" not in written


class Odd(Exception):
    """An error of a library."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Odd("it broke.\n  here"), "it broke. here"),
        (TimeoutError(), "no answer in time"),
        (ConnectionResetError(), "the connection was lost"),
        (EOFError(), "the connection was lost"),
        (Odd(), "no reason was given"),
        (Odd("x" * 400), "x" * 299 + "…"),
    ],
)
def test_a_reason_is_told_in_words_and_never_by_a_class(error: Exception, expected: str) -> None:
    assert reason(error) == expected


def test_an_error_without_words_is_told_by_its_cause() -> None:
    try:
        try:
            raise OSError("disk is full")
        except OSError as cause:
            raise Odd from cause
    except Odd as error:
        assert reason(error) == "disk is full"
