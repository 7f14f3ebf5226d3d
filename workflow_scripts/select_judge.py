"""Rule select_judge: the judge that validation chooses, calibrated, with a threshold by recall, as an artifact."""

from pathlib import Path

from autojudge.engine.settings import describe_models
from autojudge.jobs import provenance
from autojudge.judging.choice import choose_point, fit_judge
from autojudge.judging.mismatches import Mismatches
from autojudge.reporting.model_card import write_card
from autojudge.tables.files import read_table
from autojudge.tables.judging import GRID, SCORES
from autojudge.tasks import describe_task


def select_judge(
    mismatches: Mismatches,
    tables: dict[str, str],
    judge: dict,
    task: str,
    dataset: str,
    pair: dict,
    seed: int,
    folder: Path,
) -> None:
    """Choose among the configured grid points, fit once more on the training split, and write judge/."""
    grid, scores = (read_table(table, tables[table.name]) for table in (GRID, SCORES))
    point = choose_point(grid, scores, judge["select"], seed)
    fitted = fit_judge(mismatches, point, judge["feature_sets"], judge["select"], seed)
    origin = {
        "feature_set": point["feature_set"],
        "hyperparameter": {point["hyperparameter"]: point["value"]},
        "grid_auc": point["auc"],
        "dataset": dataset,
        "task": describe_task(task),
        "models": describe_models(pair),
        "provenance": provenance.describe_run(seed, {"judge": judge, "pair": pair, "dataset": dataset}),
    }
    fitted.info.update(origin)
    fitted.save(folder)
    write_card(fitted, folder)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        given, params = snakemake.input, snakemake.params
        data = Mismatches(given.labels, given.features, **params.mismatches)
        tables = {"grid": given.grid, "scores": given.scores}
        origin = (params.task, snakemake.wildcards.dataset, params.pair, params.seed)
        select_judge(data, tables, params.judge, *origin, Path(snakemake.output.info).parent)
