"""What a sandbox answers: endings, verdicts, streams, values; and that workers come and go as they should."""

import importlib.util
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autojudge.errors import InputError
from autojudge.registry import LIBRARY
from autojudge.sandbox import Run, Sandbox, SandboxError
from autojudge.sandbox.inside import landlock
from autojudge.sandbox.means import BUBBLEWRAP, LANDLOCK
from autojudge.sandbox.supervisor import LEAST_MB, LEAST_S

DOUBLE = "def double(x):\n    return 2 * x\n"


@pytest.fixture(scope="module")
def sandbox():
    try:
        with Sandbox(workers=2) as opened:
            yield opened
    except InputError as fault:
        pytest.skip(f"no sandbox can be had here: {fault}")


def ended(sandbox, program, stdin="", **limits):
    run = sandbox.run(program, stdin, **limits)
    return run.stdout, run.ended


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nprint(sys.stdin.read(), end='')",
        "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())",
        "print(input())\nprint(input())",
        "print(open(0).read(), end='')",
        "import os\nos.write(1, os.read(0, 100))",
        "import sys\nfor line in sys.stdin:\n    print(line, end='')",
    ],
)
def test_standard_input_is_a_file(sandbox, program):
    assert ended(sandbox, program, "één\ntwo\n") == ("één\ntwo\n".encode(), "ok")


@pytest.mark.parametrize("means", [BUBBLEWRAP, LANDLOCK])
def test_a_program_finds_the_same_by_both_means(means):
    reading = "print(open({name!r}).read(), end='')"
    programs = [reading.format(name=name) for name in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", b"/dev/stdin")]
    programs += [
        "from pathlib import Path\nprint(Path('/dev/stdin').read_text(), file=open('/dev/stdout', 'w'), end='')"
    ]
    paths = "import zoneinfo\nprint(zoneinfo.TZPATH)"
    with opened(means=means) as sandbox:
        assert {sandbox.run(program, "one\ntwo\n") for program in programs} == {Run(b"one\ntwo\n", "ok")}
        assert ended(sandbox, paths) == (b"()\n", "ok")
        assert ended(sandbox, "open('/dev/stdin').close()\nprint(input())", "one") == (b"one\n", "ok")


def test_asyncio(sandbox):
    program = "import asyncio\nasync def main():\n    print(await asyncio.to_thread(sum, [1, 2]))\nasyncio.run(main())"
    assert ended(sandbox, program) == (b"3\n", "ok")


def test_much_input_and_output(sandbox):
    text = "0123456789\n" * 400_000
    assert ended(sandbox, "import sys\nprint(sys.stdin.read(), end='')", text) == (text.encode(), "ok")


@pytest.mark.parametrize(
    ("program", "ending"),
    [
        ("print('x')", "ok"),
        ("import sys\nprint('x')\nsys.exit(0)", "ok"),
        ("import sys\nprint('x')\nsys.exit()", "ok"),
        ("import os\nprint('x', flush=True)\nos._exit(0)", "ok"),
        ("if __name__ == '__main__':\n    print('x')", "ok"),
        ("from __future__ import annotations\ndef f(x: no_such_type): pass\nprint('x')", "ok"),
        ("import threading\nthreading.Thread(target=lambda: print('x')).start()", "ok"),
        ("import atexit\natexit.register(print, 'x')", "ok"),
        ("\ufeffprint('x')", "ok"),
        ("print('x')\nexit()\nprint('y')", "ok"),
        ("print('x')\nquit(0)\nprint('y')", "ok"),
        ("import sys\nprint('x')\nsys.exit(3)", "error"),
        ("print('x')\nraise ValueError", "error"),
        ("print('x')\nraise MemoryError", "memory"),
        ("import os\nprint('x', flush=True)\nos.abort()", "killed"),
    ],
)
def test_endings(sandbox, program, ending):
    assert ended(sandbox, program) == (b"x\n", ending)


@pytest.mark.parametrize(
    ("program", "exited"),
    [
        ("exit(1)", True),
        ("import sys\nsys.exit('words')", True),
        ("import sys\nsys.exit(77)", True),
        ("raise ValueError", False),
        ("import sys\nsys.exit(0)", False),
        ("import sys\ntry:\n    sys.exit(1)\nfinally:\n    1 / 0", False),
    ],
)
def test_an_exit_code_is_told_from_an_exception(sandbox, program, exited):
    run = sandbox.run(program)
    assert (run.ended, run.exited) == ("ok" if "(0)" in program else "error", exited)


@pytest.mark.parametrize(
    "limit", [{"cpu_s": 0}, {"cpu_s": -1}, {"cpu_s": math.inf}, {"wall_s": 0}, {"memory_mb": 0}, {"output_bytes": -1}]
)
def test_limits_with_which_no_program_starts_are_refused(sandbox, limit):
    with pytest.raises(InputError, match=f"{next(iter(limit))} is .*; give it a finite number from"):
        sandbox.run("print('x')", **limit)
    with pytest.raises(InputError):
        sandbox.check(DOUBLE, "double(1)", ["double"], **limit)


def test_the_smallest_limits_let_a_program_start(sandbox):
    assert ended(sandbox, "print('x')", memory_mb=LEAST_MB) == (b"x\n", "ok")
    assert ended(sandbox, "while True:\n    pass", cpu_s=LEAST_S)[1] == "time"


def test_limits_are_the_callers(sandbox):
    begin = time.monotonic()
    assert ended(sandbox, "while True:\n    pass", cpu_s=0.2)[1] == "time"
    assert ended(sandbox, "import time\ntime.sleep(60)", wall_s=0.2)[1] == "time"
    assert time.monotonic() - begin < 20
    assert ended(sandbox, "bytearray(300 << 20)", memory_mb=256)[1] == "memory"
    assert ended(sandbox, "bytearray(300 << 20)", memory_mb=512)[1] == "ok"
    assert ended(sandbox, "print('x' * 99)", output_bytes=100) == (b"x" * 99 + b"\n", "ok")
    assert ended(sandbox, "print('x' * 100)", output_bytes=100) == (b"x" * 100, "output")


def test_the_cpu_decides_and_not_the_wall(sandbox):
    assert ended(sandbox, "import time\ntime.sleep(1)\nprint('x')", cpu_s=0.5) == (b"x\n", "ok")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (DOUBLE, "passed"),
        ("def double(x):\n    return x", "wrong value"),
        ("def double(x):\n    return None", "wrong value"),
        ("def double(x):\n    raise ValueError", "error"),
        ("def double(x):\n    raise AssertionError", "error"),
        ("def double(x):\n    raise MemoryError", "memory"),
        ("def double(x) return x", "error"),
        ("def other(x):\n    return 2 * x", "error"),
        ("raise ValueError", "error"),
        ("import sys\nsys.exit(0)", "error"),
        (DOUBLE + "if __name__ == '__main__':\n    input()", "passed"),
        (DOUBLE.replace("\n", "\r\n"), "passed"),
        ("from __future__ import annotations\n" + DOUBLE, "passed"),
        (DOUBLE + "import atexit, os\natexit.register(os._exit, 1)", "passed"),
        ("def double(x):\n    while True:\n        pass", "time"),
        ("def double(x):\n    return bytes(1 << 29)", "memory"),
        ("def double(x):\n    return 'x' * (1 << 21)", "output"),
        ("import os\ndef double(x):\n    os.abort()", "killed"),
        ("import os\ndef double(x):\n    os._exit(0)", "error"),
    ],
)
def test_verdicts(sandbox, program, reason):
    limits = {"cpu_s": 0.5, "wall_s": 60, "memory_mb": 256, "output_bytes": 2**20}
    verdict = sandbox.check(program, "assert double(21) == 42", ["double"], **limits)
    assert (verdict.passed, verdict.reason) == (reason == "passed", reason)


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("double(21)", "passed"),
        ("pass", "wrong value"),
        ("assert double(21) == 43", "wrong value"),
        ("assert no_such_name == 1", "wrong value"),
        ("double(1)\nimport sys\nsys.exit(0)", "wrong value"),
        ("try:\n    double(None)\nexcept TypeError:\n    pass", "passed"),
        ("double(None)", "error"),
        ("assert double", "wrong value"),
        ("assert double(x=21) == 42", "passed"),
        ("from math import isclose\nassert isclose(double(.1), .2)", "passed"),
    ],
)
def test_what_a_test_says(sandbox, test, reason):
    assert sandbox.check(DOUBLE, test, ["double"]).reason == reason


def test_a_test_that_catches_everything_passes_nobody_who_is_gone(sandbox):
    test = "try:\n    double(1)\nexcept BaseException:\n    pass"
    program = "import os\ndef double(x):\n    os._exit(0)"
    assert sandbox.check(program, test, ["double"]).reason == "error"


def test_a_method_gets_a_fresh_instance_each_time(sandbox):
    program = "class Solution:\n    def __init__(self):\n        self.calls = 0\n"
    program += "    def count(self):\n        self.calls += 1\n        return self.calls\n"
    test = "assert Solution.count() == 1\nassert Solution.count() == 1\nassert Solution().count() == 1"
    assert sandbox.check(program, test, ["Solution.count"]).reason == "passed"
    assert sandbox.check(program, test, ["Solution.other"]).reason == "error"


def test_values_cross_as_they_are(sandbox):
    test = """
from collections import Counter, OrderedDict, deque
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
values = [
    None, True, False, 0, -1, 2**63, -(10**4000), 0.1, 1e300, float("inf"), -0.0, 1 + 2j,
    "", "é\\ud800\\U0001f600", "\\ud83d\\ude00", b"\\0\\xff", bytearray(b"a"),
    [], [1, [2.0, (3,)]], (), (1,), {1, 2}, frozenset({"a"}), {}, {1: "a", "1": 2, (1, 2): [3]},
    deque([1]), Counter("aab"), OrderedDict(a=1), Decimal("0.10"), Fraction(1, 3), range(1, 9, 2),
    {2: 3, 1: 2}.keys(), {"a": [1]}.items(), date(2024, 2, 29), datetime(2024, 2, 29, 1, 2, 3, 4),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-2))), time(1, 2), timedelta(-1, 2, 3), timedelta(5e8),
]
for value in values:
    back = same(value)
    assert type(back) is type(value) and back == value and repr(back) == repr(value), repr(value)
assert str(same(float("nan"))) == "nan"
"""
    assert sandbox.check("def same(x):\n    return x", test, ["same"]).reason == "passed"


@pytest.mark.parametrize(
    ("returned", "test"),
    [
        ("map(str, [1, 2])", "list(f()) == ['1', '2']"),
        ("(x for x in [1, 2])", "list(f()) == [1, 2]"),
        ("{1: 2}.keys()", "f() == {1} and len(f()) == 1 and 1 in f()"),
        ("{2: 3, 1: 2}.items()", "list(f()) == [(2, 3), (1, 2)] and f() == {(1, 2), (2, 3)}"),
        ("{2: [3], 1: [2]}.values()", "list(f()) == [[3], [2]] and len(f()) == 2"),
        ("__import__('collections').Counter('aab').keys()", "f() == {'a', 'b'}"),
        ("__import__('enum').IntEnum('E', 'a').a", "f() == 1"),
        ("__import__('collections').defaultdict(int, a=1)", "f() == {'a': 1}"),
        ("__import__('collections').namedtuple('P', 'x')(1)", "f() == (1,)"),
    ],
)
def test_kinds_of_values_that_cross_by_their_base(sandbox, returned, test):
    assert sandbox.check(f"def f():\n    return {returned}", f"assert {test}", ["f"]).reason == "passed"


@pytest.mark.parametrize("test", ["f() == f()", "f() != 1", "not f()", "f()", "[f()] == [f()]", "f() in [1]"])
def test_an_object_that_does_not_cross_satisfies_no_test(sandbox, test):
    assert sandbox.check("def f():\n    return object()", f"assert {test}", ["f"]).reason == "wrong value"


def test_sets_and_chance_are_the_same_in_every_process():
    program = "import random\nprint({*'abcdefgh', None, print}, random.random(), hash('a'), id(None) % 4096)"
    program += "\nprint(sorted(map(hash, (None, int))) == [hash(None), hash(int)])"
    found = set()
    for _ in range(2):
        with opened() as sandbox:
            found.add(sandbox.run(program).stdout)
    assert len(found) == 1


def test_deep_recursion(sandbox):
    program = "import sys\ndef depth(n):\n    return 0 if n == 0 else 1 + depth(n - 1)\n"
    program += "from functools import cache\n@cache\ndef cached(n):\n    return 0 if n == 0 else 1 + cached(n - 1)\n"
    test = "assert depth(950) == 950 and depth(20_000) == 20_000 and cached(20_000) == 20_000"
    assert sandbox.check(program, test, ["depth", "cached"]).reason == "passed"
    threaded = "import threading\nthreading.stack_size(1 << 28)\nsys.setrecursionlimit(10**6)\n"
    threaded += "thread = threading.Thread(target=lambda: print(depth(40_000)))\nthread.start()\nthread.join()"
    assert ended(sandbox, program + threaded) == (b"40000\n", "ok")


def test_numpy_in_program_and_test(sandbox):
    pytest.importorskip("numpy", reason="numpy is not installed")
    program = (
        "import numpy as np\ndef f(x):\n    return np.float64(x) + np.int64(1)\ndef g():\n    return np.bool_(True)\n"
    )
    test = "import numpy as np\nassert np.allclose([f(1.5)], [2.5]) and g() == True and isinstance(f(1.5), float)"
    assert sandbox.check(program, test, ["f", "g"]).reason == "passed"


def test_several_threads_at_once_get_their_own_answers(sandbox):
    with ThreadPoolExecutor(8) as threads:
        runs = list(threads.map(lambda number: sandbox.run(f"print({number})").stdout, range(60)))
        checks = list(
            threads.map(lambda one: sandbox.check(DOUBLE, f"assert double({one}) == 42", ["double"]).passed, range(40))
        )
    assert runs == [f"{number}\n".encode() for number in range(60)]
    assert checks == [one == 21 for one in range(40)]


def opened(workers=1, means=None):
    try:
        sandbox = Sandbox(workers, means)
        with sandbox:
            pass
        return sandbox
    except InputError as fault:
        pytest.skip(f"no sandbox can be had here: {fault}")


def descendants(process):
    """Numbers of all processes that came from a process."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(child) for file in children for child in file.read_text().split()]
    return found + [one for child in found for one in descendants(child)]


def gone(processes):
    """Whether processes end within some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(alive(process) for process in processes):
            return True
        time.sleep(0.02)
    return False


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("victim", ["program", "tester"])
def test_a_worker_that_is_killed_changes_no_verdict(victim, caplog):
    with opened() as sandbox:
        pair = next(iter(sandbox._pairs))
        killer = threading.Timer(0.3, getattr(pair, victim).kill)
        killer.start()
        program = "import time\ndef double(x):\n    time.sleep(0.8)\n    return 2 * x"
        assert sandbox.check(program, "assert double(21) == 42", ["double"]).reason == "passed"
        assert "its program runs again" in caplog.text
        assert (
            sandbox.check("def double(x):\n    return x", "assert double(21) == 42", ["double"]).reason == "wrong value"
        )


def test_a_program_that_is_killed_from_outside_gets_no_verdict():
    with opened() as sandbox:
        timer = threading.Thread(target=kill_programs, args=(sandbox,))
        timer.start()
        with pytest.raises(SandboxError, match="3 times.*killed from outside"):
            sandbox.run("import time\ntime.sleep(5)")
        timer.join()


def kill_programs(sandbox):
    """Kill what runs in a sandbox's worker of programs, three times."""
    killed = set()
    while len(killed) < 3:
        for pair in list(sandbox._pairs):
            family = [pair.program.pid, *descendants(pair.program.pid)]
            if len(family) > (3 if sandbox.means == BUBBLEWRAP else 1) and family[-1] not in killed:
                time.sleep(0.1)
                os.kill(family[-1], signal.SIGKILL)
                killed.add(family[-1])
        time.sleep(0.02)


@pytest.mark.parametrize("means", [BUBBLEWRAP, LANDLOCK])
def test_closing_leaves_no_process(means):
    with opened(means=means) as sandbox:
        runs = threading.Thread(target=closed_meanwhile, args=(sandbox,))
        runs.start()
        time.sleep(0.5)
        workers = [worker.pid for pair in sandbox._pairs for worker in (pair.program, pair.tester)]
        processes = workers + [child for worker in workers for child in descendants(worker)]
        assert len(processes) >= 3
    runs.join()
    assert gone(processes)


def closed_meanwhile(sandbox):
    with pytest.raises(RuntimeError, match="closed"):
        sandbox.run("import time\ntime.sleep(60)")


@pytest.mark.parametrize("end", ["interrupt", "kill", "fault"])
@pytest.mark.parametrize("means", [BUBBLEWRAP, LANDLOCK])
def test_workers_end_with_their_job(means, end):
    opened(means=means)
    program = (
        "import sys, os, threading\nfrom autojudge.sandbox import Sandbox\n"
        f"with Sandbox(means={means!r}) as sandbox:\n    print('started', flush=True)\n"
        f"    {'raise ValueError' if end == 'fault' else 'pass'}\n"
        "    sandbox.run('import time\\ntime.sleep(60)')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY.parent)}
    job = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert job.stdout.readline() == b"started\n"
    if end != "fault":
        time.sleep(0.3)
    processes = descendants(job.pid)
    if end == "interrupt":
        job.send_signal(signal.SIGINT)
    elif end == "kill":
        job.kill()
    assert job.wait(20) != 0
    job.stdout.close()
    assert gone(processes)


def test_a_closed_sandbox_runs_nothing():
    sandbox = opened()
    with pytest.raises(RuntimeError, match="closed"):
        sandbox.run("print(1)")


def test_the_means_are_told(sandbox, caplog):
    assert sandbox.means in (BUBBLEWRAP, LANDLOCK)
    assert sandbox.description.startswith(sandbox.means)
    python = "Python " + sys.version.split()[0]
    if not importlib.util.find_spec("numpy"):
        assert sandbox.description.endswith(python)
    else:
        inside = sandbox.run("import numpy\nprint(numpy.__version__, end='')").stdout.decode()
        assert sandbox.description.endswith(f"{python}, numpy {inside}")
    with caplog.at_level(logging.INFO, logger="autojudge"), opened() as other:
        assert f"programs run in {other.description}" in caplog.text


def test_the_second_means_where_the_first_cannot_be_had(monkeypatch, caplog):
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    monkeypatch.setenv("PATH", "/nowhere")
    with Sandbox() as sandbox:
        assert sandbox.means == LANDLOCK
        assert sandbox.check(DOUBLE, "assert double(21) == 42", ["double"]).passed
    assert "bubblewrap does not hold programs here: not installed" in caplog.text


def test_memory_grows_with_the_workers():
    assert Sandbox(3).memory_mb == 3 * Sandbox(1).memory_mb > 3 * 2 * 1024


@pytest.mark.parametrize("means", ["none", "chroot", ""])
def test_there_is_no_other_means(means):
    with pytest.raises(InputError, match="no means of that name.*apt install bubblewrap"), Sandbox(means=means):
        pass


def test_a_sandbox_needs_a_worker():
    with pytest.raises(InputError, match="at least one worker"):
        Sandbox(0)
