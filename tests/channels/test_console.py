"""The terminal as a channel: a real prompt fed through a pipe, answers on a recorded screen."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from qwendesk.cli.chat.console_channel import Answer, ConsoleChannel, Session, line_completer
from qwendesk.cli.chat.view import PlainView, TerminalView, split_settled
from qwendesk.desk.turns.receipt import explain
from qwendesk.errors import ConfigError, EngineError
from qwendesk.messages import (
    AnswerReset,
    Approval,
    ApprovalNeeded,
    Event,
    Finished,
    Inbound,
    Notice,
    PendingCall,
    Receipt,
    Reply,
    TextDelta,
    ThinkingDelta,
)

RECEIPT = Receipt("math", "m", "e", 0.9, "general", ("arithmetic",), "en", False, (), 1, 2, 3.0, 4.0, (), 5.0)
Talk = Callable[..., Awaitable[tuple[str, list[Inbound]]]]


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    async def run(
        typed: str, session: Session | None = None, answer: str = "An *answer*.", commands: Answer | None = None
    ) -> tuple[str, list[Inbound]]:
        seen: list[Inbound] = []

        async def handler(inbound: Inbound) -> AsyncGenerator[Event, None]:
            seen.append(inbound)
            if inbound.text == "fail":
                raise EngineError("out of order")
            if inbound.text == "wait":
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.Event().wait()
            yield TextDelta(answer)
            yield Finished(Reply(answer, inbound.conversation, RECEIPT))

        async def why(conversation: str) -> str | None:
            return explain(RECEIPT.as_dict()) if seen else None

        screen = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)

        async def check(model: str) -> None:
            if model == "nonsense":
                raise ConfigError("There is no model 'nonsense'.")

        channel = ConsoleChannel(
            session or Session("c"),
            why,
            check,
            history=tmp_path / "history",
            out=screen,
            err=screen,
            commands=commands,
        )
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            pipe.send_text(typed + "\x04")
            await channel.converse(handler)
        return screen.file.getvalue(), seen

    return run


@pytest.mark.parametrize(("typed", "approved"), [("y\nn\n", ["a"]), ("n\nYES\n", ["b"]), ("\n\n", [])])
async def test_each_pending_call_is_asked_about(tmp_path: Path, typed: str, approved: list[str]) -> None:
    decisions: list[Approval] = []
    calls = tuple(PendingCall(one, "pay", {"to": f"{one}\x1b[2Jland"}, "the tool is risky") for one in ("a", "b"))

    async def handler(inbound: Inbound) -> AsyncGenerator[Event, None]:
        assert inbound.can_approve
        yield ApprovalNeeded(calls)
        yield Finished(Reply("", "c", RECEIPT, status="needs_approval", pending=calls))

    async def resume(inbound: Inbound, approval: Approval) -> AsyncGenerator[Event, None]:
        decisions.append(approval)
        yield TextDelta("Paid.")
        yield Finished(Reply("Paid.", "c", RECEIPT))

    async def nothing(name: str) -> None:
        return None

    screen = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    console = ConsoleChannel(
        Session("c"), nothing, nothing, history=tmp_path / "history", out=screen, err=screen, resume=resume
    )
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(f"Pay\n{typed}\x04")
        await console.converse(handler)
    shown = screen.file.getvalue()
    assert [list(one.approve) for one in decisions] == [approved]
    assert "the tool is risky" in shown and "Paid." in shown
    assert "to = 'a" in shown and "\x1b[2Jland" not in shown


async def test_lines_are_answered_until_the_person_leaves(talk: Talk) -> None:
    screen, seen = await talk("Hello\n\nHow are you?\n")
    assert [inbound.text for inbound in seen] == ["Hello", "How are you?"]
    assert {inbound.conversation for inbound in seen} == {"c"}
    assert screen.count("An answer.") >= 2


def test_why_is_said_in_words_and_not_in_codes() -> None:
    check = {"name": "contains the tool's result", "outcome": "failed", "detail": "3371"}
    told = explain(RECEIPT.as_dict() | {"language": "de", "checks": [check]})
    assert "language: German" in told
    assert "check failed: the model's answer did not say what the tool had calculated: 3371" in told


async def test_a_line_can_go_on(talk: Talk) -> None:
    _, seen = await talk("one\\\ntwo\n")
    assert [inbound.text for inbound in seen] == ["one\ntwo"]


async def test_the_commands(talk: Talk) -> None:
    session = Session("c")
    lines = [
        "/help",
        "/why",
        "/model math",
        "/think",
        "Hello",
        "/model qwen3-8b",
        "/model nonsense",
        "/no_think",
        "Hello",
    ]
    typed = "\n".join([*lines, "/model auto", "/think auto", "/new", "Hello", "/nonsense", ""])
    screen, seen = await talk(typed, session)
    assert [(i.role, i.model, i.think) for i in seen] == [
        ("math", None, True),
        ("math", "qwen3-8b", False),
        (None, None, None),
    ]
    assert seen[2].conversation != "c"
    for words in (
        "/no_think",
        "no answer in this conversation yet",
        "There is no command /nonsense",
        "There is no model 'nonsense'",
    ):
        assert words in screen


async def test_a_wish_for_eyes_says_what_it_needs(talk: Talk) -> None:
    screen, _ = await talk("/model vision\n/model math\n")
    assert screen.count("needs a picture") == 1


def test_what_was_done_otherwise_than_asked_stays_on_the_screen() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    with TerminalView(screen, screen) as view:
        view.show(Notice("There is no picture.", persistent=True))
        view.show(TextDelta("Hello"))
    assert "! There is no picture." in screen.file.getvalue()


async def test_why_says_why(talk: Talk) -> None:
    screen, _ = await talk("Hello\n/why\n/exit\nnever read\n")
    assert "because: arithmetic (90% sure, next general)" in screen


async def test_retry_asks_the_last_question_again(talk: Talk) -> None:
    screen, seen = await talk("/retry\nHello\n/retry\n/new\n/retry\n")
    assert [(inbound.text, inbound.retry) for inbound in seen] == [("Hello", False), ("Hello", True)]
    assert screen.count("no question here yet") == 2


async def test_what_was_typed_before_somebody_was_forgotten_does_not_come_back(
    talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = []

    class CountedHistory(FileHistory):
        def __init__(self, filename: str) -> None:
            histories.append(filename)
            super().__init__(filename)

    async def forget(line: str) -> str:
        (tmp_path / "history").write_bytes(b"")
        return "Forgotten."

    monkeypatch.setattr("prompt_toolkit.history.FileHistory", CountedHistory)
    screen, seen = await talk("a secret\n/forget me yes\n/retry\nHello\n/retry\n", commands=forget)
    assert [inbound.text for inbound in seen] == ["a secret", "Hello", "Hello"]
    assert len(histories) == 2, "the first one has the lines in its memory"
    assert "no question here yet" in screen


async def test_an_error_is_one_line_and_the_talk_goes_on(talk: Talk) -> None:
    screen, seen = await talk("fail\nHello\n")
    assert "out of order" in screen and "An answer." in screen
    assert len(seen) == 2


async def test_ctrl_c_stops_the_answer_and_not_the_program(talk: Talk) -> None:
    screen, seen = await talk("wait\nHello\n")
    assert "(stopped)" in screen and "An answer." in screen
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("one", ""),
        ("one\n\ntwo", "one\n\n"),
        ("```\na\n\nb\n", ""),
        ("```\na\n\nb\n```\n\nafter", "```\na\n\nb\n```\n\n"),
        ("a\n\n```\nb", "a\n\n"),
    ],
)
def test_markdown_settles_at_blank_lines_outside_fences(text: str, settled: str) -> None:
    done, rest = split_settled(text)
    assert (done, done + rest) == (settled, text)


def test_nothing_is_printed_twice_and_thinking_is_apart() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    with TerminalView(screen, screen) as view:
        for event in (Notice("Loading"), ThinkingDelta("Hm."), TextDelta("First.\n\nSec"), TextDelta("ond.")):
            view.show(event)
    assert screen.file.getvalue().count("First.") == 1
    assert screen.file.getvalue().rstrip().endswith("Second.")


def test_a_pipe_gets_text_and_notices_go_beside_it() -> None:
    out, err = (Console(file=io.StringIO(), width=80) for _ in range(2))
    with PlainView(out, err) as view:
        for event in (Notice("Loading"), Notice("Loading"), ThinkingDelta("Hm."), TextDelta("**a**"), TextDelta(" b")):
            view.show(event)
    assert out.file.getvalue() == "**a** b\n"
    assert err.file.getvalue() == "Loading\n"


def test_an_answer_cannot_steer_the_terminal() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    with TerminalView(screen, screen) as view:
        for event in (Notice("a\x1b]0;x\x07"), ThinkingDelta("\x1b[2J"), TextDelta("b\x1b]52;c;eA==\x07\x9b2Jc")):
            view.show(event)
    assert not any(steering in screen.file.getvalue() for steering in ("\x1b]", "\x1b[2J", "\x9b", "\x07"))


async def test_a_virtual_model_chooses_its_role(talk: Talk) -> None:
    screen, seen = await talk("/model qwen-coder\none\n/model qwen-auto\ntwo\n")
    assert [(inbound.role, inbound.model) for inbound in seen] == [("coder", None), (None, None)]
    assert "role: coder; model: auto" in screen


def test_an_answer_that_begins_anew_replaces_what_was_shown() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    with TerminalView(screen, screen) as view:
        for event in (TextDelta("Wrong."), AnswerReset("the check failed\x1b[2J", "big"), TextDelta("Right.")):
            view.show(event)
    final = screen.file.getvalue().split("↻ big: the check failed")[1]
    assert "void" in final and "Wrong." not in final and "\x1b[2J" not in final
    assert screen.file.getvalue().rstrip().endswith("Right.")


def test_in_a_pipe_an_answer_that_begins_anew_stands_apart() -> None:
    out, err = (Console(file=io.StringIO(), width=80) for _ in range(2))
    with PlainView(out, err) as view:
        for event in (TextDelta("Wrong."), AnswerReset("the check failed", "big"), TextDelta("Right.")):
            view.show(event)
    assert out.file.getvalue() == "Wrong.\n\nRight.\n"
    assert "void" in err.file.getvalue()


def test_what_a_person_should_know_of_an_answer_stands_under_it() -> None:
    receipt = replace(RECEIPT, notes=("the answer was cut at its token limit",))
    out, err = (Console(file=io.StringIO(), width=80) for _ in range(2))
    for view in (TerminalView(out, out), PlainView(out, err)):
        with view:
            view.show(TextDelta("Half an"))
            view.show(Finished(Reply("Half an", "c", receipt)))
    shown = [line.rstrip() for line in out.file.getvalue().splitlines()]
    assert shown[:2] == ["Half an", "(the answer was cut at its token limit)"] and shown[2:] == ["Half an"]
    assert err.file.getvalue() == "(the answer was cut at its token limit)\n"


def test_what_was_told_above_an_answer_is_not_told_again_below() -> None:
    note = "you asked the same before, and there is no stronger model here to ask"
    receipt = replace(RECEIPT, notes=(note, "the answer was cut at its token limit"))
    for kind in (TerminalView, PlainView):
        out = Console(file=io.StringIO(), width=200)
        with kind(out, out) as view:
            view.show(Notice(f"Y{note[1:]}.", persistent=True))
            view.show(TextDelta("Hello"))
            view.show(Finished(Reply("Hello", "c", receipt)))
        shown = out.file.getvalue()
        assert shown.count("ou asked the same before") == 1 and "(the answer was cut at its token limit)" in shown


async def test_commands_of_channels_say_what_does_it_here(talk: Talk) -> None:
    screen, _ = await talk("/lang de\n/stop\n/approve 1234\n/deny 1234\n/nonsense\n")
    assert "always answer in German" in screen and "Ctrl-C stops an answer" in screen
    assert screen.count("only you talk here") == 2 and screen.count("There is no command") == 1


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("/mod", {"/model", "/model auto", "/model coder", "/model qwen3:4b"}),
        ("/model qw", {"/model qwen3:4b", "/model qwen2.5-coder-0.5b"}),
        ("/model cod", {"/model coder"}),
        ("/MODEL QWEN3", {"/model qwen3:4b"}),
        ("/no", {"/no_think"}),
        ("/h", {"/help"}),
    ],
)
def test_tab_completes_commands_roles_and_models(typed: str, completed: set[str]) -> None:
    completer = line_completer(["qwen3:4b", "qwen2.5-coder-0.5b"])
    found = {each.text for each in completer.get_completions(Document(typed), CompleteEvent(completion_requested=True))}
    assert completed <= found and all(text.lower().startswith(typed.lower()) for text in found)


def test_what_is_no_command_is_left_alone() -> None:
    completer = line_completer(["qwen3:4b"])
    assert not list(completer.get_completions(Document("what is qw"), CompleteEvent()))
