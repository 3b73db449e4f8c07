"""The seccomp filter of sandboxed processes, built with libseccomp."""

from __future__ import annotations

import os
import tempfile
from errno import ENOSYS, EPERM
from typing import Any

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
_MOST_FAMILIES = 64


def build_filter() -> bytes:
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
        for family in set(range(_MOST_FAMILIES)) - set(_FAMILIES):
            _deny(pyseccomp, made, name, EPERM, pyseccomp.Arg(0, pyseccomp.EQ, family))
        _deny(pyseccomp, made, name, EPERM, pyseccomp.Arg(0, pyseccomp.GE, _MOST_FAMILIES))
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _deny(library: Any, made: Any, name: str, error: int, *args: Any) -> None:
    """Make a system call fail; calls unknown on this processor are skipped."""
    number = library.resolve_syscall(library.Arch.NATIVE, name)
    if number >= 0:
        made.add_rule(library.ERRNO(error), number, *args)


def as_pipe(program: bytes) -> int:
    """Return a file descriptor from which the filter can be read once."""
    read, write = os.pipe()
    try:
        os.write(write, program)
    finally:
        os.close(write)
    return read
