"""Rule plot_transfer: each dataset's judge on each dataset's mismatches, for one pair."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from autojudge.judging.artifact import load_judge
from autojudge.judging.choice import judge_scores
from autojudge.judging.metrics import draw_weights, estimate
from autojudge.judging.mismatches import VALIDATION, Mismatches
from autojudge.reporting import judge_figures as judge_plots
from autojudge.tables.files import write_table
from autojudge.tables.reporting import TRANSFER


def plot_transfer(
    folders: Mapping[str, Path], data: Mapping[str, Mismatches], title: str, seed: int, outputs: dict[str, str]
) -> None:
    """Write table and figure; measured on the test split of every dataset if all have one, else on validation.

    Parameters
    ----------
    folders, data : mapping of dataset
        To its judge's folder and its mismatches.
    """
    split = "test" if all((d.rows["split"] == "test").any() for d in data.values()) else VALIDATION
    parts, rows = {name: mismatches.of_split(split) for name, mismatches in data.items()}, []
    for trained_on, folder in folders.items():
        judge = load_judge(folder)
        for tested_on, part in parts.items():
            found = estimate(judge_scores(judge, part), part.important, draw_weights(part.problem_id, seed))
            row: dict = {"trained_on": trained_on, "tested_on": tested_on, "split": split, "mismatches": len(part)}
            for name, value in found.items():
                row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            rows.append(row)
    write_table(TRANSFER, rows, outputs["csv"])
    judge_plots.plot_transfer(pd.DataFrame(rows), f"{title}: transfer of judges, {split} split", outputs)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        given, params = snakemake.input, snakemake.params
        folders = {name: Path(path).parent for name, path in zip(params.datasets, given.judges, strict=True)}
        tables = zip(params.datasets, given.labels, given.features, strict=True)
        data = {name: Mismatches(labels, features, **params.mismatches) for name, labels, features in tables}
        plot_transfer(folders, data, snakemake.wildcards.pair, params.seed, dict(snakemake.output.items()))
