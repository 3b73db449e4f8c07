import asyncio
import time

import psutil
import pytest

from qwendesk.errors import ToolError
from qwendesk.tools.bubblewrap import Bubblewrap
from qwendesk.tools.python import python_tool
from qwendesk.tools.python_worker import show_last
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.value_text import MAX_OUTPUT_CHARS


class NoBubblewrap(Bubblewrap):
    async def works(self):
        return False


@pytest.fixture
async def sandbox():
    sandbox = PythonSandbox(NoBubblewrap())
    yield sandbox
    await sandbox.aclose()


@pytest.fixture
async def run(sandbox):
    tool = python_tool(sandbox)

    async def run(code):
        return await tool.ainvoke({"code": code})

    return run


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("37*91+4", "3371"),
        ("print('a')\n'b'", "a\nb"),
        ("print(1)\nprint(2)", "1\n2"),
        ("x = 6 * 7", "42"),
        ("x: int = 6\nx *= 7", "42"),
        ("import math\nmath.sqrt(2)", "1.4142135623730951"),
        ("class P:\n    def __init__(self):\n        self.x = 1\nP()", "P(x=1)"),
        ("2**100000", "a number of 100001 bits"),
        ("def solve():\n    pass", "The code only defines solve: call it and print the result."),
        ("[].append(1)", "The code ran and printed nothing: print the result."),
    ],
)
async def test_the_result_is_what_was_printed_and_the_last_value(run, code, result):
    assert await run(code) == result


async def test_a_long_result_is_cut_with_a_note(run):
    result = await run("print('a' * 9000)")
    assert len(result) == MAX_OUTPUT_CHARS
    assert result.endswith("[cut: 9,000 characters in all]")


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("x = (", "SyntaxError"),
        ("y = 1\n1/0", r"ZeroDivisionError: division by zero \(line 2\)"),
        ("print('before')\nundefined", r"(?s)NameError.*Printed before that:\nbefore"),
        ("1 + 'a'", "TypeError"),
        ("import numpy", "(?s)No module named 'numpy'.*not available here"),
        ("def f():\n    x = 1\n    del x\nf()", "(?s)del.*not available here"),
    ],
)
async def test_an_error_says_what_to_do(run, code, complaint):
    with pytest.raises(ToolError, match=complaint):
        await run(code)


async def test_an_error_of_the_code_is_not_taken_for_a_gap_of_the_sandbox(sandbox):
    assert not (await sandbox.run("1 + 'a'")).unsupported
    assert not (await sandbox.run("raise NotImplementedError('later')")).unsupported
    assert (await sandbox.run("import socket")).unsupported


ATTACKS = {
    "read a file": "print(open('/etc/passwd').read())",
    "write a file": "open('/tmp/qwendesk-attack', 'w').write('x')",
    "list files": "import os\nprint(os.listdir('/'))",
    "environment": "import os\nprint(os.environ['PATH'])",
    "getenv": "import os\nprint(os.getenv('PATH').split(':'))",
    "network": "import socket\nprint(socket.create_connection(('127.0.0.1', 22)))",
    "web": "import urllib.request\nprint(urllib.request.urlopen('http://127.0.0.1'))",
    "processes": "import subprocess\nprint(subprocess.run(['id']))",
    "system": "import os\nprint(os.system('id'))",
    "import": "print(__import__('os').system('id'))",
    "subclasses": "print(().__class__.__base__.__subclasses__())",
    "ctypes": "import ctypes\nprint(ctypes.CDLL(None))",
}
BOMBS = {
    "loop": "while True:\n    pass",
    "memory": "x = []\nwhile True:\n    x.append('a' * 1000000)",
    "one big string": "'a' * 10**10",
    "big power": "9 ** 9 ** 9",
    "recursion": "def f(n):\n    return f(n + 1)\nf(0)",
    "output": "while True:\n    print('a' * 100000)",
    "sleep": "import time\nfor _ in range(100):\n    time.sleep(10)",
}


@pytest.mark.parametrize("code", ATTACKS.values(), ids=ATTACKS.keys())
async def test_there_is_no_way_out(sandbox, code):
    result = await sandbox.run(code)
    assert not result.ok
    assert result.output == ""
    assert (await sandbox.run("6*7")).value == "42"


@pytest.mark.parametrize("code", BOMBS.values(), ids=BOMBS.keys())
async def test_a_bomb_is_ended_within_its_limits_and_the_next_call_works(sandbox, code):
    async with asyncio.timeout(5):
        result = await sandbox.run(code, timeout=0.5)
    assert not result.ok
    assert result.error
    assert (await sandbox.run("6*7")).value == "42"


def wait_until_busy(process):
    idle = process.cpu_times().user
    while process.cpu_times().user < idle + 0.1:
        time.sleep(0.01)


async def test_a_crash_of_the_worker_is_only_an_error(sandbox):
    await sandbox.run("1")
    running = asyncio.create_task(sandbox.run("while True:\n    pass", timeout=20))
    (worker,) = [child for child in psutil.Process().children(recursive=True) if "monty" in child.name()]
    await asyncio.to_thread(wait_until_busy, worker)
    worker.kill()
    result = await running
    assert not result.ok
    assert "ended the sandbox" in result.error
    assert (await sandbox.run("6*7")).value == "42"


async def test_calls_at_the_same_time_do_not_share_anything(sandbox):
    results = await asyncio.gather(*(sandbox.run(f"x = {n}\nprint(x)\nx") for n in range(5)))
    assert [(result.output, result.value) for result in results] == [(f"{n}\n", str(n)) for n in range(5)]
    assert not (await sandbox.run("x")).ok


async def test_nothing_runs_after_closing_and_it_can_start_again(sandbox):
    await sandbox.run("1")
    await sandbox.aclose()
    assert not [child for child in psutil.Process().children(recursive=True) if "monty" in child.name()]
    assert (await sandbox.run("6*7")).value == "42"


@pytest.mark.parametrize("code", ["f()", "x = 1\nprint(x)", "x.y = 1", "a, b = 1, 2", "", "x = (", "x: int"])
def test_only_an_assignment_to_a_name_is_shown(code):
    assert show_last(code) == code


class TestBubblewrap:
    @pytest.fixture
    async def full(self):
        bubblewrap = Bubblewrap()
        if not await bubblewrap.works():
            pytest.skip("bwrap is not on this machine, or may not make namespaces")
        sandbox = PythonSandbox(bubblewrap)
        yield sandbox
        await sandbox.aclose()

    @pytest.mark.parametrize(
        ("code", "output", "value"),
        [
            ("import statistics\nstatistics.mean([1, 2])", "", "1.5"),
            ("def g():\n    yield 1\nprint(list(g()))", "[1]\n", None),
            ("import sys\nprint('out')\nsys.exit()", "out\n", None),
        ],
    )
    async def test_what_the_small_interpreter_lacks_runs_in_full_python(self, full, code, output, value):
        result = await full.run(code)
        assert (result.ok, result.output, result.value) == (True, output, value)

    async def test_an_error_has_its_line(self, full):
        result = await full.run("import statistics\nstatistics.mean([])")
        assert "StatisticsError" in result.error
        assert result.error.endswith("(line 2)")

    @pytest.mark.parametrize("name", ["environment", "network", "web", "processes", "list files"])
    async def test_the_machine_is_out_of_sight(self, full, name, monkeypatch, tmp_path):
        monkeypatch.setenv("QWENDESK_TEST_SECRET", "secret")
        code = {
            "environment": "import os\nprint(os.environ.get('QWENDESK_TEST_SECRET'), os.environ.get('HOME'))",
            "network": "import socket\nprint(socket.if_nameindex())",
            "web": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1', timeout=1)",
            "processes": "import os\nprint([p for p in os.listdir('/proc') if p.isdigit()])",
            "list files": f"import os\nprint(os.path.exists({str(tmp_path)!r}), os.path.exists('/etc/passwd'))",
        }[name]
        result = await full.bubblewrap.run(code)
        expected = {
            "environment": "None None\n",
            "network": "[(1, 'lo')]\n",
            "web": "",
            "processes": "['1', '2']\n",
            "list files": "False False\n",
        }[name]
        assert result.output == expected
        assert (name == "web") is not result.ok

    @pytest.mark.parametrize(
        "code",
        [
            "while True:\n    pass",
            "x = []\nwhile True:\n    x.append('a' * 1000000)",
            "import os\nos.kill(os.getpid(), 9)",
            "while True:\n    print('a' * 100000)",
        ],
    )
    async def test_a_bomb_is_ended(self, full, code):
        async with asyncio.timeout(8):
            result = await full.bubblewrap.run(code, timeout=1)
        assert not result.ok
        assert (await full.bubblewrap.run("6*7")).value == "42"

    @pytest.mark.parametrize(
        "code",
        [
            "import os\nos.fork()",
            "import subprocess\nsubprocess.run(['/bin/true'])",
            "import multiprocessing\nmultiprocessing.Process(target=print).start()",
        ],
    )
    async def test_no_process_can_be_started(self, full, code):
        assert "PermissionError" in (await full.bubblewrap.run(code)).error

    async def test_threads_can(self, full):
        code = "from threading import *\nn = []\nt = Thread(target=n.append, args=(1,))\nt.start()\nt.join()\nn"
        assert (await full.bubblewrap.run(code)).value == "[1]"

    @pytest.mark.parametrize("folder", ["/", "/usr", "/dev", "/dev/shm", "/tmp"])
    async def test_only_a_small_temporary_folder_can_be_written(self, full, folder):
        code = f"n = 0\nwhile n < 20:\n    n += 1\n    open('{folder}/file' + str(n), 'wb').write(bytes(8_000_000))\nn"
        result = await full.bubblewrap.run(code)
        assert "OSError" in result.error


async def test_a_machine_without_bubblewrap_says_so():
    bubblewrap = Bubblewrap("/nonexistent/bwrap")
    assert not await bubblewrap.works()
    assert (await bubblewrap.run("1")).unsupported
