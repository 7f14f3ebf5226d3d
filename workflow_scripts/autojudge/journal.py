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

from autojudge.configuration import own_models
from autojudge.errors import InputError
from autojudge.models import describe_models


class Journal:
    """Finished pieces of one shard.

    Parameters
    ----------
    path : str or Path
        The file; made where it is missing.
    identity : mapping
        Whatever the results depend on, JSON-like; a journal of another identity is refused.

    Attributes
    ----------
    finished : list of dict
        What earlier runs appended, in order.

    Raises
    ------
    InputError
        The file belongs to another config or other code, or another process writes it.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise InputError(f"{path}: another process works on this shard; wait for it or stop it") from fault
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.finished = self._read(digest)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a finished piece, JSON-like; it is on disk when this returns."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, digest: str) -> list[dict[str, Any]]:
        """Read what is whole, and cut off a torn end."""
        self._file.seek(0)
        header = _parse(self._file.readline())
        start = self._file.tell()
        empty = _parse(self._file.readline()) is None
        if header is None or empty:
            self._file.truncate(0)
            self.append({"identity": digest})
            return []
        if header.get("identity") != digest:
            raise InputError(
                f"{self.path}: left by a run with other problems, models, settings or code; delete it to start "
                "this shard anew, or go back to that config and commit to resume"
            )
        self._file.seek(start)
        finished, end = [], self._file.tell()
        while (entry := _parse(self._file.readline())) is not None:
            finished.append(entry)
            end = self._file.tell()
        self._file.truncate(end)
        return finished


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return a line's entry, None where the line is missing or torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None


def describe_work(
    task: str,
    version: int,
    limit: int,
    pair: Mapping[str, Any],
    problems: Sequence[Mapping[str, Any]],
    library: Sequence[str],
) -> dict[str, Any]:
    """Return what the results of a shard depend on, the method's own settings aside.

    Parameters
    ----------
    task, version : str, int
        The task, and the version of its scoring.
    limit : int
        Longest response in tokens.
    pair : mapping
        An entry of `pairs` in the config.
    problems : sequence of mapping
        Rows of problems.parquet.
    library : sequence of str
        Files of the code that makes the results.
    """
    return {
        "task": [task, version],
        "limit": limit,
        "models": describe_models(pair),
        "files": {role: describe_files(model["model"]) for role, model in own_models(pair).items()},
        "code": sorted(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in library),
        "prompts": {row["problem_id"]: list(map(int, row["prompt_tokens"])) for row in problems},
    }


def describe_files(folder: str) -> dict[str, list[int]]:
    """Return size and time of change of a local model folder's files; nothing for a model of the hub."""
    return {p.name: [p.stat().st_size, p.stat().st_mtime_ns] for p in sorted(Path(folder).expanduser().glob("*"))}
