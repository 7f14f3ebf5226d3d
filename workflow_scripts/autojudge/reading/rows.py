"""Read the rows of a dataset from local files or the hub."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from autojudge.errors import InputError

KINDS = {str: "text", bool: "true or false", int: "whole number", float: "number"}  # what a column may hold


def load_rows(
    source: Any, columns: Mapping[str, type], hub_config: str = "default"
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (origin, place, row); origin is "train" or "test", place names file and row for messages.

    Parameters
    ----------
    source : str or mapping
        A hub dataset, or {"train": part, "test": part}; a part is a local .jsonl or .parquet file, or a mapping with
        `hub`, and maybe `config`, `split` and `revision`.
    columns : mapping of str to type
        Columns that every row must have, and what they hold: str (a text that is not blank), bool, int, or float
        (any number).
    hub_config : str
        The hub dataset's configuration where none is named.

    Raises
    ------
    InputError
        A file is missing, empty or unreadable, a row lacks a column, the hub cannot be reached, or it has no such
        dataset, configuration or split.
    """
    if not source:
        raise InputError("config key `source` of the dataset is missing; give a hub dataset or local files")
    for origin in ("train", "test"):
        part = source[origin] if isinstance(source, Mapping) else {"hub": source}
        if isinstance(part, Mapping):
            config, split = part.get("config") or hub_config, part.get("split") or origin
            rows = _read_hub(part["hub"], config, split, part.get("revision"))
            name = f"{part['hub']} ({config}, {split})"
            numbered: Iterator[tuple[int, Any]] = enumerate(rows, 1)
        else:
            numbered, name = _read_file(Path(part)), part
        empty = True
        for number, row in numbered:
            place = f"{name}: row {number}"
            _check_row(row, columns, place)
            empty = False
            yield origin, place, row
        if empty:
            raise InputError(f"{name}: holds no rows; check the file and the config key `source`")


def _check_row(row: Any, columns: Mapping[str, type], where: str) -> None:
    if not isinstance(row, dict):
        raise InputError(f"{where} is not an object with columns; fix or drop that row")
    for column, kind in columns.items():
        if not _holds(row.get(column), kind):
            what, has = KINDS[kind], ", ".join(sorted(row)) or "none"
            raise InputError(f"{where} has no {what} in column `{column}` (columns: {has}); fix or drop that row")


def _holds(value: Any, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str) and bool(value.strip())
    if kind is float and type(value) is float:
        return math.isfinite(value)
    return type(value) is kind or (kind is float and type(value) is int)  # not isinstance: a bool is an int


def _read_file(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield rows and their numbers, those of lines where a row is a line."""
    if not path.is_file():
        raise InputError(f"{path}: no such dataset file; check the config key `source`")
    if path.suffix not in (".jsonl", ".parquet"):
        raise InputError(f"{path}: only .jsonl and .parquet files are read; convert it")
    try:
        if path.suffix == ".parquet":
            yield from enumerate(pq.read_table(path).to_pylist(), 1)
        else:
            yield from _read_lines(path)
    except (pa.ArrowInvalid, UnicodeDecodeError) as fault:
        kind = "parquet" if path.suffix == ".parquet" else "UTF-8 text"
        raise InputError(f"{path}: is not {kind} ({fault}); check the config key `source`") from fault


def _read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as fault:
                raise InputError(f"{path}: line {number} is not JSON ({fault}); fix or drop that line") from fault


def _read_hub(dataset: str, config: str, split: str, revision: str | None) -> Iterator[dict[str, Any]]:
    import datasets

    try:
        yield from datasets.load_dataset(dataset, config, split=split, revision=revision)
    except (OSError, ValueError, ConnectionError) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise InputError(
            f"dataset {dataset} ({config}, {split}): cannot be had from the hub or its cache ({reason}); check name, "
            "configuration, split and network, or give local files as `source: {train: FILE, test: FILE}`"
        ) from fault
