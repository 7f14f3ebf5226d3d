"""Landlock: a process gives up all files but a list, for good and for all that it starts."""

import ctypes
import os
import struct
from collections.abc import Iterable

from .libc import LIBC, check, prctl

CREATE, ADD_RULE, RESTRICT = 444, 445, 446  # system calls, the same on every machine
EXECUTE, WRITE_FILE, READ_FILE, READ_DIRECTORY, TRUNCATE = 1, 2, 4, 8, 1 << 14
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights each version knows
NETWORK_SINCE, SCOPES_SINCE = 4, 6
NO_NEW_PRIVILEGES = 38


def version() -> int:
    """Return the kernel's version of Landlock, 0 where there is none."""
    return max(0, int(LIBC.syscall(CREATE, None, 0, 1)))


def restrict_files(readable: Iterable[str], writable: Iterable[str]) -> int:
    """Leave this process the files and folders `readable`, and `writable` to write to; return Landlock's version.

    TCP and, where the kernel can, signals and abstract sockets to outside are given up too. OSError where there is no
    Landlock. Paths that do not exist are left out.
    """
    found = check(LIBC.syscall(CREATE, None, 0, 1), "landlock")
    rights = (1 << FILE_RIGHTS.get(found, 16)) - 1
    wanted = struct.pack("=QQQ", rights, 3 * (found >= NETWORK_SINCE), 3 * (found >= SCOPES_SINCE))
    rules = check(LIBC.syscall(CREATE, ctypes.create_string_buffer(wanted, 24), 24, 0), "landlock_create_ruleset")
    for path in readable:
        _allow(rules, path, (EXECUTE | READ_FILE | READ_DIRECTORY) & rights)
    for path in writable:
        _allow(rules, path, (READ_FILE | WRITE_FILE | TRUNCATE) & rights)
    prctl(NO_NEW_PRIVILEGES, 1)
    check(LIBC.syscall(RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)
    return found


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= ~READ_DIRECTORY
    rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
    check(LIBC.syscall(ADD_RULE, rules, 1, rule, 0), f"landlock_add_rule {path}")
    os.close(place)
