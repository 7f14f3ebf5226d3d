"""What the source of labels means for judges: soft labels in a fit, and wrong answers where labels are by answers.

Apart from `mismatches`, whose digest what some judges decoded depends on.
"""

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from autojudge.judging.mismatches import Mismatches, Part, Sources
from autojudge.tables.files import read_table
from autojudge.tables.label_sources import SOURCED_LABELS


def soften(
    mismatches: Mismatches,
    part: Part,
    x: NDArray[np.float32],  # (n, width)
) -> tuple[Part, NDArray[np.float32]]:
    """Return rows and features of a fit: each mismatch as important and as unimportant, by their shares of its weight.

    Where a mismatch was not sampled (`kept_share` is null, or not there) it stays what it is.

    Parameters
    ----------
    mismatches : Mismatches
        Of which the part is one.
    x : array of shape (n, width)
        The part's features.
    """
    shares = _read(mismatches, "kept_share")
    kept = shares[part.rows["place"]]
    if np.isnan(kept).all():
        return part, x
    kept = np.where(np.isnan(kept), ~part.important, kept)
    weight = np.stack([1 - kept, kept], axis=1) * part.weight[:, None]
    row, unimportant = np.nonzero(weight > 0)
    rows = part.rows.iloc[row].reset_index(drop=True).assign(important=unimportant == 0)
    return Part(mismatches.features_path, rows, weight[row, unimportant], part.name), x[row]


def answer_sources(mismatches: Mismatches) -> Sources | None:
    """Return how many labels come from wrong answers; None for labels by likelihood, for which answers mean nothing."""
    return mismatches.sources if np.isnan(_read(mismatches, "likelihood_change")).all() else None


def _read(mismatches: Mismatches, column: str) -> NDArray[np.float64]:  # (rows of the table,)
    """Return a column that labels of some sources have, NaN where there is nothing."""
    file = pq.ParquetFile(mismatches.labels_path)
    if column not in file.schema_arrow.names:
        return np.full(file.metadata.num_rows, np.nan)
    return read_table(SOURCED_LABELS, mismatches.labels_path, [column])[column].to_numpy(dtype=float)
