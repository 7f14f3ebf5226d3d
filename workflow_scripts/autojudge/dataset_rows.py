"""Read the rows of a dataset from local files or the hub."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from autojudge.errors import InputError


def load_rows(source: Any, columns: tuple[str, ...], hub_config: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (origin, row); origin is "train" or "test".

    Parameters
    ----------
    source : str or mapping
        A hub dataset, or {"train": file, "test": file} of local .jsonl or .parquet files.
    columns : tuple of str
        Columns that every row must have.
    hub_config : str
        The hub dataset's configuration.

    Raises
    ------
    InputError
        A file is missing, empty or unreadable, a row lacks a column, or the hub cannot be reached.
    """
    for origin in ("train", "test"):
        if isinstance(source, Mapping):
            rows, name = _read_file(Path(source[origin])), str(source[origin])
        elif source:
            rows, name = _read_hub(source, hub_config, origin), f"{source} ({origin})"
        else:
            raise InputError("config key `source` of the dataset is missing; give a hub dataset or local files")
        empty = True
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise InputError(f"{name}: row {number} is not an object with columns; mend or drop that row")
            missing = [c for c in columns if not isinstance(row.get(c), str)]
            if missing:
                raise InputError(f"{name}: row {number} has no text in column `{missing[0]}`; mend or drop that row")
            empty = False
            yield origin, row
        if empty:
            raise InputError(f"{name}: holds no rows; check the file and the config key `source`")


def _read_file(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"{path}: no such dataset file; check the config key `source`")
    try:
        if path.suffix == ".parquet":
            yield from pq.read_table(path).to_pylist()
        else:
            yield from _read_lines(path)
    except (pa.ArrowInvalid, UnicodeDecodeError) as fault:
        kind = "parquet" if path.suffix == ".parquet" else "UTF-8 text"
        raise InputError(f"{path}: is not {kind} ({fault}); check the config key `source`") from fault


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except json.JSONDecodeError as fault:
                raise InputError(f"{path}: line {number} is not JSON ({fault}); mend or drop that line") from fault


def _read_hub(source: str, config: str, split: str) -> Iterator[dict[str, Any]]:
    import datasets

    try:
        yield from datasets.load_dataset(source, config, split=split)
    except (OSError, ValueError, ConnectionError) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise InputError(
            f"dataset {source}: cannot be loaded from the hub ({reason}); check the name and the network, or give "
            "local files as `source: {train: FILE, test: FILE}`"
        ) from fault
