"""In a confined child: a program as a script, or as a module whose functions a test calls from outside."""

import _sitebuiltins
import atexit
import builtins
import io
import os
import random
import sys
import threading
import types
from collections.abc import Callable, Mapping
from typing import Any

from .frames import Closed, TooLarge, read_frame, write_frame
from .values import decode, encode

OK, ERROR, EXITED, MEMORY = 0, 1, 76, 77  # exit codes; EXITED: by `sys.exit`, with a code that is not 0
CALLS, ANSWERS = 3, 4  # descriptors
SEED = 0
STREAMS = {f"{folder}/{number}": number for folder in ("/dev/fd", "/proc/self/fd") for number in range(3)}
STREAMS |= {f"/dev/{name}": number for number, name in enumerate(("stdin", "stdout", "stderr"))}


def run(request: Mapping[str, Any]) -> int:
    """Run a program as a script does; return its exit code."""
    _prepare()
    scope = _fresh_module("__main__")
    code = outcome(lambda: exec(_compiled(request["program"]), scope))
    ends = [outcome(end) for end in (threading._shutdown, atexit._run_exitfuncs, _flush)]  # type: ignore[attr-defined]
    return code or next((end for end in ends if end), OK)


def serve(request: Mapping[str, Any]) -> int:
    """Load a program as a module and answer a test's calls of its functions until the test ends."""
    _prepare()
    scope = _fresh_module("program")
    code = outcome(lambda: exec(_compiled(request["program"]), scope), ended=ERROR)
    if code == OK:
        code = outcome(lambda: [find(scope, name) for name in request["names"]])
    write_frame(ANSWERS, ["ready"] if code == OK else ["failed", _name(code)])
    while code == OK:
        try:
            _answer(scope, read_frame(CALLS), request["output_bytes"])
        except Closed:
            break
    return code


def outcome(action: Callable[[], Any], ended: int | None = None) -> int:
    """Return the exit code of an action; `ended`: that of one that calls `sys.exit`, if not its own."""
    try:
        action()
    except SystemExit as leaving:
        return exit_code(leaving.code) if ended is None else ended
    except MemoryError:
        return MEMORY
    except BaseException:
        return ERROR
    return OK


def exit_code(code: object) -> int:
    """Return the exit code that tells of `sys.exit(code)`."""
    return OK if code is None or isinstance(code, int) and code & 0xFF == 0 else EXITED


def find(scope: Mapping[str, Any], name: str) -> Any:
    """Return what a name stands for; of a dotted name, the method of a fresh instance."""
    first, *rest = name.split(".")
    found = scope[first]
    if rest:
        found = found()
    for part in rest:
        found = getattr(found, part)
    return found


def _answer(scope: Mapping[str, Any], call: Any, limit: int) -> None:
    name, arguments, keywords = call
    try:
        value = find(scope, name)(*decode(arguments), **decode(keywords))
        answer = ["value", encode(value)]
    except BaseException as fault:
        answer = _raised(fault)
    try:
        write_frame(ANSWERS, answer, limit)
    except TooLarge:
        write_frame(ANSWERS, ["large"])
    except MemoryError:
        write_frame(ANSWERS, ["raised", "MemoryError", ""])
    except (ValueError, RecursionError):
        write_frame(ANSWERS, ["raised", "ValueError", "the value does not cross"])


def _raised(fault: BaseException) -> list[str]:
    """Return the answer that tells of an exception: its built-in kind and what it says."""
    kinds = [kind.__name__ for kind in type(fault).__mro__ if kind.__module__ == "builtins"]
    try:
        words = str(fault)[:1000]
    except BaseException:
        words = ""
    fault.__traceback__ = None
    return ["raised", kinds[0], words]


def _name(code: int) -> str:
    return "memory" if code == MEMORY else "error"


def _compiled(source: str) -> types.CodeType:
    return compile(source.removeprefix("\ufeff"), "<program>", "exec", dont_inherit=True)


def _fresh_module(name: str) -> dict[str, Any]:
    """Make an empty module the one of that name, and start chance anew; return its globals."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    random.seed(SEED)
    return module.__dict__


def _prepare() -> None:
    """Give a program what scripts find in a Python that has `site` and a machine that has /dev/stdin."""
    _open_streams()
    builtins.open = io.open = _opening(builtins.open)
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))


def _opening(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return `open` which knows the standard streams by the names of their files, too."""

    def open(file: Any, *arguments: Any, **keywords: Any) -> Any:
        place = STREAMS.get(os.fsdecode(file)) if isinstance(file, str | bytes | os.PathLike) else None
        return plain(file if place is None else os.dup(place), *arguments, **keywords)

    return open


def _open_streams() -> None:
    """Open the standard streams on their descriptors, as text in UTF-8."""
    for name, descriptor, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _flush() -> None:
    sys.stdout.flush()
