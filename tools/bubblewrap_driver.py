"""The program that runs inside bubblewrap: it gives up what is left of its rights, then runs the code it is sent.

It runs in the system's own Python, which knows nothing of this package; that is why it is kept as text.
"""

SOURCE = r"""
import ast, ctypes, io, json, platform, resource, struct, sys

def limit(kind, most):
    resource.setrlimit(kind, (most, most))

def refuse_processes():
    # A filter of system calls (seccomp): new threads are allowed, new processes are not. A limit on their number
    # (RLIMIT_NPROC) would not hold where the desk itself runs as root.
    arch, clone, fork, vfork = {
        "x86_64": (0xC000003E, 56, 57, 58), "aarch64": (0xC00000B7, 220, 220, 220),
    }[platform.machine()]
    load, equal, at_least, has, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, deny, unknown = 0x7FFF0000, 0x00050001, 0x00050026
    rules = [
        (load, 0, 0, 4), (equal, 0, 10, arch),
        (load, 0, 0, 0), (at_least, 8, 0, 0x40000000),
        (equal, 4, 0, clone), (equal, 6, 0, fork), (equal, 5, 0, vfork),
        (equal, 5, 0, 435),
        (answer, 0, 0, allow),
        (load, 0, 0, 16), (has, 0, 1, 0x00010000), (answer, 0, 0, allow),
        (answer, 0, 0, deny),
        (answer, 0, 0, unknown),
    ]
    code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    held = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter of system calls")

code, seconds, memory = json.loads(sys.stdin.readline())
refuse_processes()
limit(resource.RLIMIT_AS, memory)
limit(resource.RLIMIT_CPU, int(seconds) + 1)
limit(resource.RLIMIT_FSIZE, 16 * 1024 * 1024)
limit(resource.RLIMIT_CORE, 0)
answer, sys.stdout = sys.stdout, io.StringIO()
sys.stderr = sys.stdout
error, value = "", None
names = {"__name__": "__main__"}
try:
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "code", "exec"), names)
    if last:
        value = eval(compile(ast.Expression(last.value), "code", "eval"), names)
        value = value if value is None or isinstance(value, str) else repr(value)
except SystemExit as end:
    error = "" if not end.code else f"SystemExit: {end.code}"
except BaseException as caught:
    line, trace = getattr(caught, "lineno", None), caught.__traceback__
    while trace:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == "code" else line
        trace = trace.tb_next
    error = f"{type(caught).__name__}: {caught}" + (f" (line {line})" if line else "")
print(json.dumps([sys.stdout.getvalue(), error, value]), file=answer, flush=True)
"""
