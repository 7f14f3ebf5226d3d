"""Labels of others: a data set of the layout, checked against a config, as the tables of mining."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autojudge.engine.models import hidden_size
from autojudge.engine.settings import own_models
from autojudge.errors import InputError
from autojudge.publishing.layout import (
    ADDED,
    MINED,
    PROVENANCE,
    ROW,
    hash_file,
    held_table,
    published_schema,
    read_provenance,
    split_files,
    table_file,
)
from autojudge.tables.feature_names import BLOCKS
from autojudge.tables.files import read_table, write_aside
from autojudge.tables.mining import FEATURES, LABELS, PROBLEMS, RESPONSES
from autojudge.tables.table import Table

logger = logging.getLogger(__name__)

READ_ROWS = 4096  # rows that are held at a time
ORIGIN = ("contents", "model", "revision")  # of a model, beside how it is loaded
AGAIN = "download it again, or ask its author for the whole"


def restore_labels(
    folder: Path,
    pair: Mapping[str, Any],
    models: Mapping[str, Mapping[str, Any]],
    task: str,
    outputs: Mapping[str, str],
) -> dict[str, Any]:
    """Write labels, features and responses of a data set as the tables of mining, rows in their first order.

    Parameters
    ----------
    folder : Path
        Of the layout.
    pair, models : mapping
        An entry of `pairs` in the config, and `fingerprints.identify_models` of it.
    task : str
        `describe_task` of the dataset's task.
    outputs : mapping of str to path
        Where the tables go, by name.

    Returns
    -------
    dict
        What provenance.json of the folder holds.

    Raises
    ------
    InputError
        The labels are of other models or another task, or a file is missing, damaged, edited, or has not the columns
        (also those of the source of labels that provenance.json names) and widths that it should.
    """
    provenance = read_provenance(folder)
    check_models(provenance["models"], models, folder / PROVENANCE)
    _check_task(provenance["task"], task, folder / PROVENANCE)
    files = {table.name: _find_files(folder, table, provenance["files"]) for table in MINED}
    added = [column for key, column in ADDED.items() if provenance.get(key) is not None]
    tables = [_check_columns(table, files[table.name], added) for table in MINED]
    _check_widths(files[FEATURES.name], pair)
    for table in tables:
        _restore(table, files[table.name], outputs[table.name])
    keys = [read_table(table, outputs[table.name], ["problem_id", "position"]) for table in (LABELS, FEATURES)]
    if not keys[0].equals(keys[1]):
        raise InputError(f"{folder}: the rows of features are not those of labels; {AGAIN}")
    return provenance


def check_models(found: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]], where: Path) -> None:
    """Refuse labels of other models.

    A local folder and a name of the Hub cannot be compared: then the log says so. Revisions count where both name one.

    Raises
    ------
    InputError
        Names the key and both values.
    """
    for role, own in wanted.items():
        theirs = found.get(role) or {}
        keys = sorted((theirs.keys() | own.keys()) - {"model", "contents", "revision"})
        if ("contents" in theirs) != ("contents" in own):
            logger.warning(
                "%s: one %s is a local folder, the other one of the Hub (%s): it cannot be checked whether they are "
                "the same",
                *(where, role, own.get("model") or theirs.get("model")),
            )
        elif "contents" in own:
            keys.append("contents")
        else:
            keys += ["model", *(["revision"] if theirs.get("revision") and own.get("revision") else [])]
        for key in keys:
            if theirs.get(key) != own.get(key):
                raise InputError(
                    f"{where}: the labels are of another pair: `models.{role}.{key}` is {theirs.get(key)!r}, and "
                    f"{own.get(key)!r} in this config; name the pair's models as there, or mine (take the dataset's "
                    "`labels` out)"
                )


def _check_task(found: str, wanted: str, where: Path) -> None:
    if found.split(",")[0] != wanted.split(",")[0]:
        raise InputError(
            f"{where}: the labels are of task {found}, and the dataset's task is {wanted}; give them to a dataset of "
            "that task, or mine"
        )
    if found != wanted:
        logger.warning("%s: labelled by %s, and answers are now scored by %s", where, found, wanted)


def _find_files(folder: Path, table: Table, hashes: Mapping[str, str]) -> list[Path]:
    """Return the files of a table, after a check that they are whole."""
    found = split_files(folder, table)
    named = [name for name in hashes if name.startswith(f"{table.name}/")]
    for name in named or [table_file(table, "train")]:
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: is missing; {AGAIN}")
    for file in found.values():
        name = file.relative_to(folder).as_posix()
        if hashes.get(name) != hash_file(file):
            raise InputError(f"{file}: is not the file that {PROVENANCE} names (edited, or cut off); {AGAIN}")
    return list(found.values())


def _check_columns(table: Table, files: list[Path], added: list[str]) -> Table:
    """Return a table as its files hold it, after a check that each has all columns, also those that its source adds."""
    schemas = {file: _read_schema(file) for file in files}
    held = held_table(table, {*added, *(name for schema in schemas.values() for name in schema.names)})
    for file, schema in schemas.items():
        for column in published_schema(held):
            if column.name not in schema.names:
                raise InputError(f"{file}: column `{column.name}` is missing; {AGAIN} (docs/publishing.md lists them)")
            if schema.field(column.name).type != column.type:
                raise InputError(
                    f"{file}: column `{column.name}` is {schema.field(column.name).type}, not {column.type}; convert "
                    "it (docs/publishing.md)"
                )
    return held


def _read_schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowInvalid) as fault:
        raise InputError(f"{file}: not a readable parquet file ({fault}); {AGAIN}") from fault


def _check_widths(files: list[Path], pair: Mapping[str, Any]) -> None:
    """Refuse states that are not as wide as the pair's models; a column may be empty, as in imported labels."""
    sizes = {role: hidden_size(model) for role, model in own_models(pair).items()}
    for file in files:
        for block in BLOCKS:
            wanted = sizes.get(block.split("_")[0], sizes["target"])  # a draft of the target's own layers
            for batch in pq.ParquetFile(file).iter_batches(READ_ROWS, columns=[block]):
                widths = set(pc.list_value_length(batch.column(0)).unique().to_pylist()) - {None}
                if widths - {wanted}:
                    raise InputError(
                        f"{file}: column `{block}` holds lists of {', '.join(map(str, sorted(widths)))} numbers, and "
                        f"the pair's states have {wanted}; name the models that the labels were mined with, or mine"
                    )


class _Stream:
    """The rows of a parquet file, some at a time."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._batches = pq.ParquetFile(file).iter_batches(READ_ROWS, columns=schema.names)
        self._waiting, self._schema = schema.empty_table(), schema

    def take(self, count: int) -> pa.Table:
        """Return the next rows."""
        while len(self._waiting) < count:
            batch = pa.Table.from_batches([next(self._batches)]).select(self._schema.names).cast(self._schema)
            self._waiting = pa.concat_tables([self._waiting, batch])
        taken, self._waiting = self._waiting.slice(0, count), self._waiting.slice(count)
        return taken


def _restore(table: Table, files: list[Path], output: str) -> None:
    """Write the rows of several files in the order of `row`, READ_ROWS at a time."""
    places = [pq.read_table(file, columns=[ROW.name])[ROW.name].to_numpy() for file in files]
    total = sum(map(len, places))
    if any((np.diff(rows) <= 0).any() for rows in places) or set(np.concatenate(places)) != set(range(total)):
        raise InputError(
            f"{files[0].parent}: column `{ROW.name}` does not count its files' {total} rows, each once and rising; "
            f"{AGAIN}"
        )
    streams = [_Stream(file, published_schema(table)) for file in files]
    with write_aside(Path(output)) as partial, pq.ParquetWriter(partial, table.schema, compression="zstd") as writer:
        for first in range(0, total, READ_ROWS):
            counts = [np.searchsorted(rows, [first, first + READ_ROWS]) for rows in places]
            parts = [stream.take(int(end - start)) for stream, (start, end) in zip(streams, counts, strict=True)]
            whole = pa.concat_tables(parts)
            order = np.argsort(whole[ROW.name].to_numpy())
            writer.write_table(whole.take(pa.array(order)).select(list(table.columns)))


def check_problems(outputs: Mapping[str, str], problems: str, tested: bool, where: Path) -> None:
    """Refuse labels that would make a figure wrong.

    Parameters
    ----------
    outputs : mapping of str to path
        The tables that were loaded, by name.
    problems : str
        problems.parquet of the dataset and pair.
    tested : bool
        Whether a swept rule reads labels, so that the test problems have to be among the mined ones.

    Raises
    ------
    InputError
        Train or validation problems of the labels are test problems here, or test problems were not mined.
    """
    mined = read_table(RESPONSES, outputs[RESPONSES.name], ["problem_id", "split"])
    table = read_table(PROBLEMS, problems, ["problem_id", "split"])
    own = set(table.loc[table["split"] == "test", "problem_id"])
    if seen := own & set(mined.loc[mined["split"] != "test", "problem_id"]):
        raise InputError(
            f"{where}: {len(seen)} of its train and validation problems are test problems of this config; give the "
            "dataset the `source`, and a generated one the `seed`, that they were mined with"
        )
    if tested and (missing := own - set(mined["problem_id"])):
        raise InputError(
            f"{where}: {len(missing)} of the {len(own)} test problems of this config have no labels, and a swept rule "
            "reads them; leave `oracle`, and its variants, out of `decoding.rules`"
        )
