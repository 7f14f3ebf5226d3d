"""Runs programs that a model wrote, where they can do no harm: `Sandbox` and what its two questions answer.

`inside` holds what runs in there, `means` how it is shut off, `worker` a process from outside, `trial` one program,
`selftest` the proof at every start, `supervisor` the workers together. docs/sandbox.md tells the whole.
"""

from autojudge.sandbox.supervisor import Sandbox, SandboxError
from autojudge.sandbox.trial import Run, Verdict

__all__ = ["VERSION", "Run", "Sandbox", "SandboxError", "Verdict"]

VERSION = 2  # raised when a program's verdict may change
