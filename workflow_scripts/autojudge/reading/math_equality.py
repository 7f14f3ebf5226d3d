"""Tell whether two mathematical answers are equal: math-verify, in a process of its own that may be killed.

Where math-verify rounds (1/2^98 and 1/2^99 are 0 to it), the exact values decide; numerals with bases count by value.

Sympy can take for ever, or all memory, on what a model writes. math-verify's own time limit is an alarm signal, which
only a main thread may set, and mining compares answers in threads.
"""

import json
import logging
import os
import random
import re
import resource
import select
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

from autojudge.reading.numbers import whole_number

logger = logging.getLogger("autojudge")
SECONDS = 10.0  # for one comparison
START_SECONDS = 120.0  # for the process to be ready: sympy loads slowly from a shared file system
MEMORY = 4 * 2**30  # bytes of address space
DIGITS = 300  # to which numbers must agree where no decimals are given
TOLERANCE = 1e-5  # relative, where decimals are given
SAMPLES = 24  # of values for the variables of two formulas

_BASES = {
    word: base for base, word in enumerate(["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], 2)
}
_BASES |= {"eleven": 11, "twelve": 12, "sixteen": 16}
_TEXT = re.compile(r"\\(?:text|mathrm|mathbf)\s*\{([^{}]*)\}")
_NUMERAL = re.compile(  # 2516_7, 2516_{seven}, 2516 (base 7)
    rf"(?<![\w.\\])([0-9A-Fa-f]*\d[0-9A-Fa-f]*)(?:\s*_\s*\{{?\s*(?:base\s*)?|\s*\(?\s*base\s*)(\d{{1,2}}|{'|'.join(_BASES)})\b"
    r"\s*[)}]*"
)


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
        """Tell whether two answers are equal as text, as numbers or, by math-verify, in meaning."""
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
            library = Path(__file__).parents[2]  # where the process starts, as PYTHONPATH holds no path with a colon
            environment = os.environ | {"PYTHONPATH": str(library)}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "autojudge.reading.math_equality"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=library,
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
    from math_verify import LatexExtractionConfig, grader, parse, verify

    rounded, simplified = grader.sympy_numeric_eq, grader.sympy_symbolic_eq
    grader.sympy_numeric_eq = lambda a, b, *digits: rounded(a, b, *digits) and _is_exact(a, b)
    grader.sympy_symbolic_eq = lambda a, b: simplified(a, b) or _same_where_real(a, b)

    def read(answer: str) -> Any:
        # Only LaTeX: math-verify's other reader evaluates text as Python.
        return parse(f"${answer}$", extraction_config=[LatexExtractionConfig()], parsing_timeout=None)

    for line in sys.stdin:
        try:
            texts = without_bases(*json.loads(line))
            x, y = map(whole_number, texts)
            same = x == y and x is not None
            if not same:
                a, b = map(read, texts)
                same = verify(a, b, timeout_seconds=None) or verify(b, a, timeout_seconds=None)
        except Exception:  # whatever sympy raises on what it cannot read
            same = False
        print("true" if same else "false", flush=True)


def without_bases(a: str, b: str) -> tuple[str, str]:
    """Return two answers with decimal numerals where both name bases: 2516_7 and 2516_8 are different numbers."""

    def decimal(numeral: re.Match[str]) -> str:
        digits, base = numeral.groups()
        try:
            return str(int(digits, _BASES.get(base) or int(base)))
        except ValueError:  # no such base, or a digit beyond it
            return numeral.group()

    texts = _TEXT.sub(r" \1 ", a), _TEXT.sub(r" \1 ", b)
    if all(map(_NUMERAL.search, texts)):
        a, b = (_NUMERAL.sub(decimal, text) for text in texts)
    return a, b


def _is_exact(a: Any, b: Any) -> bool:
    """Tell whether two sympy expressions that are equal after rounding are equal without it."""
    from math_verify.grader import is_atomic_or_pct_atomic  # type: ignore[import-untyped]
    from sympy import Float, MatrixBase, Number  # type: ignore[import-untyped]

    if isinstance(a, MatrixBase):  # compared by elements
        return True
    if a.free_symbols or b.free_symbols:  # rounded coefficients tell nothing
        return False
    if a.has(Float) or b.has(Float):
        x, y = (complex(value.doit()) for value in (a, b))
        return abs(x - y) <= TOLERANCE * max(abs(x), abs(y))
    if is_atomic_or_pct_atomic(a, Number) or is_atomic_or_pct_atomic(b, Number):  # compared without rounding
        return True
    return _agree(a, b)


def _agree(a: Any, b: Any) -> bool:
    """Tell whether two sympy numbers agree to DIGITS digits."""
    from sympy.core.evalf import PrecisionExhausted  # type: ignore[import-untyped]

    try:
        return bool((a - b).evalf(15, maxn=DIGITS, strict=True) == 0)
    except PrecisionExhausted:
        return True


def _is_real(number: Any) -> bool:
    value = number.evalf(15)
    return bool(value.is_real) and bool(value.is_finite)


def _same_where_real(a: Any, b: Any) -> bool:
    """Tell whether two sympy formulas agree wherever all their parts are real: sqrt(1/n) and 1/sqrt(n) do."""
    from sympy import Float, Pow, Rational, log

    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    if not symbols or not (a.has(Pow, log) or b.has(Pow, log)) or a.has(Float) or b.has(Float):
        return False
    draw, tried = random.Random(0), 0
    for number in range(SAMPLES):
        signs = [1] * len(symbols) if number % 2 else [draw.choice((-1, 1)) for _ in symbols]
        point = {
            symbol: sign * Rational(draw.randrange(1, 999), 101) for symbol, sign in zip(symbols, signs, strict=True)
        }
        if all(_is_real(part.xreplace(point)) for formula in (a, b) for part in formula.atoms(Pow, log)):
            tried += 1
            if not _agree(a.xreplace(point), b.xreplace(point)):
                return False
    return tried >= SAMPLES // 4


if __name__ == "__main__":
    serve()
