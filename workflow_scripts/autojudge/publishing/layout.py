"""The layout of a data set of mined labels: a parquet file for each table and split, and provenance.json.

`labels/train.parquet`, `features/train.parquet`, `responses/train.parquet`, the same for the other splits that were
mined, and with texts `problems/train.parquet`. Their columns are those of the tables, and `row`; labels have what their
source adds.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from autojudge.engine.settings import describe_models, expand_path
from autojudge.errors import InputError
from autojudge.tables.label_sources import OF_SOURCES, SOURCED_LABELS
from autojudge.tables.mining import FEATURES, LABELS, PROBLEMS, RESPONSES
from autojudge.tables.table import Table

FORMAT = 1
PROVENANCE = "provenance.json"
MINED = (LABELS, FEATURES, RESPONSES)  # what every such data set holds
SPLITS = ("train", "validation", "test")
ROW = pa.field("row", pa.int64())  # place of a row in the table of all splits: the order of rows is part of a fit
ADDED = {"likelihood": "likelihood_change", "samples": "kept_share"}  # column of labels, by the source that adds it
FILES = [PROVENANCE, *(f"{table.name}/*.parquet" for table in MINED)]  # patterns of what loading reads

# What can be read as a text: withheld unless asked for. Tokens are texts, too.
TEXTS = {
    LABELS.name: {"target_token", "draft_token", "alternative_answer", "alternative_tokens"},
    FEATURES.name: set[str](),
    RESPONSES.name: {
        *("target_tokens", "draft_tokens", "mined_tokens"),
        *("target_answer", "draft_answer", "mined_answer"),
    },
}
WITHHELD_TOKEN, WITHHELD = -1, "withheld"  # in the place of each, so that lengths and gaps stay

PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".npy", ".npz"}
CONVERT = (
    "pickles run code when they are loaded; convert files of the official calc_hiddens.py with `python "
    "workflow_scripts/import_official_labels.py FILE --draft-hidden SIZE --folder results/DATASET/PAIR`, others to "
    "parquet (docs/publishing.md)"
)


def refuse_pickles(names: list[str], where: str) -> None:
    """Raise InputError where a file of a data set is a pickle, by its name."""
    if found := [name for name in names if Path(name).suffix.lower() in PICKLES]:
        raise InputError(f"{where}: refused, as it holds {', '.join(sorted(found)[:3])}: {CONVERT}")


def table_file(table: Table, split: str) -> str:
    """Return the path of a table's split within the data set."""
    return f"{table.name}/{split}.parquet"


def split_files(folder: Path, table: Table) -> dict[str, Path]:
    """Return the files of a table that are there, by split."""
    files = {split: folder / table_file(table, split) for split in SPLITS}
    return {split: file for split, file in files.items() if file.is_file()}


def held_table(table: Table, names: Collection[str]) -> Table:
    """Return a table as files of these columns hold it: labels with what their source adds, others as they are."""
    if table is not LABELS:
        return table
    missing = OF_SOURCES.keys() - set(names)
    return replace(table, columns={k: column for k, column in SOURCED_LABELS.columns.items() if k not in missing})


def published_schema(table: Table) -> pa.Schema:
    """Return the columns of a published table."""
    return table.schema.append(ROW)


def describe_pair(pair: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a pair's models by role: their names, without the path of a local folder, and what identifies them.

    Parameters
    ----------
    pair : mapping
        An entry of `pairs` in the config.
    models : mapping
        `fingerprints.identify_models` of it.
    """
    described = {role: names | models[role] for role, names in describe_models(pair).items()}
    for model in described.values():
        if model.get("model"):
            model["model"] = public_name(model["model"])
    return described


def public_name(model: str) -> str:
    """Return the name of a model on the Hub, or of a local folder its last part."""
    return expand_path(model).resolve().name if expand_path(model).is_dir() else model


def hash_file(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_provenance(folder: Path, known: Mapping[str, Any]) -> None:
    """Write provenance.json: what is known of the labels, and a hash of each table's file."""
    tables = (*MINED, PROBLEMS)
    files = [file for table in tables for file in split_files(folder, table).values()]
    hashes = {file.relative_to(folder).as_posix(): hash_file(file) for file in files}
    text = json.dumps({"format": FORMAT, **known, "files": hashes}, indent=2)
    (folder / PROVENANCE).write_text(text + "\n", encoding="utf-8")


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return what provenance.json of a folder holds.

    Raises
    ------
    InputError
        It is missing, no JSON, of another format, or lacks a key.
    """
    file = folder / PROVENANCE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{file}: is missing, so `snakemake publish` did not make this data set; docs/publishing.md describes the "
            "layout"
        ) from None
    except (OSError, ValueError) as fault:
        raise InputError(f"{file}: cut off or not JSON ({fault}); download it again") from fault
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{file}: its format is not {FORMAT}; check out the version of this workflow that made it")
    for key, kind in {"task": str, "models": dict, "texts": bool, "files": dict}.items():
        if not isinstance(found.get(key), kind):
            raise InputError(f"{file}: `{key}` is missing or of another type; download it again")
    return found
