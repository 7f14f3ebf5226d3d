"""Rule measure_speed: wall-clock of the target, assisted generation, lossless, judge and best training-free rule."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from autojudge.decoding.speed import ASSISTED, TARGET, Method, Setting, call_cost_ratio, measure_speed
from autojudge.engine.models import load_pair
from autojudge.engine.settings import describe_models
from autojudge.jobs.gpus import claim_gpus
from autojudge.judging.artifact import load_judge
from autojudge.reporting import figures as plotting
from autojudge.rules import load_rule
from autojudge.tables import schemas
from autojudge.tasks import load_task, prompt_of


def choose_methods(summary: pd.DataFrame, drafts: bool) -> list[Method]:
    """Return what is timed: references, the judge and the best training-free rule, at recommended thresholds."""
    chosen = summary[summary["best"] | (summary["kind"] == "judge")]
    rules = [Method(row.rule, load_rule(row.rule), row.threshold) for row in chosen.itertuples()]
    assisted = [Method(ASSISTED)] if drafts else []
    return [Method(TARGET), *assisted, Method("lossless", load_rule("lossless")), *rules]


def time_pair(
    problems: str,
    summary: str,
    judge_folder: Path | None,
    name: str,
    pair: dict,
    task: str,
    settings: dict,
    output: dict,
) -> None:
    """Write table and figure of a pair's speed."""
    table, rows = schemas.read_table("problems", problems), pd.read_csv(summary)
    prompts = [list(p) for p in table.loc[table["split"] == "test", "prompt_tokens"].head(settings["problems"])]
    models, judge = load_pair(pair), load_judge(judge_folder) if judge_folder else None
    if judge:
        judge.check_pair(describe_models(pair), models.hidden_sizes)
    methods = choose_methods(rows[rows["pair"] == name], models.draft is not None)
    window, stop = settings["window"], prompt_of(load_task(task)).stop
    setting = Setting(models, window, settings["max_new_tokens"], judge, stop)
    found = measure_speed(setting, prompts, methods, settings["batches"], settings["rounds"])
    rules, largest = [method for method in methods if method.rule], [max(settings["batches"])]
    for other in set(settings["windows"]) - {window}:
        found += measure_speed(replace(setting, window=other), prompts, rules, largest, rounds=1)
    ratio = call_cost_ratio(models)
    schemas.write_table("speed", [row | {"call_cost_ratio": ratio} for row in found], output["csv"])
    title = f"{name}: speed of decoding, {torch.get_num_threads()} threads"
    plotting.plot_speed(pd.read_csv(output["csv"]), window, title, output["pdf"], output["png"])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        given, params = snakemake.input, snakemake.params
        judge = Path(given.judge[0]).parent if given.get("judge") else None
        names = (given.problems, given.summary, judge, snakemake.wildcards.pair)
        time_pair(*names, params.pair, params.task, params.settings, dict(snakemake.output.items()))
