"""Error texts of invalid settings: name, value and allowed values."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwendesk.errors import ConfigError
from qwendesk.settings import load_settings

ROLES = "'general', 'coder', 'math', 'vision', 'thinking' or 'audio'"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PORT", "abc", "port (QWENDESK_PORT) is 'abc', and has to be a whole number."),
        ("PORT", "99999", "is '99999', and has to be 65535 or less."),
        ("CONTEXT_TOKENS", "5", "context_tokens (QWENDESK_CONTEXT_TOKENS) is '5', and has to be 512 or more."),
        ("TOKEN_TIMEOUT", "0", "is '0', and has to be more than 0."),
        ("TOKEN_TIMEOUT", "soon", "is 'soon', and has to be a number."),
        ("OLLAMA_PULL", "perhaps", "is 'perhaps', and has to be true or false."),
        ("OLLAMA_KEEP_ALIVE", "long", "is 'long', and has to be a time such as 30m,"),
        ("THINKING", "maybe", "is 'maybe', and has to be 'auto', 'on' or 'off'."),
        ("ROLES", '{"poet": "x"}', f"roles (QWENDESK_ROLES) has 'poet', which has to be {ROLES}."),
        ("ROLES", "poet", "QWENDESK_ROLES is 'poet', and a list or a table has to be JSON in a variable"),
        ("FALLBACK__CHAIN", "a,b", "QWENDESK_FALLBACK__CHAIN is 'a,b', and a list or a table has to be JSON"),
        ("SERVERS", "5", "servers (QWENDESK_SERVERS) is set, and has to be a table."),
        ("SERVERS__GPU__ADDRESS", "x", "There is no setting servers.gpu.address (QWENDESK_SERVERS__GPU__ADDRESS)."),
        ("SERVERS__GPU__URL", "gpu:8000/v1", "is 'gpu:8000/v1', and has to be an address that begins with http://"),
        ("SERVERS__GPU__URL", "http://", "is 'http://', and has to be an address that begins with http://"),
        (
            "MAX_CONCURRENT_REQUESTS",
            '{"ollama": 0}',
            "max_concurrent_requests.ollama (QWENDESK_MAX_CONCURRENT_REQUESTS__OLLAMA) is 0",
        ),
    ],
)
def test_a_variable_that_does_not_hold(variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"QWENDESK_{variable}", value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert words in str(caught.value) and "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("CHANNELS", "{oops"), ("CHANNELS", "7"), ("CHANNELS__TELEGRAM", "hunter2"), ("SERVERS", "{")],
)
def test_a_mistake_shows_no_secret_beside_it(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable != "CHANNELS__TELEGRAM":
        monkeypatch.setenv("QWENDESK_CHANNELS__TELEGRAM__TOKEN", "123:hunter2")
        monkeypatch.setenv("QWENDESK_SERVERS__GPU__API_KEY", "hunter2")
    monkeypatch.setenv(f"QWENDESK_{variable}", value)
    with pytest.raises(ConfigError, match=f"QWENDESK_{variable}.* is set") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_file_that_does_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "qwendesk.toml"
    file.write_text('port = "abc"\n[servers.vllm]\nurl = "vllm/v1"\n[fallback]\nchain = "a"\n', "utf-8")
    monkeypatch.setenv("QWENDESK_CONFIG", str(file))
    with pytest.raises(ConfigError) as caught:
        load_settings()
    text = str(caught.value)
    assert "servers.vllm.url" in text and "fallback.chain" in text and "has to be a list." in text and "port" in text


def test_a_forgotten_letter_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "qwendesk.toml"
    file.write_text("[channel.web]\n", "utf-8")
    monkeypatch.setenv("QWENDESK_CONFIG", str(file))
    with pytest.raises(ConfigError, match=r"no setting channel \(.*, line 1\)\. Did you mean 'channels'\?$"):
        load_settings()


def test_other_programs_variables_are_called_by_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "localhost:1")
    with pytest.raises(ConfigError, match=r"openai_base_url \(OPENAI_BASE_URL\) is 'localhost:1'"):
        load_settings()


def test_a_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_SERVERS", '{"vllm": {"api_key": ["sk-secret"]}}')
    with pytest.raises(ConfigError, match=r"servers.vllm.api_key .* is set, and has to be") as caught:
        load_settings()
    assert "sk-secret" not in str(caught.value)


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "own.toml"
    monkeypatch.setenv("QWENDESK_CONFIG", str(file))
    return file


def refused() -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings()
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("seed = 1\nmessages_per_hour = 0\n", "messages_per_hour", 2),
        ("[http]\n\nconnections = 1\n", "http.connections", 3),
        ("http.connections = 1\n", "http.connections", 1),
        ("seed = 1\nhttp = { connections = 1 }\n", "http.connections", 2),
        ('system_context = """\nport = 1\n"""\nport = "x"\n', "port", 4),
        ('# a text: """\nport = "x"\n', "port", 2),
        ("system_context = 'with \"\"\" in it' # and '''\nport = 'x'\n", "port", 2),
        ("system_context = '''\n\"\"\"\nport = 1\n'''\nport = 'x'\n", "port", 5),
        ('system_context = """a""" # """\nport = "x"\n', "port", 2),
        ('[ "servers" . "a" ]\nurl = "x"\n', "servers.a.url", 2),
        ("\n[max_concurrent_requests]\n'ollama:qwen3:8b' = 0\n", "max_concurrent_requests.ollama:qwen3:8b", 3),
        ("\n[[channels.web]]\n", "channels.web", 2),
    ],
)
def test_a_value_of_the_file_is_named_with_file_and_line(text: str, name: str, line: int, settings_file: Path) -> None:
    settings_file.write_text(text, "utf-8")
    assert f"{name} ({str(settings_file)!r}, line {line}) is " in refused()


def test_a_variable_that_overrides_the_file_is_named(settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_file.write_text("messages_per_hour = 1\n", "utf-8")
    monkeypatch.setenv("QWENDESK_MESSAGES_PER_HOUR", "0")
    assert "messages_per_hour (QWENDESK_MESSAGES_PER_HOUR) is '0'" in refused()


def test_unknown_settings_are_named_with_line_and_nearest_name(settings_file: Path) -> None:
    settings_file.write_text("enigne = 1\n[http]\nconections = 5\n[servers.gpu]\nulr = 1\n", "utf-8")
    text = refused()
    file = repr(str(settings_file))
    assert f"There is no setting enigne ({file}, line 1). Did you mean 'engine'?" in text
    assert f"There is no setting http.conections ({file}, line 3). Did you mean 'connections'?" in text
    assert f"There is no setting servers.gpu.ulr ({file}, line 5). Did you mean 'url'?" in text
    assert "Known:" not in text, "the nearest name is enough"


def test_an_unknown_setting_like_no_other_gets_the_list(settings_file: Path) -> None:
    settings_file.write_text("zzz = 1\n", "utf-8")
    assert "There is no setting zzz" in refused() and "Known: allow_health_facts, " in refused()


def test_all_errors_are_shown_at_once(settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_file.write_text("enigne = 1\nport = 'x'\nseed = 'y'\n", "utf-8")
    monkeypatch.setenv("QWENDESK_THREADS", "0")
    lines = refused().splitlines()
    assert len(lines) == 5 and "4" in lines[0]
    assert all(any(name in line for line in lines[1:]) for name in ("enigne", "port", "seed", "QWENDESK_THREADS"))
