"""One program in one pair of workers: what is asked of them, and what their reports mean."""

import contextlib
import os
import select
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autojudge.sandbox.inside.program import EXITED, MEMORY
from autojudge.sandbox.inside.tester import REASONS
from autojudge.sandbox.worker import PATIENCE_S, Worker, WorkerLost

SIGKILL = 9
PIECE = 2**16
TEST_DELAY_S = 5  # the test's deadline comes after the program's, whose fault it would be


@dataclass(frozen=True)
class Run:
    """What a program wrote, and how it ended: "ok", "error", "time", "memory", "output" or "killed".

    `exited`: the error is no more than an exit code, by `sys.exit` and the like.
    """

    stdout: bytes
    ended: str
    exited: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether a program passed; the reason is "passed", "wrong value", "error" or an ending other than "ok"."""

    passed: bool
    reason: str


@dataclass(frozen=True)
class Limits:
    """What a program may use: CPU and wall seconds, MiB of addresses, bytes of output (and of a value returned)."""

    cpu_s: float
    wall_s: float
    memory_mb: int
    output_bytes: int


@dataclass(frozen=True)
class Pair:
    """The worker of programs and the worker of tests."""

    program: Worker
    tester: Worker

    def close(self) -> None:
        """End both."""
        self.program.close()
        self.tester.close()

    def kill(self) -> None:
        """End both at once, whatever they do."""
        self.program.kill()
        self.tester.kill()


def run_program(pair: Pair, program: str, stdin: bytes, limits: Limits) -> Run:
    """Run a program as a script; WorkerLost where its end tells nothing of it."""
    with _descriptors() as opened:
        given, (output, theirs) = opened.memory_file(stdin), opened.pipe()
        pair.program.submit({**vars(limits), "role": "run", "program": program}, [given, theirs])
        opened.close(theirs)
        watch = Watch(limits, output)
        report = watch.wait(pair.program)
        ended = watch.ending(report)
    return Run(bytes(watch.data[: limits.output_bytes]), ended, ended == "error" and report["code"] == EXITED)


def check_program(pair: Pair, program: str, test: str, names: Sequence[str], limits: Limits) -> Verdict:
    """Test a program; WorkerLost where its end tells nothing of it."""
    with _descriptors() as opened:
        nothing, null = opened.memory_file(b""), opened.null()
        (output, written), (calls, calling), (answers, answering) = (opened.pipe() for _ in range(3))
        request = {**vars(limits), "names": list(names)}
        pair.program.submit({**request, "role": "serve", "program": program}, [nothing, written, calls, answering])
        later = {"wall_s": limits.wall_s + TEST_DELAY_S}
        pair.tester.submit({**request, **later, "role": "test", "test": test}, [nothing, null, answers, calling])
        opened.close(written, calls, answering, answers, calling)
        watch = Watch(limits, output)
        tested, ran = watch.wait_both(pair)
        reason = _verdict(tested, ran, watch)
    return Verdict(reason == "passed", reason)


def _verdict(tested: dict[str, Any], ran: dict[str, Any], watch: "Watch") -> str:
    """Return the reason that both reports give: the test's word, and where the program was gone, how it ended."""
    if watch.flooded:
        return "output"
    said = REASONS.get(tested["code"]) if not tested["signal"] else None
    if said is None:
        ended = watch.limit_reached(tested)
        return "error" if ended in ("ok", "error") else ended
    if said == "passed" and tested["cpu_s"] > watch.limits.cpu_s:
        return "time"
    if said != "gone":
        return said
    ended = watch.ending(ran)
    return "error" if ended == "ok" else ended


class Watch:
    """Reads a program's output and waits for the reports."""

    def __init__(self, limits: Limits, output: int) -> None:
        self.limits = limits
        self.data = bytearray()
        self.flooded = False
        self._output: int | None = output
        self._deadline = time.monotonic() + limits.wall_s + TEST_DELAY_S + PATIENCE_S

    def wait(self, worker: Worker) -> dict[str, Any]:
        """Return the report of a program without a test."""
        report = None
        while report is None:
            if worker.fileno() in self._ready(worker):
                report = worker.report(self._deadline)
            if self.flooded:
                worker.stop()
                report = report or worker.report(self._deadline)
        while self._output is not None and not self.flooded:
            self._read()
        return report

    def wait_both(self, pair: Pair) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the reports of test and program; the program is stopped when the test has its verdict."""
        tested: dict[str, Any] | None = None
        ran: dict[str, Any] | None = None
        while tested is None:
            waiting = [pair.tester] if ran else [pair.tester, pair.program]
            ready = self._ready(*waiting)
            if pair.program.fileno() in ready and not ran:
                ran = pair.program.report(self._deadline)
            elif pair.tester.fileno() in ready:
                tested = pair.tester.report(self._deadline)
            elif self.flooded and not ran:
                pair.program.stop()
                ran = pair.program.report(self._deadline)
        if not ran and REASONS.get(tested["code"]) != "gone":
            pair.program.stop()
        return tested, ran or self.wait(pair.program)

    def ending(self, report: dict[str, Any]) -> str:
        """Return how a program ended."""
        return "output" if self.flooded else self.limit_reached(report)

    def limit_reached(self, report: dict[str, Any]) -> str:
        """Return how a child ended by its report alone; WorkerLost where it was killed for no reason of its own."""
        if report["why"] in ("cpu", "wall") or report["cpu_s"] > self.limits.cpu_s:
            return "time"
        if report["signal"] == SIGKILL and report["why"] != "stop":
            raise WorkerLost("its program was killed from outside; is the machine out of memory?")
        if report["signal"]:
            return "killed"
        return {0: "ok", MEMORY: "memory"}.get(report["code"], "error")

    def _ready(self, *workers: Worker) -> set[int]:
        """Return the descriptors of those workers that have reports; read what the program has written meanwhile."""
        ready = select.poll()
        for descriptor in (*(worker.fileno() for worker in workers), self._output):
            if descriptor is not None:
                ready.register(descriptor, select.POLLIN)
        found = {descriptor for descriptor, _ in ready.poll(max(0.0, self._deadline - time.monotonic()) * 1000)}
        if not found:
            raise WorkerLost("no report in time")
        if self._output in found:
            self._read()
        return found

    def _read(self) -> None:
        """Read a piece of the output, up to one byte over the limit."""
        assert self._output is not None
        piece = os.read(self._output, PIECE)
        self.data += piece
        self.flooded = len(self.data) > self.limits.output_bytes
        if not piece or self.flooded:
            self._output = None


class _Descriptors:
    """Descriptors that are closed at the end, whatever happens."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._open.update(ends)
        return ends

    def memory_file(self, content: bytes) -> int:
        """Return a file in memory that cannot be written to any more, at its beginning."""
        import fcntl

        place = os.memfd_create("stdin", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        self._open.add(place)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(place, rest) :]
        os.lseek(place, 0, os.SEEK_SET)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(place, fcntl.F_ADD_SEALS, seals)
        return place

    def null(self) -> int:
        place = os.open(os.devnull, os.O_RDWR)
        self._open.add(place)
        return place

    def close(self, *places: int) -> None:
        for place in places or tuple(self._open):
            self._open.discard(place)
            os.close(place)


@contextlib.contextmanager
def _descriptors() -> Iterator[_Descriptors]:
    opened = _Descriptors()
    try:
        yield opened
    finally:
        opened.close()
