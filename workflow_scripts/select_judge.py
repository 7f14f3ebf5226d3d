"""Rule select_judge: the judge that validation chooses, calibrated, with a threshold by recall, as an artifact."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.engine.settings import describe_models
from autojudge.jobs.provenance import describe_run
from autojudge.judging.choice import choose_point, fit_judge
from autojudge.judging.mismatches import Mismatches
from autojudge.tables.files import read_table
from autojudge.tables.judging import GRID, SCORES
from autojudge.tasks import describe_task


def select_judge(
    mismatches: Mismatches,
    tables: Mapping[str, str],
    settings: Mapping[str, Any],
    task: str,
    dataset: str,
    pair: Mapping[str, Any],
    models: Mapping[str, Mapping[str, Any]],
    seed: int,
    held_out: str | None,
    folder: Path,
) -> None:
    """Choose among the configured grid points, fit once more on the training split, and write judge/."""
    grid, scores = (read_table(table, tables[table.name]) for table in (GRID, SCORES))
    origin = {
        "dataset": dataset,
        "task": describe_task(task),
        "models": {role: names | models[role] for role, names in describe_models(pair).items()},
        "provenance": describe_run(seed, {"judge": settings, "models": models, "dataset": dataset})
        | ({"held_out": held_out} if held_out else {}),
    }
    feature_sets, select = settings["feature_sets"], settings["select"]
    point = choose_point(grid, scores, feature_sets, select, seed)
    fit_judge(mismatches, point, feature_sets, select, origin, seed).save(folder)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        select_judge(
            mismatches=Mismatches(inputs.labels, inputs.features, **params.mismatches),
            tables={"grid": inputs.grid, "scores": inputs.scores},
            settings=params.settings,
            task=params.task,
            dataset=snakemake.wildcards.dataset,
            pair=snakemake.config["pairs"][snakemake.wildcards.pair],
            models=params.models,
            seed=params.seed,
            held_out=params.mismatches.get("held_out"),
            folder=Path(snakemake.output.record).parent,
        )
