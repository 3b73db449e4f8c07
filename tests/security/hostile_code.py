"""Code that a model could write to leave a sandbox, to use up the machine, or to harm whoever reads its result."""

from __future__ import annotations

DOUBLED = "for _ in range(34):\n    x = {0}\n"
"""Shares what it holds: 34 lines of memory, 2^34 characters of text."""
_CLASS = (
    "class N:\n    def __init__(self, left=None, right=None):\n        self.left = left\n        self.right = right\n"
)
GROWING = (
    "class N:\n    def __init__(self, *parts):\n        self.parts = parts\nx = N()\n" + DOUBLED.format("N(x, x)") + "x"
)
"""Ends with a value that is copied out of the small interpreter without what it shares."""
VALUES = {
    "list doubled": "x = [1]\n" + DOUBLED.format("[x, x]") + "x",
    "tuple doubled": "x = (1,)\n" + DOUBLED.format("(x, x)") + "x",
    "dict doubled": "x = {1: 1}\n" + DOUBLED.format("{1: x, 2: x}") + "x",
    "frozenset doubled": "x = frozenset([1])\nfor i in range(34):\n    x = frozenset([x, (x, i)])\nx",
    "mixture doubled": "x = [1]\n" + DOUBLED.format("[{1: (x, x)}, x]") + "x",
    "instances doubled": _CLASS + "x = N()\n" + DOUBLED.format("N(x, x)") + "x",
    "named tuples doubled": (
        "import collections\nP = collections.namedtuple('P', 'a b')\nx = P(1, 1)\n" + DOUBLED.format("P(x, x)") + "x"
    ),
    "data classes doubled": (
        "from dataclasses import dataclass\n@dataclass\nclass D:\n    a: object\n    b: object\n"
        "x = D(1, 1)\n" + DOUBLED.format("D(x, x)") + "x"
    ),
    "assigned, not shown": "x = [1]\n" + DOUBLED.format("[x, x]") + "y = x",
    "chain of instances": _CLASS + "x = None\nfor _ in range(100000):\n    x = N(x)\nx",
    "chain of lists": "x = []\nfor _ in range(200000):\n    x = [x]\nx",
    "chain of tuples": "x = ()\nfor _ in range(200000):\n    x = (x,)\nx",
    "chain of dicts": "x = {}\nfor _ in range(200000):\n    x = {1: x}\nx",
    "itself": "x = []\nx.append(x)\nx",
    "itself by name": "x = {}\nx['x'] = [x]\nx",
    "huge number": "7 ** 1000000",
    "number of many digits": "10 ** 4000",
    "list of huge numbers": "[7 ** 100000] * 50",
    "long text": "'a' * 10**7",
    "long bytes": "b'a' * 10**7",
    "control characters": "'\\x00' * 10**6",
    "surrogates": "'\\ud800' * 10**5",
    "emoji": "'\\U0001F600' * 10**6",
    "emoji in a list": "['\\U0001F600' * 5000, '\\x00' * 5000]",
    "many items": "list(range(10**6))",
    "many keys": "{n: n for n in range(10**5)}",
    "many attributes": "class A:\n    pass\na = A()\nfor n in range(20000):\n    setattr(a, 'x' + str(n), n)\na",
    "long attribute": "class A:\n    pass\na = A()\nsetattr(a, 'x' * 10**6, 1)\na",
    "long name of a class": "type('a' * 10**6, (), {})()",
    "class": "class A:\n    pass\nA",
    "exception": "x = [1]\n" + DOUBLED.format("[x, x]") + "ValueError(x)",
}
"""End with a value that is hard to show; none of them may take long, and each becomes a short text."""
ERRORS = {
    "doubled": "x = [1]\n" + DOUBLED.format("[x, x]") + "raise ValueError(x)",
    "doubled key": "x = (1,)\n" + DOUBLED.format("(x, x)") + "raise KeyError(x)",
    "long": "raise ValueError('a' * 10**7)",
    "many": "raise ValueError(*range(10**5))",
    "control characters": "raise ValueError('\\x00' * 10**6)",
    "exit": "raise SystemExit('a' * 10**7)",
    "exit, doubled": "x = [1]\n" + DOUBLED.format("[x, x]") + "raise SystemExit(x)",
    "interrupt": "raise KeyboardInterrupt",
    "exit of a generator": "raise GeneratorExit",
    "recursion": "def f(n):\n    return f(n + 1)\nf(0)",
    "division": "print('x' * 10**5)\n1 / 0",
    "assertion": "x = [1]\nfor _ in range(20):\n    x = [x, x]\nassert x == 1",
}
SOURCES = {
    "parentheses": "(" * 20_000 + ")" * 20_000,
    "open parentheses": "(" * 20_000,
    "lists": "[" * 199 + "]" * 199,
    "signs": "-" * 100_000 + "1",
    "negations": "not " * 50_000 + "1",
    "sums": "1+" * 50_000 + "1",
    "attributes": "x" + ".a" * 50_000,
    "calls": "f" + "()" * 50_000,
    "lambdas": "lambda:" * 50_000 + "1",
    "conditions": "1 if 1 else " * 50_000 + "1",
    "assignments": "a=" * 50_000 + "1",
    "indentation": "".join(" " * n + "if 1:\n" for n in range(500)) + " " * 500 + "1",
    "many lines": "x = 1\n" * 50_000,
    "long line": "x = '" + "a" * 500_000 + "'",
    "long number": "x = " + "9" * 500_000,
    "zero byte": "x = 1\0",
    "only line ends": "\n" * 100_000,
    "strange spaces": "x\u2028=\u00a01",
    "decorators": "@a\n" * 10_000 + "def f(): pass",
    "strings in strings": "f'{" * 40 + "1" + "}'" * 40,
}
BOMBS = {
    "loop": "while True:\n    pass",
    "loop of texts": "x = [1]\n" + DOUBLED.format("[x, x]") + "print(x)",
    "text of a value": "x = [1]\n" + DOUBLED.format("[x, x]") + "len(str(x))",
    "comparison": "x = [1]\ny = [1]\nfor _ in range(34):\n    x = [x, x]\n    y = [y, y]\nx == y",
    "power": "9 ** 9 ** 9",
    "factorial": "n = 1\nfor i in range(1, 10**7):\n    n *= i",
    "shift": "1 << 10**11",
    "lists": "x = []\nwhile True:\n    x.append('a' * 1000000)",
    "one text": "'a' * 10**11",
    "one list": "[0] * 10**11",
    "nested loops": "for a in range(10**9):\n    for b in range(10**9):\n        pass",
    "flood": "while True:\n    print('a' * 100000)",
    "flood of lines": "while True:\n    print()",
    "sum": "sum(range(10**12))",
    "sleep": "import time\ntime.sleep(1000)",
    "sort": "x = list(range(10**6))\nwhile True:\n    x.sort(reverse=True)\n    x.sort()",
    "sets": "x = set()\nn = 0\nwhile True:\n    n += 1\n    x.add((n, str(n)))",
    "dictionary": "x = {}\nn = 0\nwhile True:\n    n += 1\n    x[n] = str(n) * 100",
    "text replaced": "x = 'a' * 10**6\nwhile True:\n    x = x.replace('a', 'aa')",
    "text split": "x = ('a ' * 10**6).split()\nwhile True:\n    x = (' '.join(x) * 2).split()",
}
"""Never end by themselves, or ask for more than there is."""
REACHES = {
    "read a file": "print(open('/etc/passwd').read())",
    "write a file": "open('/etc/attack', 'w').write('x')",
    "list files": "import os\nassert os.listdir('/home') or os.listdir('/root')",
    "environment": "import os\nassert 'QWENDESK_TEST_SECRET' in os.environ",
    "web": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1', timeout=1)",
    "address": "import socket\nsocket.create_connection(('127.0.0.1', 22), timeout=1)",
    "metadata": "import socket\nsocket.create_connection(('169.254.169.254', 80), timeout=1)",
    "name": "import socket\nsocket.getaddrinfo('example.com', 80)",
    "virtual machine's socket": "import socket\nsocket.socket(40, socket.SOCK_STREAM)",
    "packets": "import socket\nsocket.socket(17, socket.SOCK_RAW)",
    "kernel's ciphers": "import socket\nsocket.socket(38, socket.SOCK_SEQPACKET)",
    "raw": "import socket\nsocket.socket(2, socket.SOCK_RAW, 1)",
    "process": "import subprocess\nsubprocess.run(['id'], check=True)",
    "shell": "import os\nassert os.system('true') == 0",
    "fork": "import os\nos.fork()",
    "fork of the library": "import multiprocessing\nmultiprocessing.Process(target=print).start()",
    "terminal": "import pty\npty.fork()",
    "other processes": "import os\nassert [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 9]",
    "kill": "import os\nos.kill(os.getppid() or 1, 9)\nos.kill(-1, 9)",
    "root": "import os\nos.setuid(0)",
    "groups": "import os\nos.setgroups([0])",
    "change of root": "import os\nos.chroot('/tmp')",
    "device": "import os\nos.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))",
    "memory of the kernel": "open('/dev/mem', 'rb')",
    "memory of init": "open('/proc/1/mem', 'rb').read(1)",
    "kernel's log": "open('/dev/kmsg').read(1)",
    "symbols": "assert any(l.split()[0].strip('0') for l in open('/proc/kallsyms'))",
    "sysrq": "open('/proc/sysrq-trigger', 'w').write('h')",
    "firmware": "open('/sys/firmware/x')",
    "control groups": "import os\nos.mkdir('/sys/fs/cgroup/x')",
    "system's Python": "open('/usr/lib/python3/attack.py', 'w')",
    "own limits": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "own processor time": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))",
    "priority": "import os\nos.nice(-5)",
    "time": "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)",
    "name of the machine": "import socket\nsocket.sethostname('x')",
    "library": "import ctypes\nctypes.CDLL(None).no_such_function()",
    "import": "__import__('qwendesk')",
    "import of the sandbox": "import pydantic_monty",
    "names of the sandbox": "send(1, True, 'x', '', None, '')",
    "subclasses": "print(().__class__.__base__.__subclasses__()[10**6])",
    "frames": "import sys\nsys._getframe(50)",
    "host's mounts": "assert any('/home' in l or '/root' in l for l in open('/proc/self/mounts'))",
}
"""Reach for what is outside; none of them may end well."""
