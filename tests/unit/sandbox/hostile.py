"""Runs hostile programs in one sandbox, as whoever runs this, and writes what came of them as JSON.

    python hostile.py LIBRARY MEANS REPOSITORY < programs.json

After each, a right program must pass and a wrong one fail on the same pair of workers; nothing around may have changed.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RIGHT, WRONG = "def double(x):\n    return 2 * x\n", "def double(x):\n    return x\n"
PROBLEM = ("assert double(21) == 42 and double('a') == 'aa'", ["double"])
NAMES = ["answer"]
MEMORY_MB = 256
LIMITS = {"cpu_s": 2, "memory_mb": MEMORY_MB, "output_bytes": 2**20}
SPINNING = LIMITS | {"cpu_s": 0.4}  # for those that may come to an end by time
WAITING = SPINNING | {"wall_s": 0.5}  # and for those that end by nothing else


@contextlib.contextmanager
def surroundings(library, repository):
    """What the programs may not reach, as lines that tell them of it; and a function that says what changed."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autojudge-")))
        place.chmod(0o755)
        (place / "secret").write_text("hush")
        (place / "open").mkdir()
        (place / "open").chmod(0o777)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        file, abstract = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        name = f"autojudge-{os.getpid()}"
        for one, address in ((file, f"{place}/socket"), (abstract, f"\0{name}")):
            one.bind(address)
            one.listen()
        (place / "socket").chmod(0o777)
        victim = stack.enter_context(subprocess.Popen(["sleep", "1000"]))
        stack.callback(victim.kill)
        inside = library / "autojudge/sandbox/inside"
        values = {"PORT": tcp.getsockname()[1], "SECRET": f"{place}/secret", "OPEN": f"{place}/open"}
        values |= {"VICTIM": victim.pid, "SOCKET": f"{place}/socket", "ABSTRACT": name, "MEMORY": MEMORY_MB * 2**20}
        values |= {"REPOSITORY": repository, "RUNNER": str(inside)}
        before = state(place, inside)

        def changes():
            found = [] if state(place, inside) == before else ["files have changed"]
            found += [] if victim.poll() is None else ["another process is dead"]
            for one in (tcp, file, abstract):
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.accept()
                    found.append("a connection came")
            return found

        yield "".join(f"{name} = {value!r}\n" for name, value in values.items()), changes


def state(*folders):
    """What the files in some folders are, and when they changed."""
    files = [file for folder in folders for file in folder.rglob("*") if "__pycache__" not in file.parts]
    return {
        str(file): (one.st_mode, one.st_uid, one.st_size, one.st_mtime_ns) for file in files for one in [file.lstat()]
    }


def attack(sandbox, kind, program, before, test):
    """How a program ended and what it said."""
    ends = program.get("ends", [])
    limits = WAITING if ends == ["time"] else SPINNING if "time" in ends else LIMITS
    try:
        if kind == "forgeries":
            return sandbox.check(program["program"], test, NAMES, **limits).reason, ""
        run = sandbox.run(before + program["program"], **limits)
    except RuntimeError as fault:
        return "fault", str(fault)
    return run.ended, run.stdout[:2000].decode(errors="replace")


def run_all(sandbox, programs, values, changes):
    """For each program: what it did, whether the sandbox judges rightly after it, what changed around it."""
    for kind in ("refused", "endings", "forgeries"):
        for name, program in programs[kind].items():
            begin = time.perf_counter()
            before = "" if name.startswith("invalid text") else values + programs["prelude"] + "\n"
            program = program if isinstance(program, dict) else {"program": program}
            ended, said = attack(sandbox, kind, program, before, programs["test"])
            seconds = time.perf_counter() - begin
            right, wrong = (sandbox.check(other, *PROBLEM).reason for other in (RIGHT, WRONG))
            after = [right, wrong, sandbox._started, changes()]
            yield f"{kind}: {name}", {"ended": ended, "said": said, "after": after, "seconds": seconds}


def main():
    library = Path(sys.argv[1])
    sys.path.insert(0, str(library))
    from autojudge.errors import InputError
    from autojudge.sandbox import Sandbox

    programs = json.load(sys.stdin)
    os.environ["SECRET_VARIABLE"] = "hush"
    try:
        with surroundings(library, sys.argv[3]) as (values, changes), Sandbox(means=sys.argv[2]) as sandbox:
            found = {"programs": dict(run_all(sandbox, programs, values, changes)), "description": sandbox.description}
    except InputError as fault:
        found = {"unavailable": str(fault)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
