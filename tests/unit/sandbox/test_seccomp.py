"""The list of system calls: numbers as the kernel's headers have them, and a filter that does what the list says."""

import re
import struct
from pathlib import Path

import pytest

from autojudge.sandbox.inside import seccomp

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
OTHER_NAMES = {"newfstatat": "fstatat"}
PROCESS = 4711


def numbers(machine):
    column = seccomp.MACHINES[machine][0]
    tables = seccomp.CALLS | seccomp.GUARDED | seccomp.ABSENT
    return {name: both[column] for name, both in tables.items() if both[column] is not None}


def verdict(machine, name, *arguments, number=None, architecture=None):
    """What the filter says of a call: the machine of the kernel's packet filters, in a few lines."""
    number = numbers(machine)[name] if number is None else number
    architecture = architecture or seccomp.MACHINES[machine][1]
    padded = [value & 2**64 - 1 for value in (*arguments, 0, 0, 0, 0, 0, 0)][:6]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    steps, place, word = seccomp.assemble(PROCESS, machine), 0, 0
    while True:
        code, yes, no, value = steps[place]
        place += 1
        if code == seccomp.LOAD:
            word = struct.unpack_from("<I", data, value)[0]
        elif code == seccomp.RETURN:
            return value
        else:
            truth = {seccomp.EQUAL: word == value, seccomp.AT_LEAST: word >= value, seccomp.ANY_BIT: bool(word & value)}
            place += yes if truth[code] else no


def allowed(*given, **named):
    return verdict(*given, **named) == seccomp.ALLOW


@pytest.mark.parametrize("machine", HEADERS)
def test_numbers_are_the_kernels(machine):
    if not HEADERS[machine].exists():
        pytest.skip(f"{HEADERS[machine]} (linux-libc-dev) is not installed")
    defined = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text()))
    for name, number in numbers(machine).items():
        found = defined.get(name) or defined.get(OTHER_NAMES.get(name, ""))
        assert found is not None and int(found) == number, name


@pytest.mark.parametrize("machine", HEADERS)
def test_calls_are_allowed_by_the_list_alone(machine):
    listed = numbers(machine)
    plain = {listed[name] for name in seccomp.CALLS if name in listed}
    found = {number for number in range(600) if allowed(machine, "", number=number)}
    assert found - {listed[name] for name in seccomp.GUARDED if name in listed} == plain
    assert verdict(machine, "clone3") == seccomp.LACKING
    assert verdict(machine, "", number=599) == seccomp.REFUSE


@pytest.mark.parametrize("machine", HEADERS)
def test_calls_by_another_door_end_the_program(machine):
    assert verdict(machine, "read", architecture=0x40000003) == seccomp.KILL  # 32 bits
    assert verdict(machine, "", number=0x40000000 + 1) == seccomp.KILL  # x32


@pytest.mark.parametrize("machine", HEADERS)
@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("clone", [(0x3D0F00,)], [(17,), (0x10000000 | 0x10F00,), (0,), (0x4111,)]),
        ("kill", [(PROCESS, 15), (PROCESS, 0)], [(0, 15), (-1, 15), (1, 15), (PROCESS, 9), (PROCESS, 19)]),
        ("tgkill", [(PROCESS, 5, 6)], [(1, PROCESS, 6), (PROCESS, PROCESS, 9)]),
        ("fcntl", [(1, 0), (1, 1030), (1, 4)], [(1, 8), (1, 10), (1, 1031), (1, 1024)]),
        ("ioctl", [(1, 0x5401), (1, 0x5421)], [(1, 0x5412), (0, 0)]),
        ("socketpair", [(1, 0x80001)], [(1, 0x80002), (1, 0x80005), (2, 0x80001), (16, 0x80003)]),
        ("sendto", [(3, 1, 1)], [(3, 1, 1, 1), (3, 1, 1, 0, 1), (3, 1, 1, 0, 1 << 32)]),
        ("recvfrom", [(3, 1, 1)], [(3, 1, 1, 1)]),
        ("prctl", [(15,)], [(1, 9), (38, 1), (22, 2), (4, 1)]),
        ("setrlimit", [(3, 1), (7, 1)], [(0, 1), (15, 1)]),
        (
            "prlimit64",
            [(0, 0, 0, 1), (PROCESS, 3, 1), (0, 7, 1, 1)],
            [(1, 3, 0, 1), (0, 0, 1), (0, 0, 1 << 32), (1, 3, 1)],
        ),
    ],
)
def test_some_are_allowed_for_some_arguments(machine, name, good, bad):
    assert [allowed(machine, name, *arguments) for arguments in good] == [True] * len(good)
    assert [verdict(machine, name, *arguments) for arguments in bad] == [seccomp.REFUSE] * len(bad)


def test_other_machines_are_refused_by_name():
    with pytest.raises(NotImplementedError, match="riscv64; there is one for x86_64, aarch64"):
        seccomp.assemble(PROCESS, "riscv64")
