"""A sandbox that does not hold programs does not open, and says why."""

import os
import shutil
import subprocess
import sys

import pytest

from autojudge.errors import InputError
from autojudge.registry import LIBRARY
from autojudge.sandbox import Sandbox
from autojudge.sandbox.means import BUBBLEWRAP, INSIDE, LANDLOCK, Means

NO_SECCOMP = ("confinement.py", "    restrict_calls()\n", "    pass\n")
NO_MEMORY_LIMIT = ("confinement.py", "    resource.setrlimit(resource.RLIMIT_AS, (size, size))\n", "    pass\n")
NO_LANDLOCK = ("landlock.py", '    check(LIBC.syscall(RESTRICT, rules, 0), "landlock_restrict_self")\n', "    pass\n")
ALL_PASS = ("tester.py", 'CODES[_reason(fault, program)]', 'CODES["passed"]')  # fmt: skip
ALL_FAIL = ("tester.py", '("passed" if program.calls else "wrong value")', '"wrong value"')
NOTHING_CONFINES = ("confinement.py", "    server = os.getppid()\n", "    raise OSError('not here')\n")
NO_MACHINE = ("seccomp.py", "machine = machine or platform.machine()", 'machine = "riscv64"')
NO_PYTHON = ("server.py", "def main() -> None:\n", "def main( -> None:\n")


@pytest.fixture
def broken(tmp_path, request):
    """Open a sandbox of some means whose runner has other text in some places."""

    def broken(means, *changes):
        opened = None
        try:
            with Sandbox(means=means) as opened:
                pass
        except InputError as fault:
            pytest.skip(f"{means} cannot be had here: {fault}")
        inside = tmp_path / "inside"
        shutil.copytree(INSIDE, inside, ignore=shutil.ignore_patterns("__pycache__"))
        for name, old, new in changes:
            text = (inside / name).read_text()
            assert old in text, name
            (inside / name).write_text(text.replace(old, new))
        opened._inside = inside
        return opened

    return broken


@pytest.mark.parametrize(
    ("means", "changes", "words"),
    [
        (BUBBLEWRAP, [NO_SECCOMP], "a program starts processes"),
        (LANDLOCK, [NO_SECCOMP], "a program starts processes"),
        (BUBBLEWRAP, [NO_MEMORY_LIMIT], "a program takes more memory than it may"),
        (LANDLOCK, [NO_LANDLOCK], "a program reads files outside; a program writes files; a program left a file"),
        (LANDLOCK, [ALL_PASS], "a wrong program gets the verdict 'passed'"),
        (LANDLOCK, [ALL_FAIL], "a right program fails: wrong value"),
        (LANDLOCK, [NOTHING_CONFINES], "not confined: OSError..not here"),
        (LANDLOCK, [NO_MACHINE], "no list of system calls for riscv64"),
        (LANDLOCK, [NO_PYTHON], "SyntaxError"),
        (BUBBLEWRAP, [NO_PYTHON], "SyntaxError"),
    ],
)
def test_a_sandbox_that_lacks_something_does_not_open(broken, means, changes, words):
    sandbox = broken(means, *changes)
    with pytest.raises(InputError, match=words) as fault, sandbox:
        pass
    assert "apt install bubblewrap" in str(fault.value)
    assert sandbox._pairs == set()


def test_a_sandbox_with_a_network_does_not_open(broken, monkeypatch):
    sandbox = broken(BUBBLEWRAP, NO_SECCOMP)
    command = Means.command
    monkeypatch.setattr(Means, "command", lambda *given: [one for one in command(*given) if one != "--unshare-net"])
    with pytest.raises(InputError, match="a program reaches the network; a program starts processes"), sandbox:
        pass


def test_a_sandbox_that_lacks_nothing_opens(broken):
    with broken(LANDLOCK) as sandbox:
        assert sandbox.run("print(1)").stdout == b"1\n"


def test_less_memory_than_a_program_may_have_is_told(broken):
    broken(LANDLOCK)
    program = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (700 << 20,) * 2)\n"
    program += "from autojudge.sandbox import Sandbox\nwith Sandbox():\n    pass\n"
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY.parent)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "only 700 MiB of addresses are allowed here (`ulimit -v`), not 1024" in done.stderr
