"""Rule sweep_thresholds: decode one shard of the problems with every rule at every threshold."""

from pathlib import Path

import torch

from autojudge.decoding.sweep import open_decoders, read_labels
from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.scoring import open_scorer
from autojudge.jobs.shards import take_shard
from autojudge.jobs.store import Store
from autojudge.jobs.sweep_work import SweepWork
from autojudge.judging.artifact import Judge, load_judge
from autojudge.scoring.scorer import Scorer
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.mining import PROBLEMS
from autojudge.workflow.work import sweep_work


def sweep_thresholds(
    problems: str,
    shard: str,
    work: SweepWork,
    judge: Judge | None,
    scorer: Scorer,
    pair: dict,
    decoding: dict,
    output: str,
) -> None:
    """Decode validation and test problems alone, and by each rule at each window and threshold, but for stored ones.

    Parameters
    ----------
    decoding : dict
        `max_new_tokens`, `branches`, `temperature`, `top_p` and `batch`.
    """
    table = read_table(PROBLEMS, problems)
    rows = take_shard(records(table[table["split"] != "train"]), shard)
    decoders = open_decoders(pair, work.models, judge, scorer, decoding)
    with Store(Path(output).parents[1] / "store/sweep", shard) as store:
        write_table(SWEEP, work.decode(rows, store, scorer, decoders), output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    inputs, params, config = snakemake.input, snakemake.params, snakemake.config
    with (
        job_log(snakemake.log[0]),
        claim_gpus(snakemake.resources.get("gpu", 0)),
        open_scorer(params.task, inputs.tests, snakemake.threads) as scorer,
    ):
        torch.set_num_threads(snakemake.threads)
        judge = load_judge(Path(inputs.judge[0]).parent) if inputs.get("judge") else None
        labels = read_labels(inputs.labels[0]) if inputs.get("labels") else {}
        sweep_thresholds(
            problems=inputs.problems,
            shard=snakemake.wildcards.scatteritem,
            work=sweep_work(params.task, params.models, params.decoding, params.rules, judge, labels),
            judge=judge,
            scorer=scorer,
            pair=config["pairs"][snakemake.wildcards.pair],
            decoding=params.decoding | {"batch": config["decoding"]["batch"]},
            output=snakemake.output[0],
        )
