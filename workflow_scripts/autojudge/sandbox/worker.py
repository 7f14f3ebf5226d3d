"""A worker's process, from outside: requests go in with their descriptors, reports come back."""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from autojudge.sandbox.inside.frames import Closed, Malformed, TooLarge, pack, read_frame

START_S = 60  # until a worker has said hello
PATIENCE_S = 60  # a worker that reports this long after its program's deadline is lost
CLOSE_S = 5


class WorkerLost(Exception):  # noqa: N818 - a state that is mended
    """A worker does not do its work, for no reason of the program's."""


class Worker:
    """A started worker; `hello` is what it says of itself. WorkerLost where it does not start."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.requests = 0
        self._control, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as fault:
            self._control.close()
            raise WorkerLost(f"{command[0]}: {fault.strerror}") from fault
        finally:
            theirs.close()
        try:
            self.hello = self.report(time.monotonic() + START_S)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a report is there."""
        return self._control.fileno()

    def submit(self, request: dict[str, Any], descriptors: Sequence[int]) -> None:
        """Start a request; the worker gets copies of the descriptors."""
        self.requests += 1
        data = pack({**request, "id": self.requests})
        try:
            sent = socket.send_fds(self._control, [data[:4]], list(descriptors))
            self._control.sendall(data[sent:])
        except OSError as fault:
            raise WorkerLost(self._words(str(fault))) from fault

    def stop(self) -> None:
        """Have the present request's child killed; its report comes all the same."""
        try:
            self._control.sendall(pack({"stop": self.requests}))
        except OSError as fault:
            raise WorkerLost(self._words(str(fault))) from fault

    def report(self, deadline: float) -> dict[str, Any]:
        """Return the next report; WorkerLost where none comes by the deadline (of time.monotonic)."""
        ready = select.poll()
        ready.register(self._control, select.POLLIN)
        if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise WorkerLost(self._words("no answer"))
        try:
            report = read_frame(self._control.fileno())
        except (Closed, Malformed, TooLarge) as fault:
            raise WorkerLost(self._words(str(fault))) from fault
        if not isinstance(report, dict) or report.get("id", 0) != self.requests or report.get("fault"):
            raise WorkerLost(f"its report is {report}")
        return report

    def close(self) -> None:
        """End the process, gently at first."""
        self._control.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            if self._process.stderr:
                self._process.stderr.close()

    def kill(self) -> None:
        """End the process at once, and with it what it started."""
        self._process.send_signal(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return int(self._process.pid)

    def _words(self, fault: str) -> str:
        """Return what the process last said, or else the fault."""
        errors = self._process.stderr
        if errors is None or errors.closed:
            return fault
        os.set_blocking(errors.fileno(), False)
        time.sleep(0.05)  # it may be saying it just now
        lines = (errors.read() or b"").decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else fault
