"""Table `tests`: written problem by problem, and read so, as the tests of a dataset may not fit into memory."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from autojudge.errors import InputError
from autojudge.tables.files import read_table, write_aside
from autojudge.tables.mining import TESTS


def dump_tests(tests: Mapping[str, Any]) -> str:
    """Return tests, JSON-like values by name, as they are stored."""
    return json.dumps(dict(tests), sort_keys=True)


def digest_tests(dumped: str) -> str:
    """Return 16 hex digits of the SHA-256 of stored tests."""
    return hashlib.sha256(dumped.encode()).hexdigest()[:16]


def write_tests(rows: Iterable[tuple[str, Mapping[str, Any]]], path: str | Path) -> None:
    """Write table `tests` of problems, (problem_id, tests) each, whole."""
    with write_aside(Path(path)) as partial, pq.ParquetWriter(partial, TESTS.schema, compression="zstd") as writer:
        for problem_id, tests in rows:
            dumped = dump_tests(tests)
            row = {"problem_id": problem_id, "digest": digest_tests(dumped), "tests": dumped}
            writer.write_table(pa.Table.from_pylist([row], TESTS.schema))


class ProblemTests:
    """The tests of each problem, read from table `tests` when they are asked for.

    Raises
    ------
    InputError
        The table is missing, damaged, or not of its schema.
    """

    def __init__(self, path: str | Path) -> None:
        digests = read_table(TESTS, path, ["digest"])["digest"]
        self._path, self._file, self._lock = path, pq.ParquetFile(path), Lock()
        self._groups = {digest: number for number, digest in enumerate(digests)}

    def of(self, problem: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tests of a problem, a row of problems.parquet, by their digest: repeats have other ids.

        Raises
        ------
        InputError
            The table has others.
        """
        group = self._groups.get(problem["tests"])
        if group is None:
            raise InputError(
                f"{self._path}: lacks the tests of problem {problem['problem_id']}; delete it and run again"
            )
        with self._lock:
            (dumped,) = self._file.read_row_group(group, columns=["tests"]).column(0).to_pylist()
        found: dict[str, Any] = json.loads(dumped)
        return found
