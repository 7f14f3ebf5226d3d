"""The few calls of the C library for which Python has no function."""

import ctypes
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
PARENT_DEATH_SIGNAL, KEEP_CAPABILITIES, HAS_BOUND, DROP_BOUND = 1, 8, 23, 24  # options of prctl
CAPABILITIES = range(64)  # numbers, more than there are
FIXED_ADDRESSES = 0x0040000  # of personality
VERSION_3 = 0x20080522  # of capset's header


def check(result: int, what: str) -> int:
    """Return a call's result; OSError where it is -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int) -> None:
    """Set an option of this process; OSError where the kernel refuses."""
    check(LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def keep_only(capabilities: tuple[int, ...]) -> None:
    """Drop all capabilities but these numbers, which this process must have, and what a new program may gain."""
    for number in set(CAPABILITIES) - set(capabilities):
        if LIBC.prctl(HAS_BOUND, ctypes.c_ulong(number), 0, 0, 0) == 1:
            LIBC.prctl(DROP_BOUND, ctypes.c_ulong(number), 0, 0, 0)  # only root can, and only root need
    bits = sum(1 << number for number in capabilities)
    header = ctypes.create_string_buffer(struct.pack("=II", VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("=6I", bits, bits, 0, 0, 0, 0))
    check(LIBC.capset(header, data), "capset")


def fix_addresses() -> bool:
    """Ask for the same memory addresses in the next program that runs; True where that changed anything."""
    before = LIBC.personality(0xFFFFFFFF)
    if before == -1 or before & FIXED_ADDRESSES:
        return False
    return bool(LIBC.personality(before | FIXED_ADDRESSES) != -1 and LIBC.personality(0xFFFFFFFF) & FIXED_ADDRESSES)
