"""vLLM as a process of its own, in the Python that has it: asked on its input, it answers in rows on its output."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autojudge.errors import InputError
from autojudge.registry import LIBRARY

PROCESS = "autojudge.serving.measuring.process"
HAS_VLLM = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
INSTALL = (
    "docs/serving.md#measured-in-vllm tells how to install it; name that Python in config key `vllm.python`, or leave "
    "it null and run with --software-deployment-method conda"
)
TELLING = ("autojudge refuses to start: ", r"\w*(Error|Exception): ", "")  # of the lines of a log, the best first
ENTRY_POINT = "[vllm.general_plugins]\nautojudge = autojudge.serving:register\n"
METADATA = "Metadata-Version: 2.1\nName: autojudge\nVersion: 0\n"


def check_python(python: str) -> None:
    """Check that a Python is there and has vLLM. Raises InputError with what to do where not."""
    try:
        lacks = subprocess.run([python, "-c", HAS_VLLM], capture_output=True).returncode
    except OSError as fault:
        raise InputError(f"config key `vllm.python`: {python} cannot be run ({fault.strerror}); {INSTALL}") from fault
    if lacks:
        raise InputError(f"{python} has no vLLM, which needs a different transformers from the workflow's; {INSTALL}")


def ask_vllm(python: str, ask: str, request: Mapping[str, Any], log: Path, mem_mb: int) -> Iterator[dict[str, Any]]:
    """Yield what `serving.measuring.process` answers, row by row, as it is measured.

    Parameters
    ----------
    ask : str
        "facts" or "measure".
    log : Path
        What vLLM prints is added to it.
    mem_mb : int
        Memory of the job, a quarter of which a CPU's cache may take where VLLM_CPU_KVCACHE_SPACE says nothing.

    Raises
    ------
    InputError
        The process failed; the message has the line of the log that tells most.
    """
    with TemporaryDirectory() as folder, log.open("ab") as told:
        start = told.tell()
        command, environment = [python, "-m", PROCESS, ask], _environment(Path(folder), mem_mb)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": told}
        with subprocess.Popen(command, **pipes, env=environment, encoding="utf-8") as process:  # type: ignore[call-overload]
            try:
                yield from _converse(process, request)
                process.wait()  # before its input is closed, which would end it with a fault
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            why = _read_fault(log, start)
            raise InputError(f"vLLM failed (status {process.returncode}): {why}. All that it printed is in {log}")


def _converse(process: Any, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        print(json.dumps(request), file=process.stdin, flush=True)  # left open: its end would end the process
    except BrokenPipeError:  # it has ended; its status and log tell why
        with suppress(BrokenPipeError):
            process.stdin.close()
        return
    for line in process.stdout:
        yield json.loads(line)


def _environment(folder: Path, mem_mb: int) -> dict[str, str]:
    """Return the process's environment: this library first, its plugin announced as if it were installed there."""
    announced = folder / "autojudge-0.dist-info"
    announced.mkdir()
    (announced / "METADATA").write_text(METADATA, encoding="utf-8")
    (announced / "entry_points.txt").write_text(ENTRY_POINT, encoding="utf-8")
    paths = [str(LIBRARY.parent.resolve()), str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"VLLM_CPU_KVCACHE_SPACE": str(max(1, mem_mb // 4096)), "VLLM_NO_USAGE_STATS": "1"}
    own |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind"}  # else vLLM takes other threads than the job's
    return own | os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def _read_fault(log: Path, start: int) -> str:
    """Return the line of a log, from a byte on, that tells most: the plugin's refusal, the last error, the last one."""
    with log.open("rb") as told:
        told.seek(start)
        lines = [line.strip() for line in told.read().decode(errors="replace").splitlines() if line.strip()]
    found = (line for sign in TELLING for line in reversed(lines) if re.search(sign, line) and "root cause" not in line)
    return next(found, "it printed nothing")
