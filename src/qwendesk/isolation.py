"""Isolation of child processes that read untrusted files: no network, no other files, no privileges.

bubblewrap builds the environment if it is installed and works; ``drop_privileges`` is called by the child itself
once its modules are loaded, since an unprivileged user may not be allowed to read them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from errno import ENOSYS, EPERM
from pathlib import Path
from typing import Any

NOBODY = 65534
"""User and group id of a child process of root."""
_TRY_SECONDS = 60
_TRY = "import sys; from qwendesk.isolation import drop_privileges; sys.exit(not drop_privileges())"
_LINKS = ("/bin", "/lib", "/lib32", "/lib64", "/sbin")
_TEMPORARY = 64 * 1024 * 1024
"""Size of the child's temporary folder, in bytes."""

_DENIED = (
    # privileges, namespaces, file systems
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig"),
    *("fsmount", "fspick", "mount_setattr", "name_to_handle_at", "open_by_handle_at", "quotactl", "quotactl_fd"),
    *("personality", "swapon", "swapoff", "acct"),
    # other processes
    *("fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    *("pidfd_open", "pidfd_send_signal"),
    # kernel features with known vulnerabilities that sandboxed programs do not need
    *("bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl", "io_uring_setup"),
    *("io_uring_enter", "io_uring_register", "vmsplice", "fanotify_init", "lookup_dcookie", "nfsservctl", "syslog"),
    *("init_module", "finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load", "reboot"),
    *("modify_ldt", "iopl", "ioperm", "vm86", "vm86old", "uselib", "_sysctl", "sysfs", "ustat"),
    *("settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "stime", "sethostname", "setdomainname"),
    # memory that process limits do not count
    *("memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "msgget"),
    *("msgsnd", "mq_open", "mlock", "mlock2", "mlockall", "move_pages", "migrate_pages", "mbind", "set_mempolicy"),
)
_CLONE_THREAD = 0x00010000
_FAMILIES = (1, 2, 10, 16)
"""Allowed socket families: Unix, IPv4, IPv6 and netlink, all in an empty network namespace."""
_SOCKET_FAMILY_LIMIT = 64


class Isolation:
    """Starts child processes in bubblewrap if it works; this is checked once.

    Args:
        bwrap: the program; None: the ``bwrap`` of the search path.
    """

    def __init__(self, bwrap: str | None = None) -> None:
        self._bwrap = bwrap
        self._works: bool | None = None
        self._filter = b""
        self._trying = asyncio.Lock()

    @property
    def filters_calls(self) -> bool:
        """Whether a seccomp filter is used; known after ``works()``."""
        return bool(self._filter)

    async def works(self) -> bool:
        """Return whether child processes can be isolated from files and network on this machine."""
        async with self._trying:
            if self._works is None:
                self._bwrap = self._bwrap or shutil.which("bwrap")
                with suppress(OSError):
                    self._filter = await asyncio.to_thread(build_system_call_filter)
                self._works = bool(self._bwrap) and await self._is_tried()
            return self._works

    async def start(self, *command: str, environment: Mapping[str, str]) -> Process:
        """Start a command with pipes: in bubblewrap, or directly if bubblewrap does not work.

        Raises:
            OSError: it could not be started.
        """
        return await self._started(command, environment, wrapped=await self.works())

    async def _started(self, command: Sequence[str], environment: Mapping[str, str], *, wrapped: bool) -> Process:
        descriptor = filter_pipe(self._filter) if wrapped and self._filter else None
        filtered = ["--seccomp", str(descriptor)] if descriptor is not None else []
        around = [self._bwrap or "bwrap", *_namespaces(), *filtered, *_files(), "--chdir", "/tmp", "--"]
        try:
            return await asyncio.create_subprocess_exec(
                *(around if wrapped else ()),
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                start_new_session=True,
                pass_fds=() if descriptor is None else (descriptor,),
                env=environment,
            )
        finally:
            if descriptor is not None:
                os.close(descriptor)

    async def _is_tried(self) -> bool:
        environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        try:
            process = await self._started((sys.executable, "-P", "-c", _TRY), environment, wrapped=True)
        except OSError:
            return False
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()
        return process.returncode == 0


def drop_privileges() -> bool:
    """Drop root privileges, forbid new ones, and end with the parent; return whether the user is not root.

    Root is kept where an unprivileged user could not read the program's own files any more.
    """
    _die_with_parent()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return True
    if not _is_readable_by(NOBODY):
        return False
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # a change of the user resets it
    _die_with_parent()
    return True


def _is_readable_by(user: int) -> bool:
    """Return whether a user may read the program and the Python libraries."""
    os.seteuid(user)
    try:
        for file in (__file__, os.__file__):
            with Path(file).open("rb"):
                pass
    except PermissionError:
        return False
    finally:
        os.seteuid(0)
    return True


def _die_with_parent() -> None:
    if sys.platform != "linux":
        return
    import ctypes
    import signal

    kill_with_parent, no_new_privileges = 1, 38
    libc = ctypes.CDLL(None)
    libc.prctl(kill_with_parent, int(signal.SIGKILL), 0, 0, 0)
    libc.prctl(no_new_privileges, 1, 0, 0, 0)


def _namespaces() -> list[str]:
    shared = ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        # without a user namespace, so that the child can switch to another user
        apart = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        return [*apart, *shared, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["--unshare-all", *shared]


def _files() -> list[str]:
    """Return the arguments that mount Python and the program read-only, and nothing else."""
    system = ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    own = [part for path in _program() for part in ("--ro-bind-try", path, path)]
    made = ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(_TEMPORARY), "--tmpfs", "/tmp"]
    # parent folders must be traversable; folders in /tmp are mounted after /tmp itself
    above = dict.fromkeys(str(folder) for path in _program() for folder in reversed(Path(path).parents[:-1]))
    passed = [part for folder in above if folder != "/tmp" for part in ("--perms", "0755", "--dir", folder)]
    return [*system, *system_links(), *made, *passed, *own, "--remount-ro", "/dev", "--remount-ro", "/"]


def system_links() -> list[str]:
    """Return the arguments for folders such as ``/lib`` that are links into ``/usr`` on most systems."""
    return [part for link in _LINKS for part in _linked(Path(link))]


def _linked(path: Path) -> list[str]:
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]


def _program() -> list[str]:
    """Return the folders of Python, its packages and this package, with links resolved."""
    package = Path(__file__).parent
    linked = [entry.resolve() for entry in package.iterdir() if entry.is_symlink()]
    packages = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    folders = [Path(sys.prefix), Path(sys.base_prefix), *packages, package, *linked]
    return list(dict.fromkeys(str(folder) for folder in folders if not folder.is_relative_to("/usr")))


def build_system_call_filter() -> bytes:
    """Return the filter as a BPF program; blocks while libseccomp is loaded.

    Raises:
        OSError: libseccomp is not installed, or cannot build the filter.
    """
    try:
        import pyseccomp
    except (ImportError, RuntimeError) as error:
        raise OSError(f"libseccomp is not installed ({error})") from error
    made = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in _DENIED:
        _deny(pyseccomp, made, name, EPERM)
    # glibc falls back to clone, where threads are allowed; a filter cannot see the arguments of clone3
    _deny(pyseccomp, made, "clone3", ENOSYS)
    _deny(pyseccomp, made, "clone", EPERM, pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0))
    for name in ("socket", "socketpair"):
        for family in set(range(_SOCKET_FAMILY_LIMIT)) - set(_FAMILIES):
            _deny(pyseccomp, made, name, EPERM, pyseccomp.Arg(0, pyseccomp.EQ, family))
        _deny(pyseccomp, made, name, EPERM, pyseccomp.Arg(0, pyseccomp.GE, _SOCKET_FAMILY_LIMIT))
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _deny(library: Any, made: Any, name: str, error: int, *args: Any) -> None:
    """Make a system call fail; calls unknown on this processor are skipped."""
    number = library.resolve_syscall(library.Arch.NATIVE, name)
    if number >= 0:
        made.add_rule(library.ERRNO(error), number, *args)


def filter_pipe(program: bytes) -> int:
    """Return a file descriptor from which the filter can be read once."""
    read, write = os.pipe()
    try:
        os.write(write, program)
    finally:
        os.close(write)
    return read
