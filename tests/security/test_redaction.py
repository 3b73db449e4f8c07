"""No password, key or token stands in an error, a log line or a traceback."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwendesk.cli.serve import SafeFormatter
from qwendesk.errors import ChannelError, ConfigError, EngineError, InputError, QwendeskError, StoreError
from qwendesk.memory.memory import Memory
from qwendesk.redaction import redact
from qwendesk.settings import load_settings

pytestmark = pytest.mark.slow

SECRET = "Sw0rdf1sh-7Q"
TELEGRAM = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-pc"
HOLDING = (
    f"postgresql+psycopg://ann:{SECRET}@db.example/desk",
    f"postgresql+psycopg:/ann:{SECRET}@db.example/desk",
    f"postgresql+psycopg:ann:{SECRET}@db.example/desk",
    f"postgresql+psycopg//ann:{SECRET}@db.example/desk",
    f"postgresql:///ann:{SECRET}@db.example/desk",
    f"postgres://:{SECRET}@db.example",
    f"postgresql://ann:p@{SECRET}@db.example/desk",
    f"postgresql://ann:{SECRET}/x?y#z@db.example/desk",
    f"postgresql://db.example/desk?user=ann&password={SECRET}",
    f"host=db.example password={SECRET} user=ann",
    f"host=db.example password='{SECRET} and more' user=ann",
    f"ann:{SECRET}@db.example:5432/desk",
    f"redis://:{SECRET}@cache.example:6379/0",
    f"http://ann:{SECRET}@proxy.example:3128",
    f"http:/ann:{SECRET}@proxy.example:3128/",
    f"HTTPS://ann:{SECRET}@api.example/v1",
    f"socks5h://ann:{SECRET}@proxy.example",
    f"https://{SECRET}{SECRET}@git.example/x",
    f"imaps://ann:{SECRET}@mail.example",
    f"https://api.telegram.org/bot{TELEGRAM}/getMe",
    f"https://hooks.example/?token={SECRET}&x=1",
    f"https://matrix.example/sync?access_token={SECRET}",
    f"Authorization: Bearer {SECRET}{SECRET}",
    f"{{'authorization': 'Basic {SECRET}='}}",
    f'{{"api_key": "{SECRET}"}}',
    f"QWENDESK_CHANNELS__MAIL__PASSWORD={SECRET}",
    f"xoxb-1234567890-{SECRET}",
    f"xapp-1-A012-345-{SECRET}",
    f"sk-proj-{SECRET}{SECRET}",
)
PLAIN = (
    "'unproven:ann@example.org' is neither a valid code nor the name of a person.",
    "mail:ann@example.org is allowed; xmpp:unproven:room@conf.example/nick, too",
    "The server http://127.0.0.1:8000/v1 does not answer; https://h.example:443/@me does",
    "The mail server refuses the name or the password: check QWENDESK_CHANNELS__MAIL__PASSWORD.",
    "'token' in [channels.telegram] must be str.",
    "write it like 'sqlite+aiosqlite:////folder/qwendesk.db' or 'postgresql+psycopg://HOST/NAME'",
    "@user:matrix.org wrote at 12:30:45,123 to nick!user@host.example",
    "max_tokens=1024, token_timeout=5 (QWENDESK_FIRST_TOKEN_TIMEOUT)",
    "basic information about things, and a bearer of good news",
)


def holds(text: str) -> bool:
    return SECRET in text or TELEGRAM.partition(":")[2] in text


@pytest.mark.parametrize("text", HOLDING)
@pytest.mark.parametrize("around", ["{}", "Failed at '{}' now", "a\n{}\nb", '("{}",)'])
def test_a_secret_is_taken_out_of_an_error_and_of_the_log(text: str, around: str) -> None:
    told = around.format(text)
    for kind in (QwendeskError, ConfigError, InputError, EngineError, StoreError, ChannelError):
        error = kind(told)
        assert not holds(f"{error} {error!r} {error.args}")
    assert not holds(logged(ValueError(told), told))


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


def test_it_takes_no_time_worth_speaking_of() -> None:
    for text in (
        "a:" * 50_000,
        "http://" * 20_000,
        "password=" * 20_000,
        "x" * 200_000,
        "a@" * 50_000,
        "http:a" * 9999,
    ):
        redact(text)  # the suite's time limit ends one that takes quadratic time for long


def logged(error: Exception, text: str) -> str:
    """Return the log of an error with its traceback and its cause."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(SafeFormatter("%(levelname)s %(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError(text) from cause
    except RuntimeError:
        log.exception("It failed: %s", text)
    return written.getvalue()


async def test_a_librarys_exception_is_logged_without_the_token() -> None:
    try:
        async with httpx.AsyncClient() as client:
            await client.get(f"http://ann:{SECRET}@127.0.0.1:1/bot{TELEGRAM}/getMe")
    except httpx.HTTPError as error:
        request = error.request
        assert not holds(logged(error, f"{request.url} {request.headers}"))


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg:/ann:{SECRET}@db.example/desk",
        f"postgresql+psycopg//ann:{SECRET}@db.example/desk",
        f"ann:{SECRET}@db.example/desk",
        f"postgresql+psycopg://ann:x@{SECRET}@db.example/desk",
        f"postgresql+psycopg://ann:x:{SECRET}@db.example:port/desk",
        f"postgresql+nothing://ann:{SECRET}@db.example/desk",
        f"oracle+psycopg://ann:{SECRET}@db.example/desk",
        f"{SECRET}",
        f" {SECRET}://x",
    ],
)
async def test_a_database_address_that_cannot_be_read_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await Memory(url).open()
    assert SECRET not in str(caught.value)


async def test_a_database_that_is_away_is_named_without_its_password() -> None:
    url = f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:1/desk?password={SECRET}&connect_timeout=1"
    with pytest.raises(StoreError) as caught:
        await Memory(url).open()
    assert SECRET not in str(caught.value) and "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("QWENDESK_OPENAI_BASE_URL", f"http:/ann:{SECRET}@server.example/v1"),
        ("QWENDESK_SERVERS__MINE__URL", f"ann:{SECRET}@server.example:8000"),
        ("QWENDESK_CHANNELS", f"{{'mail': '{SECRET}'"),
        ("QWENDESK_THREADS", f"http://ann:{SECRET}@x"),
    ],
)
def test_a_setting_that_does_not_hold_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert SECRET not in str(caught.value) and variable in str(caught.value)


@pytest.mark.parametrize(
    "command",
    [["doctor"], ["memory", "list"], ["pairing", "list"], ["serve"], ["db", "check"], ["chat", "-m", "hi"]],
    ids=" ".join,
)
def test_no_command_prints_the_databases_password(own_home: Path, command: list[str]) -> None:
    url = f"postgresql+psycopg:/ann:{SECRET}@db.example/desk"
    environment = {"QWENDESK_DATABASE_URL": url, "QWENDESK_HOME": str(own_home), "QWENDESK_ENGINE": "scripted"}
    done = subprocess.run(
        [sys.executable, "-m", "qwendesk", *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode and SECRET not in done.stdout + done.stderr and "Traceback" not in done.stderr
