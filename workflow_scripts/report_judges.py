"""Rule report_judges: every candidate judge and the training-free rules side by side, and the ablation figure."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from autojudge.judging.artifact import load_judge
from autojudge.judging.choice import judge_scores
from autojudge.judging.mismatches import Mismatches
from autojudge.reporting import judge_figures as judge_plots
from autojudge.reporting.judges_page import compare_judges, report_split, weigh_near_ties, write_markdown
from autojudge.tables.files import read_table, write_table
from autojudge.tables.judging import GRID, SCORES
from autojudge.tables.reporting import JUDGES


def report_judges(
    inputs: dict[str, str], judge_folder: Path, judge: dict, exclude_cut_off: bool, title: str, seed: int, outputs: dict
) -> None:
    """Write table and text of the comparison, and the ablation figure."""
    grid, scores = (read_table(table, inputs[table.name]) for table in (GRID, SCORES))
    chosen, split = load_judge(judge_folder), report_split(scores)
    point = {"feature_set": chosen.info["feature_set"], "classifier": chosen.info["classifier"]}
    point["value"] = next(iter(chosen.info["hyperparameter"].values()))
    data = Mismatches(inputs["labels"], inputs["features"], exclude_cut_off)
    part, recall = data.of_split(split), judge["select"]["recall"]
    table = compare_judges(grid, scores, part, f"accepted_at_{round(100 * recall)}", point, seed)
    arrow = pa.Table.from_pandas(table, JUDGES.schema, preserve_index=False)
    write_table(JUDGES, arrow, outputs["csv"])
    near_ties = weigh_near_ties(data, point, judge["feature_sets"][point["feature_set"]], part, seed)
    Path(outputs["markdown"]).write_text(write_markdown(table, near_ties, title, recall), encoding="utf-8")
    plain = replace(chosen, tensors={k: v for k, v in chosen.tensors.items() if k != "calibration"})
    reliability = judge_scores(plain, part), judge_scores(chosen, part), part.important
    judge_plots.plot_ablation(grid, scores, judge["feature_sets"], point, reliability, split, title, outputs)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs = {name: snakemake.input[name] for name in ("labels", "features", "grid", "scores")}
        folder, params = Path(snakemake.input.judge[0]).parent, snakemake.params
        settings = (params.judge, params.exclude_cut_off, params.title, params.seed)
        report_judges(inputs, folder, *settings, dict(snakemake.output.items()))
