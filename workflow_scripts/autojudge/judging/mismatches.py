"""Mined mismatches as matrices: read by column and split, in single precision, without a second copy."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from autojudge.errors import InputError
from autojudge.judging.shortage import find_remedy
from autojudge.tables.feature_names import BLOCKS
from autojudge.tables.files import read_table
from autojudge.tables.folds import split_in
from autojudge.tables.mining import FEATURES, LABELS, RESPONSES

READ_ROWS = 4096  # rows of features that are decoded at a time
VALIDATION = "validation"  # the fold that is fitted on train


@dataclass(frozen=True)
class Sources:
    """From where the labels of train and validation come.

    Attributes
    ----------
    mismatches, important : int
        Of all problems.
    failing_problems, failing_mismatches, failing_important : int
        Of problems whose target's response has a wrong answer.
    left_out : bool
        Whether the latter are left out of the judge's training and choice.
    """

    mismatches: int
    important: int
    failing_problems: int
    failing_mismatches: int
    failing_important: int
    left_out: bool


class Mismatches:
    """The mismatches of a dataset and pair.

    Parameters
    ----------
    labels_path, features_path : str
        labels.parquet and features.parquet; their rows must agree.
    held_out : str or None
        A fold of a dataset with folds, whose own problems are the test split.
    exclude_cut_off : bool
        Leave out labels whose answers rest on a response that ends at the token limit.
    near_tie_weight : float
        Weight of labels that rest on a near tie in a fit; 0 leaves them out of it.
    only_correct : bool
        Leave out labels of problems whose target's response has a wrong answer, by the responses.parquet beside the
        features.

    Attributes
    ----------
    sources : Sources or None
        None for imported labels, which have no responses.

    Raises
    ------
    InputError
        The tables do not belong together, or there are no responses to tell correct ones by.
    """

    def __init__(
        self,
        labels_path: str,
        features_path: str,
        held_out: str | None = None,
        exclude_cut_off: bool = False,
        near_tie_weight: float = 1.0,
        only_correct: bool = False,
    ) -> None:
        columns = ["problem_id", "position", "split", "important", "cut_off", "near_tie"]
        labels = read_table(LABELS, labels_path, columns)
        keys = read_table(FEATURES, features_path, ["problem_id", "position"])
        if not keys.equals(labels[["problem_id", "position"]]):
            raise InputError(f"{features_path}: rows are not those of {labels_path}; run gather_labels again")
        self.labels_path, self.features_path = labels_path, features_path
        names = zip(labels["problem_id"], labels["split"], strict=True)
        labels["split"] = [split_in(held_out, problem_id, split) for problem_id, split in names]
        fails = self._find_failing(labels, only_correct)
        left_out = (labels["cut_off"] & exclude_cut_off) | (fails & only_correct)
        self.rows = labels[~left_out].reset_index(names="place")
        self.weight = np.where(self.rows["near_tie"], near_tie_weight, 1.0)

    def _find_failing(self, labels: pd.DataFrame, only_correct: bool) -> pd.Series:
        """Tell which labels are of problems whose target's response has a wrong answer, and keep their numbers."""
        path = Path(self.features_path).parent / "responses.parquet"
        self.sources: Sources | None = None
        if not path.is_file():
            if only_correct:
                raise InputError(
                    f"{path}: is missing, and `judge.only_correct` needs it; mine the labels, or leave the key out"
                )
            return pd.Series(False, index=labels.index)
        responses = read_table(RESPONSES, path, ["problem_id", "correct"])
        fails = labels["problem_id"].isin(responses.loc[~responses["correct"], "problem_id"])
        used = labels[labels["split"] != "test"]
        failing = used[fails[used.index]]
        counts = (len(failing), int(failing["important"].sum()))
        self.sources = Sources(
            len(used), int(used["important"].sum()), failing["problem_id"].nunique(), *counts, only_correct
        )
        return fails

    def of_split(self, split: str) -> "Part":
        """Return the mismatches of a split. Raises InputError like `Part.check`."""
        return self._part(self.rows["split"] == split, f"split {split}")

    def of_fold(self, fold: str) -> tuple["Part", dict[str, "Part"]]:
        """Return what a fold is fitted on and what it is measured on, by split; the first of these is its own.

        Parameters
        ----------
        fold : str
            `validation`, or `i-of-n`: of n parts of the problems of train and validation, by a hash, the i-th is
            measured on.

        Raises
        ------
        InputError
            There are no mismatches to fit or to measure, or of one class only.
        """
        if fold == VALIDATION:
            held_out = {VALIDATION: self.of_split(VALIDATION)}
            test = self._part(self.rows["split"] == "test", "split test", check=False)
            return self.of_split("train"), held_out | ({"test": test} if len(test) else {})
        number, count = map(int, fold.split("-of-"))
        used = self.rows["split"] != "test"
        inside = used & (fold_of(self.rows["problem_id"], count, "fold") == number)
        return self._part(used & ~inside, f"all folds but {fold}"), {fold: self._part(inside, f"fold {fold}")}

    def _part(self, wanted: pd.Series, name: str, check: bool = True) -> "Part":
        rows, named = self.rows[wanted], f"{self.labels_path}: {name}"
        if self.sources and self.sources.left_out and self.sources.failing_mismatches:
            count = self.sources.failing_mismatches
            named += f" ({count} labels, whose target's response is wrong, are left out by `judge.only_correct`)"
        part = Part(self.features_path, rows.reset_index(drop=True), self.weight[rows.index], named)
        if check:
            part.check()
        return part


class Part:
    """Some mismatches: their keys and labels, and on demand their features.

    Attributes
    ----------
    rows : DataFrame
        `problem_id`, `position`, `split`, `near_tie` of each.
    important : array of shape (n,), bool
    weight : array of shape (n,)
        Of each in a fit.
    name : str
        For errors.
    """

    def __init__(
        self,
        path: str,
        rows: pd.DataFrame,
        weight: NDArray[np.float64],  # (n,)
        name: str,
    ) -> None:
        self._path, self.rows, self.weight, self.name = path, rows, weight, name
        self.important = rows["important"].to_numpy(dtype=bool)
        self.problem_id = rows["problem_id"].to_numpy()

    def __len__(self) -> int:
        return len(self.rows)

    def check(self) -> None:
        """Raise InputError, with the reason found, where there are no mismatches, or of one class only."""
        if len(self) == 0:
            raise InputError(f"{self.name} holds no mismatch; {find_remedy(Path(self._path).parent)}")
        if self.important.all() or not self.important.any():
            only = "important" if self.important.all() else "unimportant"
            raise InputError(
                f"{self.name}: all {len(self)} mismatches are {only}, and a judge needs both classes; "
                f"{find_remedy(Path(self._path).parent)}"
            )

    def features(self, columns: list[str]) -> NDArray[np.float32]:
        """Return columns side by side, (n, width)."""
        return load_features(self._path, columns, self.rows["place"].to_numpy())

    def has(self, column: str) -> bool:
        """Tell whether a column has values; imported labels lack some."""
        try:
            return self.width(column) > 0
        except InputError:
            return False

    def width(self, column: str) -> int:
        """Return how many numbers a column holds."""
        return _width(pq.ParquetFile(self._path), self._path, column)

    def thin(
        self,
        kept: NDArray[np.bool_],  # (n,)
    ) -> "Part":
        """Return those that are kept."""
        return Part(self._path, self.rows[kept].reset_index(drop=True), self.weight[kept], self.name)


def fold_of(problem_id: pd.Series, count: int, purpose: str) -> NDArray[np.int64]:
    """Return the fold, 1 to `count`, of each row's problem: problems are dealt out in the order of a hash.

    Folds of one purpose hold equally many problems, to one; another purpose has another order.
    """
    order = sorted(set(problem_id), key=lambda name: hashlib.sha256(f"{purpose} {name}".encode()).digest())
    folds = {name: 1 + rank % count for rank, name in enumerate(order)}
    return problem_id.map(folds).to_numpy()


def load_features(
    path: str | Path,
    columns: list[str],
    places: NDArray[np.int64] | None = None,  # (rows,)
) -> NDArray[np.float32]:
    """Read columns of features.parquet side by side, (rows, width), all rows or some given in rising order.

    Raises
    ------
    InputError
        The file is damaged, lacks a column, or has no values in it.
    """
    try:
        file = pq.ParquetFile(path)
        widths = [_width(file, path, column) for column in columns]
        total = file.metadata.num_rows if places is None else len(places)
        matrix = np.empty((total, sum(widths)), dtype=np.float32)
        for column, width, end in zip(columns, widths, np.cumsum(widths), strict=True):
            done = first = 0
            for batch in file.iter_batches(READ_ROWS, columns=[column]):
                values = batch.column(0).flatten() if column in BLOCKS else batch.column(0)
                block = values.to_numpy(zero_copy_only=False).reshape(len(batch), width)
                if places is not None:
                    until = np.searchsorted(places, first + len(batch))
                    block = block[places[done:until] - first]
                matrix[done : done + len(block), end - width : end] = block
                done, first = done + len(block), first + len(batch)
    except (OSError, pa.ArrowInvalid) as fault:
        raise InputError(f"{path}: not a readable features table ({fault}); delete it and run again") from fault
    return matrix


def _width(file: pq.ParquetFile, path: str | Path, column: str) -> int:
    schema = file.schema_arrow
    if column not in schema.names or schema.field(column).type != FEATURES.columns[column].type:
        raise InputError(f"{path}: column `{column}` is missing or of another type; delete the file and run again")
    for batch in file.iter_batches(1, columns=[column]):
        value = batch.column(0)[0]
        if not value.is_valid:
            raise InputError(f"{path}: column `{column}` is empty, as in imported labels; use feature sets without it")
        return len(value) if column in BLOCKS else 1
    return 0
