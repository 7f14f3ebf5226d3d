"""Rule mine_labels: labels, features and responses of one shard of the problems."""

from functools import partial
from pathlib import Path

import torch

from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.mining_work import MiningWork, load_settled
from autojudge.jobs.scoring import open_scorer
from autojudge.jobs.shards import take_shard
from autojudge.jobs.store import Store
from autojudge.mining.likelihood import Likelihood
from autojudge.mining.samples import Sampler, Samples
from autojudge.mining.shard import write_shard
from autojudge.mining.sources import open_miner
from autojudge.scoring.scorer import Scorer
from autojudge.tables.files import read_table, records
from autojudge.tables.mining import PROBLEMS
from autojudge.workflow.work import mining_work


def mine_labels(
    problems: str,
    shard: str,
    splits: list[str],
    work: MiningWork,
    scorer: Scorer,
    pair: dict,
    batch: int,
    memory_mb: int,
    outputs: dict[str, str],
    likelihood: Likelihood | None = None,
) -> None:
    """Mine the problems of some splits in a shard such as "3-of-8", but for those in the store."""
    table = read_table(PROBLEMS, problems)
    rows = take_shard(records(table[table["split"].isin(splits)]), shard)
    loading = (pair, scorer, work.max_new_tokens, batch, memory_mb)
    miner = partial(open_miner, work.agreement, work.likelihood)
    with Store(Path(outputs["labels"]).parents[1] / "store/mining", shard) as store:
        mined = work.mine(rows, store, lambda: load_settled(miner, *loading))
        if work.samples:
            sampler = partial(Sampler.load, Samples(**work.samples.samples))
            mined = work.sample(rows, mined, store, lambda: load_settled(sampler, *loading))
    mined = [likelihood.label(problem) for problem in mined] if likelihood else mined
    write_shard(mined, {row["problem_id"]: row["split"] for row in rows}, outputs)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    inputs, params, config = snakemake.input, snakemake.params, snakemake.config
    with (
        job_log(snakemake.log[0]),
        claim_gpus(snakemake.resources.get("gpu", 0)),
        open_scorer(params.task, inputs.tests, snakemake.threads) as scorer,
    ):
        torch.set_num_threads(snakemake.threads)
        sources = {name: params[name] for name in ("agreement", "likelihood", "samples")}
        mine_labels(
            problems=inputs.problems,
            shard=snakemake.wildcards.scatteritem,
            splits=params.splits,
            work=mining_work(params.task, params.max_new_tokens, params.models, **sources),
            scorer=scorer,
            pair=config["pairs"][snakemake.wildcards.pair],
            batch=config["mining"]["batch"],
            memory_mb=config["mining"]["memory_mb"] or snakemake.resources.mem_mb,  # which grows with attempts
            outputs=dict(snakemake.output.items()),
            likelihood=Likelihood(**params.likelihood) if params.likelihood else None,
        )
