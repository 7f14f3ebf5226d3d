"""Tables of mining as the files of a data set: by split, and without texts unless these are asked for."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from autojudge.publishing.layout import (
    MINED,
    ROW,
    SPLITS,
    TEXTS,
    WITHHELD,
    WITHHELD_TOKEN,
    held_table,
    published_schema,
    table_file,
)
from autojudge.tables.files import read_table
from autojudge.tables.mining import FEATURES, LABELS, PROBLEMS, RESPONSES
from autojudge.tables.table import Table

READ_ROWS = 4096  # rows that are held at a time


def stage_tables(sources: Mapping[str, str], folder: Path, texts: bool) -> dict[str, dict[str, int]]:
    """Write the tables of mining by split into a folder, and return their numbers of rows, by table and split.

    Parameters
    ----------
    sources : mapping of str to path
        The parquet files of `labels`, `features`, `responses` and `problems`.
    texts : bool
        Whether prompts, tokens and answers are among them; else there are no problems, and each token is -1, each
        answer `withheld`.

    Raises
    ------
    InputError
        A table is damaged or not of its schema.
    """
    of_labels = read_table(LABELS, sources[LABELS.name], ["split"])["split"]
    responses = read_table(RESPONSES, sources[RESPONSES.name], ["problem_id", "split"])
    splits = {LABELS.name: of_labels, FEATURES.name: of_labels, RESPONSES.name: responses["split"]}
    counts = {
        table.name: _write(table, sources[table.name], splits[table.name].to_numpy(), folder, texts) for table in MINED
    }
    if texts:
        problems = read_table(PROBLEMS, sources[PROBLEMS.name], ["problem_id", "split"])
        mined = problems["split"].where(problems["problem_id"].isin(responses["problem_id"]), "")
        counts[PROBLEMS.name] = _write(PROBLEMS, sources[PROBLEMS.name], mined.to_numpy(), folder, texts)
    return counts


def _write(
    table: Table,
    source: str,
    splits: NDArray[np.object_],  # (rows,)
    folder: Path,
    texts: bool,
) -> dict[str, int]:
    """Write a table's splits, READ_ROWS at a time, and return their numbers of rows."""
    table = held_table(table, pq.read_schema(source).names)
    counts = {split: int((splits == split).sum()) for split in SPLITS}
    counts = {split: count for split, count in counts.items() if count}
    (folder / table.name).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(
                pq.ParquetWriter(folder / table_file(table, split), published_schema(table), compression="zstd")
            )
            for split in counts
        }
        for first, part in _numbered(table, source):
            shown = part if texts else withhold(part, TEXTS[table.name])
            here = splits[first : first + len(part)]
            for split, writer in writers.items():
                if (here == split).any():
                    writer.write_table(shown.filter(pa.array(here == split)))
    return counts


def _numbered(table: Table, source: str) -> Iterator[tuple[int, pa.Table]]:
    """Yield parts of a table with the column `row`, each with its first row's place."""
    first = 0
    for batch in pq.ParquetFile(source).iter_batches(READ_ROWS, columns=list(table.columns)):
        part = pa.Table.from_batches([batch]).select(list(table.columns))
        yield first, part.append_column(ROW, pa.array(np.arange(first, first + len(part))))
        first += len(part)


def withhold(part: pa.Table, names: set[str]) -> pa.Table:
    """Return a table whose values in some columns are -1 (each token) or `withheld` (each string); gaps stay gaps."""
    for name in names:
        column = part.column(name)
        hidden = [None if value is None else _hide(value) for value in column.to_pylist()]
        part = part.set_column(part.column_names.index(name), name, pa.array(hidden, column.type))
    return part


def _hide(value: str | int | list[int]) -> str | int | list[int]:
    if isinstance(value, list):
        return [WITHHELD_TOKEN] * len(value)
    return WITHHELD if isinstance(value, str) else WITHHELD_TOKEN
