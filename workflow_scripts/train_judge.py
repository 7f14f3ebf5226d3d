"""Rule train_judge: fit the classifiers of one feature set on one fold, and measure them on what they have not seen."""

from collections.abc import Mapping

import torch

from autojudge.judging.grid import measure_grid
from autojudge.judging.mismatches import Mismatches
from autojudge.tables.files import write_table
from autojudge.tables.judging import GRID, SCORES


def train_judge(
    mismatches: Mismatches,
    feature_set: str,
    blocks: list[str],
    classifiers: dict[str, dict[str, list[float]]],
    fold: str,
    seed: int,
    outputs: Mapping[str, str],
) -> None:
    """Write one row per grid point, and one per grid point and unseen mismatch."""
    grid, scores = measure_grid(mismatches, feature_set, blocks, classifiers, fold, seed)
    write_table(GRID, grid, outputs["grid"])
    write_table(SCORES, scores, outputs["scores"])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        torch.set_num_threads(snakemake.threads)
        inputs, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
        train_judge(
            mismatches=Mismatches(inputs.labels, inputs.features, **params.mismatches),
            feature_set=wildcards.feature_set,
            blocks=params.blocks,
            classifiers=params.classifiers,
            fold=wildcards.fold,
            seed=params.seed,
            outputs=dict(snakemake.output.items()),
        )
