"""Tell whether two mathematical answers are equal: math-verify, in a process of its own that may be killed.

Where math-verify rounds (1/2^98 and 1/2^99 are 0 to it), the exact values decide; numerals with bases count by value,
sums in two units (5 ft 6 in) by their text.

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
from collections.abc import Collection
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from autojudge.reading.numbers import exact_recurring, whole_number

logger = logging.getLogger("autojudge")
SECONDS = 10.0  # for one comparison
START_SECONDS = 120.0  # for the process to be ready: sympy loads slowly from a shared file system
MEMORY = 4 * 2**30  # bytes of address space
DIGITS = 300  # to which numbers must agree where no decimals are given
TOLERANCE = 1e-5  # relative, where a decimal stands for something else
WRITTEN_TOLERANCE = 1e-13  # relative, of two numbers written in digits
LARGEST_EXPONENT = 10**6
SAMPLES = 24  # of values for the variables of two formulas

_BASES = {
    word: base for base, word in enumerate(["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], 2)
}
_BASES |= {"eleven": 11, "twelve": 12, "sixteen": 16}
_UNIT = re.compile(
    r"(?<![\\A-Za-z])(second|minute|hour|day|week|month|year|inch|foot|yard|mile|centimeter|kilometer|meter|gram|kilogram|"
    r"ounce|pound|liter|cent|dollar)(?:e?s)?(?![A-Za-z])"
)
_JOINTS = {"and", "or", "to", "base", "in base", "mod"}  # between two numbers, unlike a unit
_TEXT = re.compile(r"\\(?:text(?:rm|bf|it|sf|tt)?|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_SPACE = re.compile(r"\\[ ,;:!]|~|\\(?:left|right|q?quad)(?![A-Za-z])")
_GROUPS = re.compile(r"(?<=\d)(?:\{,\}|\\[,!])+(?=\d)")
_TWO_QUANTITIES = re.compile(r"\d\s*([A-Za-z]{2,}[A-Za-z ]*?|[mhgs](?=[. ]))[.,]?\s*\d")
_EXPONENT = re.compile(r"(?:\^|\*\*)[\s{(]*(\d+(?:[\s{(]*\^[\s{(]*\d+)*)")
_DIGITS = r"[0-9A-Fa-f]*\d[0-9A-Fa-f]*(?:\.[0-9A-Fa-f]+)?"
_BASE = rf"(?:base[\s-]*)?(?:\d{{1,2}}|{'|'.join(_BASES)})\b"
_NUMERAL = re.compile(  # 2516_7, 2516_{seven}, (2516)_7, 2516 (base 7), 2516 in base seven
    rf"(?<![\w.\\])(?:\(\s*(?P<inner>{_DIGITS})\s*\)|(?P<outer>{_DIGITS}))\s*"
    rf"(?P<base>_\s*\{{[\s(]*{_BASE}[\s)]*\}}|_\s*{_BASE}|(?=\(?\s*(?:in\s+)?base)"
    rf"(?:\(\s*(?:in\s+)?{_BASE}\s*\)|(?:in\s+)?{_BASE}))"
)
_UNKNOWN_BASE = re.compile(r"\d\s*\)?\s*_[\s{]*([A-Za-z]+)")


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
            texts = without_bases(*map(as_formula, json.loads(line)))
            same = same_text(*texts)
            if same is None:
                a, b = map(read, texts)
                same = verify(a, b, timeout_seconds=None) or verify(b, a, timeout_seconds=None)
        except Exception:  # whatever sympy raises on what it cannot read
            same = False
        print("true" if same else "false", flush=True)


def as_formula(answer: str) -> str:
    """Return an answer with what math-verify does not read in other words: recurring decimals, formulas set as text."""
    answer = exact_recurring(answer.strip()).replace(r"\varnothing", r"\emptyset")
    if whole := _TEXT.fullmatch(answer):
        listed = re.sub(r"\s+(?:and|or)\s+", ", ", whole[1].strip())
        if re.search(r"\d|,", listed):
            return re.sub(r"^([\d.,/]+)\s+([A-Za-z][A-Za-z ]*)$", r"\1\\text{ \2}", listed)
    return answer


def same_text(a: str, b: str) -> bool | None:
    """Tell whether two answers are the same where their texts alone tell it; None where they do not."""
    bare_a, bare_b = map(_without_markup, (a, b))
    x, y = (whole_number(re.sub(r"\s*\\?%$", "", text)) for text in (a, b))
    if bare_a == bare_b or (x is not None and x == y):
        return True
    different = (
        any(map(_is_sum_of_units, (bare_a, bare_b)))
        or _differ(*(_UNIT.findall(text.replace("feet", "foot")) for text in (bare_a, bare_b)))
        or _differ(_UNKNOWN_BASE.findall(bare_a), _UNKNOWN_BASE.findall(bare_b))
        or any(map(_is_huge, (a, b)))
    )
    return False if different else None


def without_bases(a: str, b: str) -> tuple[str, str]:
    """Return two answers with decimal numerals where both name bases: 2516_7 and 2516_8 are different numbers."""
    texts = [_GROUPS.sub("", _TEXT.sub(r" \1 ", text)) for text in (a, b)]
    plain = [_SPACE.sub(" ", text) for text in texts]
    if all(map(_NUMERAL.search, plain)):
        a, b = (_NUMERAL.sub(_decimal, text) for text in plain)
    return a, b


def _decimal(numeral: re.Match[str]) -> str:
    whole, _, places = (numeral["inner"] or numeral["outer"]).partition(".")
    name = re.findall(r"\d+|[a-z]+", numeral["base"])[-1]
    try:
        base = _BASES.get(name) or int(name)
        value = Fraction(int(whole + places, base), base ** len(places))
    except ValueError:  # no such base, or a digit beyond it
        return numeral.group()
    return str(value) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _without_markup(text: str) -> str:
    """Return a formula's text: no space but between numbers or words, no commands of layout."""
    text = _SPACE.sub(" ", _TEXT.sub(r" \1 ", text))
    return re.sub(r"(?<!\w)\s+|\s+(?!\w)", "", re.sub(r"\s+", " ", text).strip())


def _is_sum_of_units(text: str) -> bool:
    return any(unit.strip() not in _JOINTS for unit in _TWO_QUANTITIES.findall(text))


def _differ(a: Collection[str], b: Collection[str]) -> bool:
    return bool(a and b) and set(a).isdisjoint(b)


def _is_huge(text: str) -> bool:
    """Tell whether a formula has a power that no machine computes, such as 9^{9^9}."""
    for tower in _EXPONENT.findall(text):
        value = 1
        for exponent in reversed(re.findall(r"\d+", tower)):
            value = int(exponent[:9]) ** value if value <= 64 else LARGEST_EXPONENT + 1
        if value > LARGEST_EXPONENT:
            return True
    return False


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
        written = all(value.is_Float or value.is_Integer for value in (a, b))
        return abs(x - y) <= (WRITTEN_TOLERANCE if written else TOLERANCE) * max(abs(x), abs(y))
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
