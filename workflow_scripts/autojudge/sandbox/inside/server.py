"""A worker: waits for requests on its standard input, a socket, and runs each in a forked child of its own."""

import gc
import json
import os
import platform
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from . import confinement, landlock, libc, program, tester
from .frames import LENGTH, Closed, read_exactly, read_frame, read_length, unpack, write_frame

CONTROL = 0  # descriptor
AWAY = 64  # descriptors from here on are not the child's own
FULL = 256  # above all descriptors that a worker ever has
MODULES = (  # what programs import most, loaded once
    "__future__", "bisect", "collections.abc", "copy", "datetime", "decimal", "fractions", "functools", "hashlib",
    "heapq", "io", "itertools", "math", "operator", "random", "re", "statistics", "string", "threading", "typing",
)  # fmt: skip
CHANGING = (5, 6, 7)  # capabilities that a worker of root's keeps: kill, change group, change user
READING = (2, *CHANGING)  # and under Landlock: read what it may of others' files


def main() -> None:
    """Prepare, say so, and serve until the supervisor is gone."""
    setting = json.loads(sys.argv[1])
    if setting["uid"] is not None:
        libc.keep_only(READING if setting["landlock"] else CHANGING)
    if libc.fix_addresses() and "again" not in sys.argv:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], "again"])
    for name in MODULES:
        __import__(name)
    sys.path[:] = [path for path in sys.path if path != setting["folder"]] + setting["packages"]
    sys.argv = [""]
    os.environ.pop("PWD", None)  # bubblewrap sets it
    os.chdir("/")
    version = _give_up(setting)
    wakeup = _wake_on_child()
    gc.freeze()
    write_frame(CONTROL, {"python": platform.python_version(), "landlock": version})
    control = socket.socket(fileno=CONTROL)
    try:
        while True:
            request, descriptors = _receive(control)
            if "stop" not in request:
                write_frame(CONTROL, _serve(request, descriptors, setting, wakeup))
    except Closed:
        os._exit(0)


def _give_up(setting: Mapping[str, Any]) -> int:
    """Under Landlock: leave this process the files that Python needs. Bubblewrap has done so before it began."""
    if setting["landlock"] is None:
        return 0
    libc.prctl(libc.PARENT_DEATH_SIGNAL, signal.SIGKILL)
    return landlock.restrict_files(setting["landlock"]["readable"], setting["landlock"]["writable"])


def _wake_on_child() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    wakeup, end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(end, warn_on_full_buffer=False)
    return wakeup


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the next request and the descriptors that came with it."""
    header, descriptors, _, _ = socket.recv_fds(control, LENGTH.size, 8)
    if not header:
        raise Closed("the supervisor is gone")
    header += read_exactly(CONTROL, LENGTH.size - len(header))
    return unpack(read_exactly(CONTROL, read_length(header))), descriptors


def _serve(
    request: Mapping[str, Any], descriptors: list[int], setting: Mapping[str, Any], wakeup: int
) -> dict[str, Any]:
    """Run a request in a child and return how it ended."""
    said, saying = os.pipe()
    try:
        child = os.fork()
    except OSError as fault:
        for descriptor in (*descriptors, said, saying):
            os.close(descriptor)
        return {"id": request["id"], "fault": f"fork: {fault}"}
    if child == 0:
        _become(request, descriptors, setting, saying)
    for descriptor in (*descriptors, saying):
        os.close(descriptor)
    status, usage, why = _watch(child, request, wakeup)
    words = os.read(said, 4096).decode(errors="replace")
    os.close(said)
    return {
        "id": request["id"],
        "fault": None if words == "confined" else f"not confined: {words}",
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "why": why,
    }


def _watch(child: int, request: Mapping[str, Any], wakeup: int) -> tuple[int, Any, str]:
    """Wait for a child's end; return status, usage and why it was killed: "wall", "stop" or "" if it was not."""
    deadline = time.monotonic() + request["wall_s"]
    why = ""
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return status, usage, why
        rest = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([CONTROL, wakeup], [], [], None if why else rest)
        if wakeup in ready:
            os.read(wakeup, 4096)
        if CONTROL in ready:
            try:
                stopped = read_frame(CONTROL).get("stop") == request["id"]
            except Closed:
                os.kill(child, signal.SIGKILL)
                raise
            why = why or ("stop" if stopped else "")
        elif not ready and not why:
            why = "wall"
        if why:
            os.kill(child, signal.SIGKILL)


def _become(request: Mapping[str, Any], descriptors: list[int], setting: Mapping[str, Any], saying: int) -> None:
    """Turn this forked child into the program or the test that was asked for; it does not return."""
    code = program.ERROR
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        saying = _arrange(descriptors, saying)
        try:
            confinement.confine(request, setting)
        except BaseException as fault:
            os.write(saying, repr(fault).encode())
            raise
        os.write(saying, b"confined")
        os.close(saying)
        for name in [name for name in sys.modules if name.partition(".")[0] == __name__.partition(".")[0]]:
            del sys.modules[name]
        roles = {"run": program.run, "serve": program.serve, "test": tester.test}
        code = roles[request["role"]](request)
    finally:
        os._exit(code)


def _arrange(descriptors: list[int], saying: int) -> int:
    """Give this child the request's descriptors as 0, 1, 3, 4 and no other; return where `saying` now is."""
    import fcntl

    places = (0, 1, 3, 4)
    away = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, AWAY) for descriptor in descriptors]
    kept = fcntl.fcntl(saying, fcntl.F_DUPFD, FULL)
    for descriptor, place in zip(away, places[: len(away)], strict=True):
        os.dup2(descriptor, place)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.closerange(3 if len(away) < 3 else 5, FULL)
    return kept
