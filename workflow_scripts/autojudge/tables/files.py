"""Writing, reading and gathering tables: whole files, of exactly the declared columns."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from autojudge.errors import InputError
from autojudge.tables.table import Table

GATHER_ROWS = 8192  # rows that are gathered before they are written


def write_table(table: Table, rows: Iterable[Mapping[str, Any]] | pd.DataFrame | pa.Table, path: str | Path) -> None:
    """Write a table whole (aside, then renamed): parquet, or CSV for a path that ends so.

    Raises
    ------
    KeyError
        A row lacks a column of the table or has one that it does not know.
    """
    arrow = _to_arrow(table, rows)
    with write_aside(Path(path)) as partial:
        if Path(path).suffix == ".csv":
            arrow.to_pandas().to_csv(partial, index=False)
        else:
            pq.write_table(arrow, partial, compression="zstd")


def _to_arrow(table: Table, rows: Iterable[Mapping[str, Any]] | pd.DataFrame | pa.Table) -> pa.Table:
    """Return rows, or a data frame, as Arrow with the table's columns. Raises KeyError like `write_table`."""
    if isinstance(rows, pa.Table):
        return rows
    schema = table.schema
    if isinstance(rows, pd.DataFrame):
        _check_columns(table, rows.columns)
        return pa.Table.from_pandas(rows, schema, preserve_index=False)
    rows = list(rows)
    for row in rows:
        _check_columns(table, row)
    return pa.Table.from_pylist(rows, schema=schema)


def _check_columns(table: Table, names: Iterable[str]) -> None:
    if different := table.columns.keys() ^ set(names):
        raise KeyError(f"{table.name}: columns {sorted(different)} are missing or unknown")


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes `path` where no error is raised meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    yield partial
    os.replace(partial, path)


def read_table(table: Table, path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a parquet or CSV table, all columns or some, as a data frame with Arrow types (lists stay lists).

    Raises
    ------
    InputError
        The file is missing, damaged, or not of the table's schema.
    """
    frame: pd.DataFrame = read_arrow(table, path, columns).to_pandas()
    return frame


def read_arrow(table: Table, path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table as Arrow. Raises InputError like `read_table`."""
    wanted = [table.schema.field(name) for name in columns or table.columns]
    try:
        found = _read_csv(path, wanted) if Path(path).suffix == ".csv" else pq.read_table(path, columns=columns)
    except (OSError, KeyError, pa.ArrowInvalid) as fault:
        raise InputError(f"{path}: not a readable {table.name} table ({fault}); delete it and run again") from fault
    for column in wanted:
        if column.name not in found.schema.names or found.schema.field(column.name).type != column.type:
            raise InputError(
                f"{path}: column `{column.name}` is missing or of another type; delete the file and run again"
            )
    return found


def _read_csv(path: str | Path, wanted: Sequence[pa.Field]) -> pa.Table:
    options = pyarrow.csv.ConvertOptions(
        column_types=pa.schema(wanted),
        include_columns=[column.name for column in wanted],
        null_values=[""],  # and no others: a pair may be named "null"
        strings_can_be_null=True,
    )
    return pyarrow.csv.read_csv(path, convert_options=options)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a data frame as dicts."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def gather_shards(table: Table, shards: Sequence[str], path: str | Path) -> None:
    """Gather shards into one table, whole, without holding more than GATHER_ROWS rows and a shard.

    Raises
    ------
    InputError
        A shard is missing, damaged, or not of the table's schema; it is named.
    """
    with (
        write_aside(Path(path)) as partial,
        pq.ParquetWriter(partial, table.schema, compression="zstd") as writer,
    ):
        waiting: list[pa.Table] = []
        for shard in shards:
            waiting.append(read_arrow(table, shard))
            if sum(map(len, waiting)) >= GATHER_ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
