"""Rule sweep_thresholds: decode one shard of the problems with every rule at every threshold."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

from autojudge.decoding.sweep import open_decoders, read_labels
from autojudge.engine.numerics import open_pair
from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.scoring import open_scorer
from autojudge.jobs.shards import take_shard
from autojudge.jobs.store import Store
from autojudge.jobs.sweep_work import SweepWork
from autojudge.judging.artifact import Judge, load_judge
from autojudge.scoring.scorer import Scorer
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.folds import split_in
from autojudge.tables.mining import PROBLEMS
from autojudge.workflow.work import sweep_work


def sweep_thresholds(
    problems: str,
    shard: str,
    works: Mapping[str | None, tuple[SweepWork, Judge | None]],
    scorer: Scorer,
    pair: dict,
    decoding: dict,
    output: str,
    part: str = "",
) -> None:
    """Decode validation and test problems alone, and by each rule at each window and threshold, but for stored ones.

    Parameters
    ----------
    works : mapping of fold to SweepWork and Judge
        By which each fold's validation and test problems are decoded; of a dataset without folds one, under None.
    decoding : dict
        `max_new_tokens`, `branches`, `temperature`, `top_p` and `batch`; `target_first` where it is true.
    part : str
        What follows the pair in the output's path: that of a further judge, whose sweep shares the pair's store.
    """
    folder, writer = Path(output).parents[1 + part.count("/")] / "store/sweep", "-".join([*part.split("/")[1:], shard])
    table, load, swept = read_table(PROBLEMS, problems), cache(lambda: open_pair(pair)), []
    rows = take_shard(records(table[table["split"] != "train"] if None in works else table), shard)
    for fold, (work, judge) in works.items():
        held = [row | {"split": split_in(fold, row["problem_id"], row["split"])} for row in rows]
        decoders = open_decoders(load, work.models, judge, scorer, decoding)
        with Store(folder, writer) as store:  # has what the folds before have added
            found = work.decode([row for row in held if row["split"] != "train"], store, scorer, decoders)
        swept += [row | {"fold": fold} for row in found]
    write_table(SWEEP, swept, output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    inputs, params, config = snakemake.input, snakemake.params, snakemake.config
    with (
        job_log(snakemake.log[0]),
        claim_gpus(snakemake.resources.get("gpu", 0)),
        open_scorer(params.task, inputs.tests, snakemake.threads) as scorer,
    ):
        torch.set_num_threads(snakemake.threads)
        labels = read_labels(inputs.labels[0]) if inputs.get("labels") else {}
        folds, works = params.folds or [None], {}
        judges = [load_judge(Path(record).parent) for record in inputs.get("judges", [])[::2]] or [None] * len(folds)
        for fold, judge in zip(folds, judges, strict=True):
            work = sweep_work(params.task, params.models, params.decoding, params.rules, judge, labels)
            works[fold] = (work, judge)
        sweep_thresholds(
            problems=inputs.problems,
            shard=snakemake.wildcards.scatteritem,
            works=works,
            scorer=scorer,
            pair=config["pairs"][snakemake.wildcards.pair],
            decoding=params.decoding | {"batch": config["decoding"]["batch"]},
            output=snakemake.output[0],
            part=snakemake.wildcards.part,
        )
