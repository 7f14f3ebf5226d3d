"""Tell whether two mathematical answers are equal: math-verify, in a process of its own that may be killed.

Sympy can take for ever, or all memory, on what a model writes. math-verify's own time limit is an alarm signal, which
only a main thread may set, and mining compares answers in threads.
"""

import json
import logging
import os
import resource
import select
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

logger = logging.getLogger("autojudge")
SECONDS = 10.0  # for one comparison
START_SECONDS = 120.0  # for the process to be ready: sympy loads slowly from a shared file system
MEMORY = 4 * 2**30  # bytes of address space


class MathEquality:
    """Compares answers written in LaTeX. Safe to call from several threads, one comparison at a time.

    Parameters
    ----------
    seconds : float
        Time limit of a comparison; what takes longer counts as unequal.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds, self._lock = seconds, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def same(self, a: str, b: str) -> bool:
        """Tell whether two answers are equal as text or, by math-verify, in meaning."""
        if a == b:
            return True
        with self._lock:
            try:
                return self._ask(self._running(), [a, b], self.seconds) == "true"
            except (TimeoutError, OSError) as fault:
                logger.warning("answers %.80r and %.80r count as different: %s", a, b, fault)
                self.close()
                return False

    def close(self) -> None:
        """End the process; the next comparison starts another."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "autojudge.reading.math_equality"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
            )
            self._ask(self._process, ["1", "1"], START_SECONDS)
        return self._process

    @staticmethod
    def _ask(process: subprocess.Popen[bytes], pair: list[str], seconds: float) -> str:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(pair).encode() + b"\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], seconds)[0]:
            raise TimeoutError(f"no verdict within {seconds:g} s")
        verdict = process.stdout.readline().decode().strip()
        if not verdict:
            raise OSError("the comparing process ended")
        return verdict


@cache
def shared_equality() -> MathEquality:
    """Return the process-wide comparer."""
    return MathEquality()


def serve() -> None:
    """Answer pairs of answers, a line of JSON each, with a line "true" or "false"."""
    logging.disable(logging.WARNING)  # math-verify warns at each call that its own time limit is off
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from math_verify import LatexExtractionConfig, parse, verify

    def read(answer: str) -> Any:
        # Only LaTeX: math-verify's other reader evaluates text as Python.
        return parse(f"${answer}$", extraction_config=[LatexExtractionConfig()], parsing_timeout=None)

    for line in sys.stdin:
        try:
            a, b = map(read, json.loads(line))
            same = verify(a, b, timeout_seconds=None) or verify(b, a, timeout_seconds=None)
        except Exception:  # whatever sympy raises on what it cannot read
            same = False
        print("true" if same else "false", flush=True)


if __name__ == "__main__":
    serve()
