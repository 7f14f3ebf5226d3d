"""Linear scores of problems that the fit has not seen: what other classifiers build on or choose features by."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from autojudge.judging.logistic import Line, LogisticPath
from autojudge.judging.mismatches import Part, fold_of

STRENGTHS = (1e-4, 1e-3, 1e-2)  # values of C that are tried
FOLDS = 5


def best_line(
    part: Part,
    x: NDArray[np.float32],  # (n, width)
) -> tuple[Line, LogisticPath, NDArray[np.float32]]:
    """Fit a line at the strength that is best for unseen problems.

    Returns
    -------
    Line
        Fitted on all rows.
    LogisticPath
        Its data.
    array of shape (n,)
        Each row's logit from a fit that has not seen its problem.

    Raises
    ------
    ValueError
        A fold leaves labels of one class only.
    """
    folds = fold_of(part.rows["problem_id"], FOLDS, "inner")
    unseen = np.zeros((len(STRENGTHS), len(x)), dtype=np.float32)
    for fold in range(1, FOLDS + 1):
        held_out = folds == fold
        if part.important[~held_out].sum() in (0, (~held_out).sum()):
            raise ValueError("too few problems for inner folds")
        path = LogisticPath(x[~held_out], part.important[~held_out], part.weight[~held_out])
        for i, line in enumerate(path.fit(STRENGTHS)):
            unseen[i, held_out] = line.logit(x[held_out])
    best = int(np.argmax([roc_auc_score(part.important, scores) for scores in unseen]))
    path = LogisticPath(x, part.important, part.weight)
    *_, line = path.fit(STRENGTHS[: best + 1])
    return line, path, unseen[best]
