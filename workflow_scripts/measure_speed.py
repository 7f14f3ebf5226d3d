"""Rule measure_speed: wall-clock of the target, assisted generation, lossless, judge and best training-free rule."""

import json
from pathlib import Path
from typing import Any

import torch

from autojudge.decoding.speed import Setting, choose_methods, time_methods
from autojudge.engine.numerics import open_pair
from autojudge.engine.settings import Models
from autojudge.jobs.gpus import claim_gpus
from autojudge.judging.artifact import load_judge
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.folds import split_in
from autojudge.tables.mining import PROBLEMS
from autojudge.tables.reporting import SPEED, SUMMARY
from autojudge.tasks import load_task, prompt_of


def measure_speed(
    problems: str,
    summary: str,
    cost: str,
    judge_folder: Path | None,
    name: str,
    pair: dict[str, Any],
    models: Models,
    task: str,
    settings: dict[str, Any],
    output: str,
) -> None:
    """Time the methods of the pair of that name at every batch, each at its recommended window and threshold.

    Decoding takes `minutes` of the settings at most, unless a round of one problem takes longer. Where the settings
    name a `fold`, the judge is that fold's, and so are the problems.
    """
    rows, recommended = records(read_table(PROBLEMS, problems)), read_table(SUMMARY, summary)
    tested = [row for row in rows if split_in(settings.get("fold"), row["problem_id"], row["split"]) == "test"]
    prompts = [list(row["prompt_tokens"]) for row in tested[: settings["problems"]]]
    loaded, judge = open_pair(pair), load_judge(judge_folder) if judge_folder else None
    if judge:
        judge.check_pair(models, loaded.hidden_sizes)
    methods = choose_methods(recommended[recommended["pair"] == name], loaded.draft is not None, settings["rules"])
    setting = Setting(loaded, settings["max_new_tokens"], judge, prompt_of(load_task(task)).stop)
    batches, rounds, seconds = settings["batches"], settings["rounds"], 60 * settings["minutes"]
    rows = time_methods(setting, prompts, methods, batches, rounds, seconds)
    ratio = json.loads(Path(cost).read_text(encoding="utf-8"))["ratio"]
    machine = {"call_cost_ratio": ratio, "threads": torch.get_num_threads()}
    write_table(SPEED, [row | machine for row in rows], output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        measure_speed(
            problems=snakemake.input.problems,
            summary=snakemake.input.summary,
            cost=snakemake.input.cost,
            judge_folder=Path(snakemake.input.judge[0]).parent if snakemake.input.get("judge") else None,
            name=snakemake.wildcards.pair,
            pair=snakemake.config["pairs"][snakemake.wildcards.pair],
            models=snakemake.params.models,
            task=snakemake.params.task,
            settings=snakemake.params.settings | {"minutes": snakemake.config["speed"]["minutes"]},
            output=snakemake.output[0],
        )
