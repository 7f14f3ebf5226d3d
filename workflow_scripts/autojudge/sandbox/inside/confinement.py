"""What a forked child gives up before it runs a program: limits, identity, system calls."""

import math
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from .libc import KEEP_CAPABILITIES, PARENT_DEATH_SIGNAL, keep_only, prctl
from .seccomp import restrict_calls

READ_ANYTHING = 2  # capability DAC_READ_SEARCH: folders above Python may be closed to the program's user
STACK = 120 * 2**20  # bytes; deep recursion through C code, still below what the kernel keeps free for a stack
THREAD_STACK = 8 * 2**20  # bytes
DEPTH = 50_000  # of recursion, LiveCodeBench's own limit
FIXED = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_MEMLOCK: 0,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_NOFILE: 64,
    resource.RLIMIT_SIGPENDING: 64,
}


def confine(limits: Mapping[str, Any], setting: Mapping[str, Any]) -> None:
    """Confine this process for good.

    `limits` has `cpu_s` and `memory_mb`; `setting` has the worker's `uid` (None: it stays), `processes` (how many the
    user may have, threads counted) and `landlock` (None under bubblewrap).
    """
    server = os.getppid()
    _limit({**FIXED, resource.RLIMIT_CPU: math.ceil(limits["cpu_s"]), resource.RLIMIT_NPROC: setting["processes"]})
    _limit({resource.RLIMIT_STACK: STACK, resource.RLIMIT_AS: limits["memory_mb"] * 2**20})
    threading.stack_size(THREAD_STACK)
    sys.setrecursionlimit(DEPTH)
    _change_identity(setting["uid"], (READ_ANYTHING,) if setting["landlock"] else ())
    prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != server:
        raise OSError("the worker is gone")
    restrict_calls()


def _limit(limits: Mapping[int, int]) -> None:
    for name, wanted in limits.items():
        most = resource.getrlimit(name)[1]
        value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(name, (value, value))


def _change_identity(uid: int | None, capabilities: tuple[int, ...]) -> None:
    if uid is None:
        keep_only(())
        return
    prctl(KEEP_CAPABILITIES, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    keep_only(capabilities)
