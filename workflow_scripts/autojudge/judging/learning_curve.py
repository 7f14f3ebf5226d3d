"""How good a judge is with fewer mined problems."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from autojudge.errors import InputError
from autojudge.judging.classifiers import fit_grid, predict
from autojudge.judging.label_sources import soften
from autojudge.judging.metrics import METRICS, measure
from autojudge.judging.mismatches import VALIDATION, Mismatches
from autojudge.tables.feature_names import expand_blocks
from autojudge.tables.judging import POINT


def learning_curve(
    mismatches: Mismatches, point: Mapping[str, Any], blocks: list[str], seed: int, draws: int
) -> Iterator[dict[str, Any]]:
    """Yield rows of table `learning_curve`: a grid point fitted on random halves, quarters, ... of the problems.

    Measured on validation, as it is to tell whether to go on mining. A part without both classes is left out.
    """
    columns, train, validation = expand_blocks(blocks), mismatches.of_split("train"), mismatches.of_split(VALIDATION)
    x, x_validation = train.features(columns), torch.from_numpy(validation.features(columns))
    problems, of = np.unique(train.problem_id.astype(str), return_inverse=True)
    for halvings in range(6):
        count = len(problems) >> halvings
        for draw in range(draws if halvings else 1):
            kept = np.random.default_rng([seed, draw]).permutation(len(problems))[:count]
            inside = np.isin(of, kept)
            part = train.thin(inside)
            if count == 0 or part.important.all() or not part.important.any():
                continue
            try:
                fitted = soften(mismatches, part, x[inside])
                ((_, tensors),) = fit_grid(point["classifier"], [point["value"]], *fitted, columns, seed)
            except InputError:  # too few for this classifier
                continue
            found = measure(predict(point["classifier"], tensors, x_validation).numpy(), validation.important)
            counts = {"problems": count, "mismatches": int(inside.sum()), "draw": draw}
            yield {name: point[name] for name in POINT} | counts | {name: float(found[name][0]) for name in METRICS}
