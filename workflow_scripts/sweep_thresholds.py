"""Rule sweep_thresholds: decode one shard of the problems with every rule at every threshold."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

from autojudge.decoding.sweep import open_decoders, read_labels
from autojudge.engine.models import load_pair
from autojudge.engine.settings import Models
from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.shards import take_shard
from autojudge.jobs.store import Store
from autojudge.judging.artifact import load_judge
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.folds import split_in
from autojudge.tables.mining import PROBLEMS
from autojudge.tasks import load_task
from autojudge.workflow.work import sweep_work


def sweep_thresholds(
    problems: str,
    shard: str,
    judges: Mapping[str | None, Path | None],
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
    judges : mapping of fold to path
        Folder of each fold's judge, by which its validation and test problems are decoded; of a dataset without folds
        one, under None. None is no judge.
    models : mapping
        What identifies the pair's models.
    rules : dict
        The swept rules' entries of the config, by name.
    decoding : dict
        `max_new_tokens`, `windows`, `branches`, `temperature`, `top_p`, `repeats`, `truncated` and `batch`.
    """
    table, scoring, swept = read_table(PROBLEMS, problems), load_task(task), []
    rows = take_shard(records(table if None not in judges else table[table["split"] != "train"]), shard)
    mined, load = read_labels(labels) if labels else {}, cache(lambda: load_pair(pair))
    for fold, folder in judges.items():
        judge = load_judge(folder) if folder else None
        work = sweep_work(task, models, decoding, rules, judge, mined)
        held = [row | {"split": split_in(fold, row["problem_id"], row["split"])} for row in rows]
        decoders = open_decoders(load, models, judge, scoring, decoding)
        with Store(Path(output).parents[1] / "store/sweep", shard) as store:  # has what the folds before have added
            found = work.decode([row for row in held if row["split"] != "train"], store, scoring, decoders)
        swept += [row | {"fold": fold} for row in found]
    write_table(SWEEP, swept, output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        inputs, params, config = snakemake.input, snakemake.params, snakemake.config
        folds = params.folds or [None]
        folders = (
            [Path(record).parent for record in inputs.judges[::2]] if inputs.get("judges") else [None] * len(folds)
        )
        sweep_thresholds(
            problems=inputs.problems,
            shard=snakemake.wildcards.scatteritem,
            judges=dict(zip(folds, folders, strict=True)),
            labels=inputs.labels[0] if inputs.get("labels") else None,
            pair=config["pairs"][snakemake.wildcards.pair],
            models=params.models,
            task=params.task,
            rules=params.rules,
            decoding=params.decoding | {"batch": config["decoding"]["batch"]},
            output=snakemake.output[0],
        )
