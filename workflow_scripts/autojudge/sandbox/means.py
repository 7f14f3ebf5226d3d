"""How a worker is shut off from the machine: bubblewrap, or else Landlock; seccomp comes with both."""

import functools
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSIDE = Path(__file__).parent / "inside"
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # so that sets have the same order in every run
    "PYTHONUTF8": "1",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONTZPATH": "",  # time zones from the package tzdata alone: the machine's are not there by every means
    "MALLOC_ARENA_MAX": "1",  # else the address space that threads take depends on the number of cores
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
FIRST_UID, UIDS = 61184, 4336  # none of a person's: what systemd gives to services for a while
# Capabilities without which programs cannot have a user of their own: kill, change group and user; and make namespaces,
# or else read what that user may not (a Python below /root), which Landlock then bounds.
CHANGE_USER, NAMESPACES, READ = (5, 6, 7), 21, 2
PROCESSES = 4096  # threads and processes that a program's user may have beyond those there are
START = "import sys; sys.path.insert(0, {folder!r}); from {package}.server import main; main()"


@dataclass(frozen=True)
class Means:
    """A way to shut a worker off, by name."""

    name: str
    version: str = ""

    @property
    def description(self) -> str:
        """Return name and version, if it has one."""
        return f"{self.name} {self.version}".strip()

    def command(self, index: int, inside: Path = INSIDE) -> list[str]:
        """Return the command of a worker; `index` tells those of a process apart."""
        landlock = {"readable": [*_readable(inside), *DEVICES], "writable": ["/dev/null"]}
        privileged = _may(NAMESPACES if self.name == BUBBLEWRAP else READ, *CHANGE_USER)
        uid = _uid(index) if privileged else None
        setting = {
            "folder": str(inside.parent),
            "packages": _packages(),
            "uid": uid,
            "processes": PROCESSES + (_threads_of_user() if uid is None else 0),
            "landlock": None if self.name == BUBBLEWRAP else landlock,
        }
        start = START.format(folder=str(inside.parent), package=inside.name)
        python = [os.path.realpath(sys.executable), "-s", "-S", "-P", "-B", "-c", start, json.dumps(setting)]
        return [*self._bubblewrap(inside), *python] if self.name == BUBBLEWRAP else python

    def _bubblewrap(self, inside: Path) -> list[str]:
        options = ["--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid", "--unshare-net"]
        options += ["--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"]
        if _may(NAMESPACES, *CHANGE_USER):  # the worker itself gives up the last one, and the others to its programs
            for name in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_SETPCAP"):
                options += ["--cap-add", name]
        else:
            options += ["--unshare-user"]
        for path in _readable(inside):
            for parent in reversed(Path(path).parents[:-1]):
                options += ["--perms", "0755", "--dir", str(parent)]
            options += ["--ro-bind-try", path, path]
        options += ["--perms", "0755", "--dir", "/dev"]
        for path in DEVICES:
            options += ["--dev-bind", path, path]
        program = shutil.which("bwrap") or "bwrap"
        return [program, *options, "--remount-ro", "/", "--chdir", "/", "--"]


BUBBLEWRAP, LANDLOCK = "bubblewrap", "Landlock and seccomp"


def environment() -> dict[str, str]:
    """Return a worker's environment."""
    return ENVIRONMENT | {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def find_means(name: str) -> Means:
    """Return the means of that name; LookupError with the remedy where it cannot be had."""
    if name == LANDLOCK:
        return Means(LANDLOCK)
    if name != BUBBLEWRAP:
        raise LookupError(f"no means of that name; there are {BUBBLEWRAP!r} and {LANDLOCK!r}")
    program = shutil.which("bwrap")
    if program is None:
        raise LookupError("not installed (Debian and Ubuntu: apt install bubblewrap)")
    said = subprocess.run(
        [program, "--version"], capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL
    ).stdout
    return Means(BUBBLEWRAP, "".join(re.findall(r"[\d.]+", said)[:1]))


@functools.cache
def _readable(inside: Path) -> tuple[str, ...]:
    """Return the files and folders that a worker needs, none of them inside another."""
    prefix = Path(os.path.realpath(sys.base_prefix))
    wanted = [*LIBRARIES, *_packages(), os.path.realpath(sys.executable), str(prefix / "lib"), str(inside)]
    wanted += [os.path.realpath(Path(os.__file__).parent)]
    wanted += [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path.startswith("/")]
    there = sorted({path.rstrip("/") for path in wanted if os.path.exists(path)})
    return tuple(path for path in there if not any(path.startswith(f"{other}/") for other in there))


@functools.cache
def _packages() -> list[str]:
    """Return the folder of numpy, if there is numpy: what a program may import besides the standard library."""
    found = importlib.util.find_spec("numpy")
    return [os.path.realpath(Path(found.origin).parent.parent)] if found and found.origin else []


def _uid(index: int) -> int | None:
    """Return a user for the programs of a worker, None where there is no such user in this process's namespace."""
    uid = FIRST_UID + (os.getpid() * 16 + index) % UIDS
    ranges = [
        list(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text(encoding="utf-8").splitlines()
    ]
    mapped = any(first <= uid < first + count for first, _, count in ranges)
    return uid if mapped else None


def _may(*capabilities: int) -> bool:
    """Whether this process has all of these capabilities."""
    words = Path("/proc/self/status").read_text(encoding="utf-8").split()
    bits = int(words[words.index("CapEff:") + 1], 16)
    return all(bits >> number & 1 for number in capabilities)


def _threads_of_user() -> int:
    """Return how many threads the user of this process has."""
    return sum(_threads(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _threads(process: Path) -> int:
    try:
        return len(os.listdir(process / "task")) if process.stat().st_uid == os.getuid() else 0
    except OSError:
        return 0


def describe(means: Means, hello: dict[str, Any]) -> str:
    """Return means and the versions of Python and numpy, if there is numpy, as results name them."""
    version = f" (Landlock {hello['landlock']})" if hello["landlock"] else ""
    numpy = f", numpy {importlib.metadata.version('numpy')}" if _packages() else ""
    return f"{means.description}{version}, Python {hello['python']}{numpy}"
