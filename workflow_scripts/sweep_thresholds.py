"""Rule sweep_thresholds: decode one shard of the problems with every rule at every threshold."""

from pathlib import Path

import torch

from autojudge.decoding.sweep import open_decoders, read_labels
from autojudge.engine.settings import Models
from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.shards import take_shard
from autojudge.jobs.store import Store
from autojudge.judging.artifact import load_judge
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.mining import PROBLEMS
from autojudge.tasks import load_task
from autojudge.workflow.work import sweep_work


def sweep_thresholds(
    problems: str,
    shard: str,
    judge_folder: Path | None,
    labels: str | None,
    pair: dict,
    models: Models,
    task: str,
    rules: dict,
    decoding: dict,
    output: str,
) -> None:
    """Decode validation and test problems alone, and by each rule at each window and threshold, but for stored ones.

    Parameters
    ----------
    models : mapping
        What identifies the pair's models.
    rules : dict
        The swept rules' entries of the config, by name.
    decoding : dict
        `max_new_tokens`, `windows`, `branches`, `temperature`, `top_p`, `repeats`, `truncated` and `batch`.
    """
    table = read_table(PROBLEMS, problems)
    rows = take_shard(records(table[table["split"] != "train"]), shard)
    judge = load_judge(judge_folder) if judge_folder else None
    work = sweep_work(task, models, decoding, rules, judge, read_labels(labels) if labels else {})
    scoring = load_task(task)
    with Store(Path(output).parents[1] / "store/sweep", shard) as store:
        swept = work.decode(rows, store, scoring, open_decoders(pair, models, judge, scoring, decoding))
    write_table(SWEEP, swept, output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        inputs, params, config = snakemake.input, snakemake.params, snakemake.config
        sweep_thresholds(
            problems=inputs.problems,
            shard=snakemake.wildcards.scatteritem,
            judge_folder=Path(inputs.judge[0]).parent if inputs.get("judge") else None,
            labels=inputs.labels[0] if inputs.get("labels") else None,
            pair=config["pairs"][snakemake.wildcards.pair],
            models=params.models,
            task=params.task,
            rules=params.rules,
            decoding=params.decoding | {"batch": config["decoding"]["batch"]},
            output=snakemake.output[0],
        )
