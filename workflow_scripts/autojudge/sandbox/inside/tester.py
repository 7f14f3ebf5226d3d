"""In a confined child apart from the program's: a test, whose calls go to the program and whose verdict does not.

The verdict is this process's exit code, which its worker reports on the supervisor's socket: no byte that the program
writes can be one.
"""

import builtins
from collections.abc import Mapping
from typing import Any

from .frames import Closed, Malformed, TooLarge, read_frame, write_frame
from .values import decode, encode

REASONS = {100: "passed", 101: "wrong value", 102: "error", 103: "memory", 104: "output", 105: "gone"}
CODES = {reason: code for code, reason in REASONS.items()}
ANSWERS, CALLS = 3, 4  # descriptors


class Gone(BaseException):
    """The program does not answer any more."""


class ProgramError(Exception):
    """The program raised something that is no built-in exception."""


class Program:
    """The program as seen from the test: calls go there, plain data come back."""

    def __init__(self, limit: int) -> None:
        self.limit = limit  # bytes of an answer
        self.calls = 0
        self.ended = ""  # why it does not answer any more
        self.raised: BaseException | None = None  # the last exception that came from it

    def wait(self) -> None:
        """Wait until the program is loaded; Gone where it could not be."""
        answer = self._read()
        if answer != ["ready"]:
            self._end("memory" if answer == ["failed", "memory"] else "error")

    def call(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Call a function of the program's; return its value, or raise what it raised."""
        self._still_there()
        self.calls += 1
        message = [name, encode(arguments), encode(keywords)]
        try:
            write_frame(CALLS, message)
        except Closed:
            self._end("gone")
        match self._read():
            case ["value", value]:
                return self._decoded(value)
            case ["raised", str(kind), str(words)]:
                self.raised = _exception(kind, words)
                raise self.raised
            case ["large"]:
                self._end("output")
        return self._end("error")

    def _read(self) -> Any:
        self._still_there()
        try:
            return read_frame(ANSWERS, self.limit + 1024)
        except Closed:
            return self._end("gone")
        except TooLarge:
            return self._end("output")
        except (Malformed, RecursionError):
            return self._end("error")

    def _decoded(self, value: Any) -> Any:
        try:
            return decode(value)
        except (Malformed, RecursionError):
            return self._end("error")

    def _still_there(self) -> None:
        if self.ended:
            raise Gone(self.ended)

    def _end(self, why: str) -> None:
        self.ended = why
        raise Gone(why)


class Instance:
    """Stands for a class of the program's, and for an instance of it: each method call gets a fresh one there."""

    def __call__(self) -> "Instance":
        """Return itself, as `Solution()` does in a test."""
        return self


def test(request: Mapping[str, Any]) -> int:
    """Run a test with the program's functions under their names; return the exit code of its verdict."""
    program = Program(request["output_bytes"])
    scope: dict[str, Any] = {"__name__": "test"}
    try:
        program.wait()
        for name in request["names"]:
            _bind(scope, name, program)
        exec(compile(request["test"], "<test>", "exec", dont_inherit=True), scope)
    except BaseException as fault:
        return CODES[_reason(fault, program)]
    return CODES[program.ended or ("passed" if program.calls else "wrong value")]


def _reason(fault: BaseException, program: Program) -> str:
    if program.ended:
        return program.ended
    if isinstance(fault, MemoryError):
        return "memory"
    return "error" if fault is program.raised else "wrong value"


def _bind(scope: dict[str, Any], name: str, program: Program) -> None:
    first, *rest = name.split(".")

    def call(*arguments: Any, **keywords: Any) -> Any:
        return program.call(name, arguments, keywords)

    if rest:
        setattr(scope.setdefault(first, Instance()), ".".join(rest), call)
    else:
        scope[first] = call


def _exception(kind: str, words: str) -> Exception:
    found = getattr(builtins, kind, None)
    if isinstance(found, type) and issubclass(found, Exception):
        try:
            return found(words)
        except TypeError:  # some want more than words
            pass
    return ProgramError(f"{kind}: {words}")
