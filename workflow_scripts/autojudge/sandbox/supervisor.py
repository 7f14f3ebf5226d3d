"""The sandbox as its callers see it: workers that wait for programs, each program given to a free one."""

import contextlib
import logging
import math
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from autojudge.errors import InputError
from autojudge.sandbox.means import BUBBLEWRAP, INSIDE, LANDLOCK, Means, describe, environment, find_means
from autojudge.sandbox.selftest import NotHeld, self_test
from autojudge.sandbox.trial import Limits, Pair, Run, Verdict, check_program, run_program
from autojudge.sandbox.worker import Worker, WorkerLost

CPU_S = 10.0
WALL_FACTOR = 10  # wall seconds for each CPU second, unless the caller says otherwise
MEMORY_MB = 1024
LEAST_S, LEAST_MB = 0.05, 64  # with less a program may not even start
OUTPUT_BYTES = 2**24
ATTEMPTS = 3
WORKER_MB = 64  # a worker's own memory, besides its program's
LOG = logging.getLogger("autojudge")
Result = TypeVar("Result")
REMEDY = (
    "programs that a model wrote run only where they are held. Install bubblewrap (Debian, Ubuntu: `apt install "
    "bubblewrap`; Ubuntu 24.04 also needs an AppArmor profile for it), or use a kernel with Landlock switched on "
    "(5.13 and later; in the kernel's `lsm=` list); see docs/sandbox.md"
)


class SandboxError(RuntimeError):
    """The sandbox itself failed, again and again; it says nothing of the program."""


class Sandbox:
    """Runs programs that nobody has read, `workers` at a time; use it as a context manager.

    Entering chooses the means (bubblewrap, else Landlock and seccomp), proves by a self-test that a program is held,
    and starts the workers. Calls may come from several threads at once; each takes a free worker or waits for one.

    Parameters
    ----------
    workers : int
        How many programs run at the same time, at most.
    means : str, optional
        "bubblewrap" or "Landlock and seccomp" and no other; by default the first that passes its self-test.

    Raises
    ------
    InputError
        On entering, where no means holds a program: what to install or to switch on.
    """

    def __init__(self, workers: int = 1, means: str | None = None) -> None:
        if workers < 1:
            raise InputError(f"a sandbox needs at least one worker, not {workers}")
        self.workers = workers
        self._wanted = (BUBBLEWRAP, LANDLOCK) if means is None else (means,)
        self._inside = INSIDE
        self._means = Means("")
        self._free: queue.SimpleQueue[Pair | None] = queue.SimpleQueue()
        self._pairs: set[Pair] = set()
        self._lock = threading.Lock()
        self._started = 0
        self._closed = True
        self.description = ""

    @property
    def means(self) -> str:
        """Return the name of the means in use."""
        return self._means.name

    @property
    def memory_mb(self) -> int:
        """Return how many MiB all workers take at most, at the usual limits: programs, tests and the workers' own."""
        return 2 * self.workers * (MEMORY_MB + WORKER_MB)

    def __enter__(self) -> Self:
        # Workers die with the thread that started them, so one thread of the sandbox's own starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="sandbox")
        self._free = queue.SimpleQueue()
        self._closed = False
        try:
            first = self._choose()
            self._free.put(first)
            for _ in range(self.workers - 1):
                self._free.put(None)  # started when first needed
        except BaseException:
            self.close()
            raise
        LOG.info("programs run in %s", self.description)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, and what runs in them; who waits for one gets a RuntimeError."""
        with self._lock:
            self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._give_up(self._free.get_nowait(), again=False)
        with self._lock:
            for pair in self._pairs:
                pair.kill()  # who uses it closes it
        self._free.put(None)
        self._starter.shutdown()

    def run(
        self,
        program: str,
        stdin: str | bytes = "",
        *,
        cpu_s: float = CPU_S,
        wall_s: float | None = None,
        memory_mb: int = MEMORY_MB,
        output_bytes: int = OUTPUT_BYTES,
    ) -> Run:
        """Run a program as a script; return what it wrote to its standard output and how it ended.

        CPU time decides; `wall_s` (ten times `cpu_s` by default) ends a program that waits. InputError where a limit
        is too small, SandboxError where the sandbox itself fails.
        """
        limits = _limits(cpu_s, wall_s, memory_mb, output_bytes)
        given = stdin.encode("utf-8", "surrogatepass") if isinstance(stdin, str) else stdin
        return self._attempt(lambda pair: run_program(pair, program, given, limits))

    def check(
        self,
        program: str,
        test: str,
        names: Sequence[str],
        *,
        cpu_s: float = CPU_S,
        wall_s: float | None = None,
        memory_mb: int = MEMORY_MB,
        output_bytes: int = OUTPUT_BYTES,
    ) -> Verdict:
        """Test a program; return whether it passed and why not.

        The program is loaded as a module, the test runs in a process apart, where each of `names` is bound to a
        function that calls the program's ("Solution.method": of a fresh instance). Arguments and values cross as plain
        data. It passes when the test ends without an exception and has called the program at least once. InputError
        where a limit is too small, SandboxError where the sandbox itself fails.
        """
        limits = _limits(cpu_s, wall_s, memory_mb, output_bytes)
        return self._attempt(lambda pair: check_program(pair, program, test, names, limits))

    def _choose(self) -> Pair:
        """Return the first pair of workers, of the first means that passes its self-test."""
        faults = []
        for name in self._wanted:
            try:
                self._means = find_means(name)
                pair = self._start()
                self._prove(pair)
            except (LookupError, WorkerLost, NotHeld) as fault:
                faults.append(f"{name}: {fault}")
                LOG.warning("%s does not hold programs here: %s", name, fault)
                continue
            self.description = describe(self._means, pair.program.hello)
            return pair
        raise InputError(f"no sandbox ({'; '.join(faults)}): {REMEDY}")

    def _prove(self, pair: Pair) -> None:
        try:
            self_test(pair)
        except BaseException:
            self._give_up(pair, again=False)
            raise

    def _start(self) -> Pair:
        return self._starter.submit(self._start_pair).result()

    def _start_pair(self) -> Pair:
        first = self._start_worker()
        try:
            pair = Pair(first, self._start_worker())
        except BaseException:
            first.close()
            raise
        with self._lock:
            self._pairs.add(pair)
        return pair

    def _start_worker(self) -> Worker:
        self._started += 1
        return Worker(self._means.command(self._started, self._inside), environment())

    def _attempt(self, action: Callable[[Pair], Result]) -> Result:
        """Return what an action gives with a free pair of workers, again with another one where they are lost."""
        faults = []
        for _ in range(ATTEMPTS):
            pair = self._free.get()
            try:
                if self._closed:
                    raise RuntimeError("the sandbox is closed")
                pair = pair or self._start()
                result = action(pair)
            except WorkerLost as fault:
                faults.append(str(fault))
                LOG.warning("a worker of the sandbox is lost (%s); its program runs again", fault)
                self._give_up(pair)
            except BaseException:
                self._give_up(pair)
                raise
            else:
                self._give_back(pair)
                return result
        raise SandboxError(f"the sandbox failed {ATTEMPTS} times: {'; '.join(faults)}")

    def _give_back(self, pair: Pair) -> None:
        with self._lock:
            if not self._closed:
                return self._free.put(pair)
        return self._give_up(pair)

    def _give_up(self, pair: Pair | None, again: bool = True) -> None:
        """End a pair; `again`: another one takes its place when it is needed."""
        if pair is not None:
            with self._lock:
                self._pairs.discard(pair)
            pair.close()
        if again:
            self._free.put(None)


def _limits(cpu_s: float, wall_s: float | None, memory_mb: int, output_bytes: int) -> Limits:
    limits = Limits(cpu_s, WALL_FACTOR * cpu_s if wall_s is None else wall_s, memory_mb, output_bytes)
    for name, least in {"cpu_s": LEAST_S, "wall_s": LEAST_S, "memory_mb": LEAST_MB, "output_bytes": 0}.items():
        if not least <= getattr(limits, name) < math.inf:
            raise InputError(f"a program's {name} is {getattr(limits, name)}; give it a finite number from {least} on")
    return limits
