"""The journal of a shard: each finished piece is appended at once, so that a killed job loses none.

A text file: a line with the identity of the work, then a line of JSON a piece. It lies beside the declared outputs,
which Snakemake deletes when a job fails or when it did not see one end, and has one owner at a time (flock). The rule
that gathers the shards deletes it: by then Snakemake knows that each is whole.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autojudge.engine.settings import describe_models, own_models
from autojudge.errors import InputError


class Journal:
    """Finished pieces of one shard.

    Parameters
    ----------
    path : str or Path
        The file; made where it is missing.
    identity : mapping
        Whatever the results depend on, JSON-like values by name; a journal of another identity is refused.

    Attributes
    ----------
    finished : list of dict
        What earlier runs appended, in order.

    Raises
    ------
    InputError
        The file belongs to another config or other code, is damaged, or another process writes it.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise InputError(f"{path}: another process works on this shard; wait for it or stop it") from fault
        except OSError as fault:
            raise InputError(
                f"{path}: no lock on this file system ({fault}); link results to one with locks"
            ) from fault
        self.finished = self._read({part: _digest(value) for part, value in identity.items()})

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a finished piece, JSON-like; it is on disk when this returns."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, identity: Mapping[str, str]) -> list[dict[str, Any]]:
        """Read what is whole, and cut off a torn end."""
        self._file.seek(0)
        entries, end = [], 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break
            entries.append(self._parse(number, line))
            end = self._file.tell()
        header, finished = (entries or [{}])[0], entries[1:]
        if not finished:
            self._file.truncate(0)
            self.append(identity)
            return []
        if other := [part for part in identity if header.get(part) != identity[part]]:
            raise InputError(
                f"{self.path}: left by a run with other {', '.join(other)}; delete it (or its folder, for all shards) "
                "to start anew, or go back to those to resume"
            )
        self._file.truncate(end)
        return finished

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            return json.loads(line)
        except ValueError as fault:
            lost = "that line" if number > 1 else "the file"
            raise InputError(
                f"{self.path}: line {number} is damaged; delete {lost}, and what it held is done again"
            ) from fault


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def describe_work(
    task: str, max_new_tokens: int, pair: Mapping[str, Any], problems: Sequence[Mapping[str, Any]], code: Sequence[str]
) -> dict[str, Any]:
    """Return what the results of a shard depend on, the method's own settings aside.

    Parameters
    ----------
    task : str
        Name of the task.
    max_new_tokens : int
        Longest response in tokens.
    pair : mapping
        An entry of `pairs` in the config.
    problems : sequence of mapping
        Rows of problems.parquet, in the shard's order.
    code : sequence of str
        Files of the code that makes the results.
    """
    columns = ("problem_id", "split", "gold")
    return {
        "task": task,
        "max_new_tokens": max_new_tokens,
        "models": describe_models(pair),
        "model files": {role: describe_files(model["model"]) for role, model in own_models(pair).items()},
        "code": [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in code],
        "problems": [[*(row[c] for c in columns), list(map(int, row["prompt_tokens"]))] for row in problems],
    }


def describe_files(folder: str) -> dict[str, list[int]]:
    """Return size and time of change of a local model folder's files; nothing for a model of the hub."""
    return {p.name: [p.stat().st_size, p.stat().st_mtime_ns] for p in sorted(Path(folder).expanduser().glob("*"))}
