"""Which system calls a program may make: a list of allowed ones, all others are refused."""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable

from .libc import LIBC, check, prctl

# Name of a system call and its number on x86_64 and aarch64 (None: it has none there).
CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "mmap": (9, 222), "munmap": (11, 215),
    "brk": (12, 214), "mprotect": (10, 226), "mremap": (25, 216), "madvise": (28, 233), "futex": (202, 98),
    "openat": (257, 56), "open": (2, None), "newfstatat": (262, 79), "fstat": (5, 80), "stat": (4, None),
    "lstat": (6, None), "statx": (332, 291), "statfs": (137, 43), "fstatfs": (138, 44), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "getdents64": (217, 61), "getdents": (78, None),
    "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50),
    "umask": (95, 166), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "pipe": (22, None), "pipe2": (293, 59),
    "close_range": (436, 436), "fadvise64": (221, 223), "poll": (7, None), "ppoll": (271, 73), "select": (23, None),
    "pselect6": (270, 72), "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None),
    "epoll_pwait": (281, 22), "eventfd2": (290, 19), "msync": (26, 227), "mincore": (27, 232),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "pause": (34, None),
    "alarm": (37, None), "setitimer": (38, 103), "getitimer": (36, 102), "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115), "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169),
    "time": (201, None), "times": (100, 153), "getrusage": (98, 165), "getrlimit": (97, 163), "getpid": (39, 172),
    "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "getgroups": (115, 158), "getresuid": (118, 148), "getresgid": (120, 150),
    "getpgid": (121, 155), "getpgrp": (111, None), "getsid": (124, 156), "getpriority": (140, 141),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168), "membarrier": (324, 283), "set_robust_list": (273, 99), "set_tid_address": (218, 96),
    "rseq": (334, 293), "uname": (63, 160), "sysinfo": (99, 179), "getrandom": (318, 278),
    "restart_syscall": (219, 128), "exit": (60, 93), "exit_group": (231, 94), "wait4": (61, 260),
    "waitid": (247, 95),
}  # fmt: skip
# Allowed for some arguments only (below), and those which the C library does without where the kernel lacks them.
GUARDED: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220), "kill": (62, 129), "tgkill": (234, 131), "fcntl": (72, 25), "ioctl": (16, 29),
    "prctl": (157, 167), "prlimit64": (302, 261), "setrlimit": (160, 164), "socketpair": (53, 199), "sendto": (44, 206),
    "recvfrom": (45, 207),
}  # fmt: skip
ABSENT: dict[str, tuple[int | None, int | None]] = {"clone3": (435, 435)}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, kernel's name

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions of the filter's machine
ALLOW, KILL, REFUSE, LACKING = 0x7FFF0000, 0x80000000, 0x00050000 | 1, 0x00050000 | 38  # EPERM, ENOSYS
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in what the filter sees
X32 = 0x40000000

THREAD, NEW_NAMESPACES = 0x00010000, 0x7E020080  # flags of clone
SIGKILL, SIGSTOP = 9, 19
UNIX, STREAM = 1, 0x80001  # a socket's family and type (closed on exec)
CPU, REALTIME = 0, 15  # limits whose signal would look like the supervisor's
FCNTL = (0, 1, 2, 3, 4, 1030, 1032)  # duplicates, flags, the size of a pipe
# Is it a terminal, its size, bytes waiting, whether to wait for bytes, close on exec.
IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
PRCTL = (15, 16, 0x53564D41)  # names of threads and of memory

Test = tuple[int, str, int]  # 32-bit word of the arguments (two an argument), "is", "is not", "any" or "none", a number
Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, number


def guards(process: int) -> dict[str, list[list[Test]]]:
    """Return for each guarded call the alternatives, one of which its arguments must fulfil; `process` is the own."""
    own: list[list[Test]] = [[(0, "is", 0)], [(0, "is", process)]]
    return {
        "clone": [[(0, "any", THREAD), (0, "none", NEW_NAMESPACES)]],
        "kill": [[(0, "is", process), (2, "is not", SIGKILL), (2, "is not", SIGSTOP)]],
        "tgkill": [[(0, "is", process), (4, "is not", SIGKILL), (4, "is not", SIGSTOP)]],
        "fcntl": [[(2, "is", command)] for command in FCNTL],
        "ioctl": [[(2, "is", command)] for command in IOCTL],
        "prctl": [[(0, "is", option)] for option in PRCTL],
        # What asyncio wakes itself with. Datagrams, an address or a message with descriptors could reach outside, and
        # flags have had faults of the kernel's.
        "socketpair": [[(0, "is", UNIX), (2, "is", STREAM)]],
        "sendto": [[(6, "is", 0), (8, "is", 0), (9, "is", 0)]],
        "recvfrom": [[(6, "is", 0)]],
        "setrlimit": [[(0, "is not", CPU), (0, "is not", REALTIME)]],
        "prlimit64": [[*who, (4, "is", 0), (5, "is", 0)] for who in own]
        + [[*who, (2, "is not", CPU), (2, "is not", REALTIME)] for who in own],
    }


def restrict_calls() -> None:
    """Put the filter on this process and its later threads, for good; OSError where the kernel refuses."""
    filters = assemble(os.getpid())
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in filters))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program = Program(len(filters), ctypes.cast(code, ctypes.c_void_p))
    prctl(38, 1)  # no new privileges
    check(LIBC.prctl(22, 2, ctypes.byref(program), 0, 0), "seccomp")


def assemble(process: int, machine: str = "") -> list[Instruction]:
    """Return the filter for a process; NotImplementedError where the machine is none of MACHINES."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise NotImplementedError(f"no list of system calls for {machine}; there is one for {', '.join(MACHINES)}")
    column, architecture = MACHINES[machine]
    steps: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL)]
    steps += [(LOAD, 0, 0, NUMBER), (AT_LEAST, 0, 1, X32), (RETURN, 0, 0, KILL)]
    for numbers in CALLS.values():
        steps += _when(numbers[column], [(RETURN, 0, 0, ALLOW)])
    for name, alternatives in guards(process).items():
        steps += _when(GUARDED[name][column], _any(alternatives))
    for numbers in ABSENT.values():
        steps += _when(numbers[column], [(RETURN, 0, 0, LACKING)])
    return [*steps, (RETURN, 0, 0, REFUSE)]


def _when(number: int | None, block: list[Instruction]) -> list[Instruction]:
    """Return the block, skipped where the system call is another one."""
    return [] if number is None else [(EQUAL, 0, len(block), number), *block]


def _any(alternatives: Iterable[list[Test]]) -> list[Instruction]:
    steps: list[Instruction] = []
    for tests in alternatives:
        rest: list[Instruction] = [(RETURN, 0, 0, ALLOW)]
        for word, relation, number in reversed(tests):
            over = len(rest)
            yes, no = (0, over) if relation in ("is", "any") else (over, 0)
            code = EQUAL if relation in ("is", "is not") else ANY_BIT
            rest = [(LOAD, 0, 0, ARGUMENTS + 4 * word), (code, yes, no, number), *rest]
        steps += rest
    return [*steps, (RETURN, 0, 0, REFUSE)]
