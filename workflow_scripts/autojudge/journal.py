"""The journal of a mining shard: each finished problem is appended at once, so that a killed job loses none.

A text file: a line with the identity of what is mined, then a line of JSON a problem, hidden states in base64. It lies
beside the declared outputs, which Snakemake deletes when a job fails, and has one owner at a time (flock).
"""

import base64
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from autojudge.errors import InputError
from autojudge.mining import Mined
from autojudge.schemas import BLOCKS


class Journal:
    """Finished problems of one shard.

    Parameters
    ----------
    path : str or Path
        The file; made where it is missing.
    identity : mapping
        Whatever the labels depend on, JSON-like; a journal of another identity is refused.

    Raises
    ------
    InputError
        The file belongs to another config, or another process writes it.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise InputError(f"{path}: another process is mining this shard; wait for it or stop it") from fault
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.finished = self._read(digest)

    def append(self, mined: Mined) -> None:
        """Add a finished problem; it is on disk when this returns."""
        features = [{k: _encode(v) if k in BLOCKS else v for k, v in row.items()} for row in mined.features]
        self._write({"response": mined.response, "labels": mined.labels, "features": features})

    def remove(self) -> None:
        """Delete the file, once the shard's tables are written."""
        self.path.unlink()
        self._file.close()

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, digest: str) -> list[Mined]:
        """Read what is whole, and cut off a torn end."""
        self._file.seek(0)
        header = _parse(self._file.readline())
        start = self._file.tell()
        empty = _parse(self._file.readline()) is None
        if header is None or empty:
            self._file.truncate(0)
            self._write({"identity": digest})
            return []
        if header.get("identity") != digest:
            raise InputError(
                f"{self.path}: left by a run with other problems, models or settings; delete it to mine this "
                "shard anew, or go back to that config to resume"
            )
        self._file.seek(start)
        finished, end = [], self._file.tell()
        while (entry := _parse(self._file.readline())) is not None:
            features = [{k: _decode(v) if k in BLOCKS else v for k, v in row.items()} for row in entry["features"]]
            finished.append(Mined(entry["response"], entry["labels"], features))
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


def _encode(states: np.ndarray) -> str:
    return base64.b64encode(states.tobytes()).decode()


def _decode(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=np.float16)


def describe_files(folder: str) -> dict[str, list[int]]:
    """Return size and time of change of a local model folder's files; nothing for a model of the hub."""
    return {p.name: [p.stat().st_size, p.stat().st_mtime_ns] for p in sorted(Path(folder).expanduser().glob("*"))}
