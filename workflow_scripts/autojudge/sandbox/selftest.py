"""The proof, at every start and through the real path, that a program is held."""

import json
import os
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

from autojudge.sandbox.trial import Limits, Pair, check_program, run_program

LIMITS = Limits(cpu_s=10, wall_s=100, memory_mb=1024, output_bytes=2**16)
PROBED = replace(LIMITS, memory_mb=256)  # little, as a program that is not held fills twice as much
RIGHT, WRONG = "def double(x):\n    return 2 * x\n", "def double(x):\n    return x\n"
TEST = "assert double(21) == 42"
PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/", ".", Path(__file__).parent)  # a program tries to write to them
PROBES = """
import json, os, socket

def connect():
    socket.create_connection(("127.0.0.1", PORT), 2)

def read():
    open(PLANTED).read()

def write():
    written = []
    for path in PATHS:
        try:
            written.append(open(path, "w"))
        except OSError:
            continue
    if not written:
        raise OSError

def fork():
    if os.fork() == 0:
        os._exit(0)

def allocate():
    bytearray(MEMORY)

def held(probe):
    try:
        probe()
    except (OSError, MemoryError):
        return True
    return False

print(json.dumps({probe.__name__: held(probe) for probe in (connect, read, write, fork, allocate)}))
"""
FAULTS = {
    "connect": "a program reaches the network",
    "read": "a program reads files outside",
    "write": "a program writes files",
    "fork": "a program starts processes",
    "allocate": "a program takes more memory than it may",
}


class NotHeld(Exception):  # noqa: N818 - a finding
    """The self-test failed; the message says in what."""


def self_test(pair: Pair) -> None:
    """Raise NotHeld where a program is not held, a right one fails or a wrong one passes."""
    with tempfile.TemporaryDirectory(prefix="autojudge-") as folder, socket.create_server(("127.0.0.1", 0)) as server:
        os.chmod(folder, 0o777)
        planted = Path(folder, "planted")
        planted.write_text("secret", encoding="utf-8")
        paths = [Path(place, f"{planted.parent.name}-left") for place in (*PLACES, folder)]
        found = run_program(pair, _probes(server.getsockname()[1], planted, paths), b"", PROBED)
        left = [path for path in paths if path.exists()]
        for path in left:
            path.unlink()
    try:
        held = json.loads(found.stdout)
    except ValueError as fault:
        raise NotHeld(f"a program of the self-test ended with {found.ended!r} and told nothing") from fault
    faults = [words for name, words in FAULTS.items() if held.get(name) is not True]
    if left:
        faults.append("a program left a file")
    if faults:
        raise NotHeld("; ".join(faults))
    _test_verdicts(pair)


def _probes(port: int, planted: Path, paths: list[Path]) -> str:
    places = [os.fspath(path) for path in paths]
    values = {"PORT": port, "PLANTED": os.fspath(planted), "PATHS": places, "MEMORY": 2 * PROBED.memory_mb * 2**20}
    return "\n".join(f"{name} = {value!r}" for name, value in values.items()) + PROBES


def _test_verdicts(pair: Pair) -> None:
    right = check_program(pair, RIGHT, TEST, ["double"], LIMITS)
    if not right.passed:
        raise NotHeld(f"a right program fails: {right.reason}")
    wrong = check_program(pair, WRONG, TEST, ["double"], LIMITS)
    if wrong.reason != "wrong value":
        raise NotHeld(f"a wrong program gets the verdict {wrong.reason!r}")
