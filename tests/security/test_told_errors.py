"""Whatever fails, a customer is told a general sentence; the details are in the log."""

import re
from pathlib import Path

import pytest

from qwendesk.desk.translations import languages, say
from qwendesk.errors import (
    ChannelError,
    ConfigError,
    EngineError,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    InputError,
    ModelStoreError,
    QwendeskError,
    ToolError,
)
from qwendesk.messages import Attachment
from tests.security.served import served

pytestmark = pytest.mark.slow

DETAILS = (
    "/srv/qwendesk/models/x.gguf is away: run 'qwendesk models pull x' or set QWENDESK_MODEL; http://10.0.0.7:8000"
)
INSIDE = re.compile(r"qwendesk|/srv|QWENDESK|10\.0\.0|gguf|Error|scripted|SQL|Traceback", re.IGNORECASE)
ERRORS: tuple[Exception, ...] = (
    ConfigError(DETAILS),
    InputError(DETAILS),
    EngineError(DETAILS),
    EngineFailed(DETAILS),
    EngineTimeout(DETAILS),
    EngineUnavailable(DETAILS),
    ModelStoreError(DETAILS),
    ToolError(DETAILS),
    ChannelError(DETAILS),
    QwendeskError(DETAILS),
    RuntimeError(DETAILS),
    OSError(2, DETAILS, "/srv/secret"),
    KeyError(DETAILS),
    RecursionError(DETAILS),
)
GENERAL = ("timeout", "unavailable", "failed", "not_taken_here")


async def test_an_error_of_a_turn_is_told_in_general_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwendesk.desk.worker._MODEL_RETRY_PAUSES_SECONDS", ())
    failing: list[Exception] = []

    def script(messages: object) -> str:
        raise failing[-1]

    async with served(tmp_path, script) as desk:
        for error in ERRORS:
            failing.append(error)
            caplog.clear()
            told = await desk.told("please tell me about the garden")
            assert told in [say(key, "en") for key in GENERAL], type(error)
            assert "/srv" in caplog.text, f"who runs the desk sees {type(error)}"


@pytest.mark.slow
async def test_the_general_words_are_in_the_persons_language(tmp_path: Path) -> None:
    def script(messages: object) -> str:
        raise EngineError(DETAILS)

    async with served(tmp_path, script) as desk:
        for language in languages():
            await desk.told(f"/lang {language}")
            assert await desk.told("x = 1") == say("failed", language)


@pytest.mark.parametrize(("kind", "mime"), [("image", "image/png"), ("audio", "audio/wav")])
async def test_what_no_model_can_see_or_hear_names_no_command(tmp_path: Path, kind: str, mime: str) -> None:
    from qwendesk.engines.scripted import SCRIPTED_MODELS, ScriptedEngine

    attachment = Attachment(kind, mime, b"x")  # type: ignore[arg-type]
    engine = ScriptedEngine(cards=SCRIPTED_MODELS[:1])
    async with served(tmp_path, engine=engine) as desk:
        told = await desk.told("what is this?", attachments=(attachment,))
        assert told and not INSIDE.search(told) and "pull" not in told
        assert "pull" in await desk.told("what is this?", "owner", attachments=(attachment,))
        in_group = {"conversation": "all", "group": True, "attachments": (attachment,)}
        assert "pull" not in await desk.told("what is this?", "owner", **in_group), "others read along"


async def test_one_question_of_several_that_fails_names_no_details(tmp_path: Path) -> None:
    def script(messages: list) -> str:  # type: ignore[type-arg]
        if "France" in messages[-1].text:
            raise EngineError(DETAILS)
        return "fine"

    async with served(tmp_path, script) as desk:
        text = "1. Write a Python function that reverses a list.\n2. What is the capital of France?"
        told = await desk.told(text)
        assert "fine" in told and not INSIDE.search(told.replace(text, ""))


async def test_an_error_of_a_command_is_told_in_general_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: object, **more: object) -> None:
        raise EngineError(DETAILS)

    async with served(tmp_path) as desk:
        monkeypatch.setattr("qwendesk.memory.people.repository.People.get_or_create", broken)
        for written in ("/memory", "/remember name: Ada", "/forget x"):
            told = await desk.told(written)
            assert told == say("failed", "en"), written


async def test_the_owner_of_an_engine_that_is_away_sees_it_where_nobody_else_reads(tmp_path: Path) -> None:
    def script(messages: object) -> str:
        raise InputError(DETAILS)

    async with served(tmp_path, script) as desk:
        assert DETAILS in await desk.told("please tell me about the garden", "owner")
