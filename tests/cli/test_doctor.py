"""``qwendesk doctor``."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwendesk.cli.memory import opened
from qwendesk.desk.operators.accounts import OperatorAccounts
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.links import OperatorLinks
from qwendesk.settings import Settings

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-m", "qwendesk", "doctor"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    quick = {"QWENDESK_CONNECT_TIMEOUT": "0.5", "OLLAMA_HOST": "http://127.0.0.1:9"}
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, env=os.environ | quick | environment, check=False
    )


def test_an_empty_home_is_ready_and_the_next_step_is_named() -> None:
    done = run("--json")
    report = json.loads(done.stdout)
    findings = {finding["name"]: finding for finding in report["findings"]}
    assert done.returncode == 0 and report["healthy"]
    assert findings["engine llamacpp (default)"]["status"] == "note"
    assert "qwendesk chat" in findings["engine llamacpp (default)"]["next_step"]
    assert "ollama serve" in findings["engine ollama"]["detail"]
    assert findings["engine openai"]["detail"] == "not set up"
    assert not Path(os.environ["QWENDESK_HOME"], "models").exists(), "the doctor fetches nothing"
    assert findings["sandbox"]["status"] == findings["database"]["status"] == "ok"
    assert findings["readers"]["detail"].startswith("read files in ")
    full = findings["sandbox for full Python"]
    assert full["status"] == "ok" or (full["detail"] and "libseccomp2" in full["next_step"])


def test_a_default_engine_that_does_not_answer_is_a_problem() -> None:
    done = run(QWENDESK_ENGINE="ollama")
    assert done.returncode == 1
    assert "✗ engine ollama (default)" in done.stdout and "Not ready" in done.stdout


def test_a_broken_database_is_a_problem() -> None:
    Path(os.environ["QWENDESK_HOME"], "qwendesk.db").write_bytes(b"garbage" * 100)
    done = run("--json")
    database = next(finding for finding in json.loads(done.stdout)["findings"] if finding["name"] == "database")
    assert (done.returncode, database["status"]) == (1, "problem")


def test_a_policy_that_does_not_hold_is_a_problem() -> None:
    file = Path(os.environ["QWENDESK_HOME"], "policy.toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[split]\nmax_questions = 99\n", "utf-8")
    done = run("--json")
    policy = next(finding for finding in json.loads(done.stdout)["findings"] if finding["name"] == "policy")
    assert (done.returncode, policy["status"]) == (1, "problem")
    assert "line 2, split.max_questions" in policy["detail"]


def test_a_name_of_a_risky_tool_that_there_is_not_is_a_problem(own_home: Path) -> None:
    file = own_home / "own.toml"

    def finding(names: str) -> dict[str, str]:
        file.write_text(f"risky_tools = {names}\n", "utf-8")
        done = json.loads(run("--json", QWENDESK_CONFIG=str(file)).stdout)
        (found,) = [one for one in done["findings"] if one["name"] == "risky tools"]
        return dict(found)

    wrong = finding('["algebr"]')
    assert wrong["status"] == "problem" and "risky_tools" in wrong["detail"] and "'algebra'" in wrong["detail"]
    assert finding('["algebra", "search_knowledge"]')["status"] == "ok"


def test_channels_and_the_settings_file_are_told(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        '[channels.web]\n[channels.webhook]\nurl = "shop.example"\nsecret = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"\n',
        "utf-8",
    )
    done = run("--json", QWENDESK_CONFIG=str(file), QWENDESK_PROT="80")
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["channel web"]["status"] == "ok" and "access: pairing" in findings["channel web"]["detail"]
    assert findings["channel webhook"]["status"] == "problem"
    assert "'url' of the webhook is 'shop.example'" in findings["channel webhook"]["detail"]
    assert findings["settings file"]["detail"] == str(file)
    assert "QWENDESK_PROT (QWENDESK_PORT?)" in findings["settings"]["detail"]
    home = os.environ["QWENDESK_HOME"]
    assert findings["database"]["detail"].startswith(str(Path(home, "qwendesk.db")))


def test_an_operators_room_that_nobody_is_linked_to_is_noted(own_home: Path) -> None:
    file = own_home / "own.toml"
    file.write_text('[channels.telegram]\ntoken = "1:x"\noperators_room = "-1001234567890"\n', "utf-8")

    def finding() -> dict[str, str]:
        done = json.loads(run("--json", QWENDESK_CONFIG=str(file)).stdout)
        (found,) = [one for one in done["findings"] if one["name"] == "operators' room on telegram"]
        return dict(found)

    assert "qwendesk operators add" in finding()["next_step"]

    async def link() -> None:
        async with opened(Settings()) as memory:
            links = OperatorLinks(memory.scope)
            ann = await OperatorAccounts(memory.scope).add("ann", "hash", AuditActor())
            assert finding()["next_step"] == "Run: qwendesk operators link ann telegram"
            code = await links.make_code(ann, "telegram", AuditActor())
            assert finding()["status"] == "note", "the code is not used yet"
            assert await links.redeem(code, "telegram", "77")

    asyncio.run(link())
    assert (finding()["status"], finding()["detail"]) == ("ok", "linked: ann")


def test_a_password_is_not_shown() -> None:
    done = run("--json", QWENDESK_DATABASE_URL="postgresql+psycopg://me:secret@127.0.0.1:9/x")
    assert "secret" not in done.stdout + done.stderr


def test_the_chosen_server_and_the_stand_ins_are_asked() -> None:
    chain = json.dumps(["llamacpp:qwen3-4b", "scripted:scripted-general"])
    done = run(
        "--json",
        QWENDESK_ENGINE="vllm",
        QWENDESK_SERVERS__VLLM__URL="http://127.0.0.1:9/v1",
        QWENDESK_FALLBACK__CHAIN=chain,
    )
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert (done.returncode, findings["engine vllm (default)"]["status"]) == (0, "note"), "another one answers for it"
    assert "start it, or set QWENDESK_SERVERS__VLLM__URL" in findings["engine vllm (default)"]["detail"]
    assert findings["fallback 1"]["status"] == "note"
    assert "qwendesk models pull qwen3-4b" in findings["fallback 1"]["detail"]
    assert findings["fallback 2"]["detail"] == "scripted:scripted-general"
    assert "general: scripted-general" in findings["roles"]["detail"], "the chain plays the roles"


def found(*names: str, **environment: str) -> dict[str, dict[str, str]]:
    report = json.loads(run("--json", **environment).stdout)
    return {finding["name"]: finding for finding in report["findings"] if finding["name"] in names}


@pytest.mark.parametrize("name", ["qwendesk.toml", ".env"])
def test_a_settings_file_that_others_can_read_is_noted(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text("seed = 1\n" if name.endswith("toml") else "QWENDESK_SEED=1\n", "utf-8")
    file.chmod(0o644)
    (note,) = found("permissions").values()
    assert str(file) in note["detail"] and f"chmod 600 {file}" in note["next_step"]
    file.chmod(0o600)
    assert not found("permissions")


def test_an_address_without_tls_is_noted() -> None:
    channel = {"QWENDESK_CHANNELS__WEB__ACCESS": "open"}
    assert not found("address", **channel)
    assert not found("address", **channel, QWENDESK_HOST="::1")
    (note,) = found("address", **channel, QWENDESK_HOST="0.0.0.0").values()
    assert "0.0.0.0 without TLS" in note["detail"] and "proxy" in note["next_step"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is told")
def test_running_as_root_is_noted() -> None:
    assert "root" in found("account")["account"]["detail"]


def test_the_doctor_speaks_of_channels_and_names_serve() -> None:
    (none,) = found("channels").values()
    assert "none is set up" in none["detail"] and "qwendesk init" in none["next_step"]
    done = run(QWENDESK_CHANNELS__WEB__ACCESS="open", QWENDESK_ENGINE="scripted")
    assert "✓ channel web" in done.stdout and "http://127.0.0.1:8377" in done.stdout
    assert "Ready: qwendesk serve" in done.stdout


def test_settings_that_do_not_hold_are_a_finding_beside_the_other_checks(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('port = "x"\nenigne = "ollama"\n', "utf-8")
    done = run("--json", QWENDESK_CONFIG=str(file))
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1 and findings["settings file"]["status"] == "problem"
    assert "port (" in findings["settings file"]["detail"] and "'engine'?" in findings["settings file"]["detail"]
    assert findings["python"]["status"] == findings["sandbox"]["status"] == "ok"
    assert "engines" in findings["other checks"]["detail"] and findings["other checks"]["next_step"]


@pytest.mark.parametrize("name", ["QWENDESK_PORT", "QWENDESK_ROLES"])
def test_a_variable_that_does_not_hold_is_a_finding(name: str) -> None:
    done = run("--json", **{name: "x", "QWENDESK_PROT": "80"})
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1 and name in findings["environment"]["detail"]
    assert "QWENDESK_PROT" in findings["settings"]["detail"]
    assert findings["settings file"]["status"] == "ok"


def test_a_line_for_a_program_is_not_wrapped(tmp_path: Path) -> None:
    home = tmp_path / "-".join(["a folder with a long name"] * 8)
    home.mkdir()
    lines = run(QWENDESK_HOME=str(home), COLUMNS="80").stdout.splitlines()
    assert any(f"{home / 'qwendesk.db'}, empty" in line for line in lines)
