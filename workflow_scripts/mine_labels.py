"""Rule mine_labels: labels, features and responses of one shard of the problems."""

from pathlib import Path

import torch

from autojudge.engine.settings import Models
from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.shards import take_shard
from autojudge.jobs.store import Store
from autojudge.mining.miner import Miner
from autojudge.mining.shard import write_shard
from autojudge.tables.files import read_table, records
from autojudge.tables.mining import PROBLEMS
from autojudge.tasks import load_task
from autojudge.workflow.work import mining_work


def mine_labels(
    problems: str,
    shard: str,
    splits: list[str],
    task: str,
    max_new_tokens: int,
    pair: dict,
    models: Models,
    batch: int,
    memory_mb: int,
    outputs: dict[str, str],
) -> None:
    """Mine the problems of some splits in a shard such as "3-of-8", but for those in the store."""
    table = read_table(PROBLEMS, problems)
    rows = take_shard(records(table[table["split"].isin(splits)]), shard)
    with Store(Path(outputs["labels"]).parents[1] / "store/mining", shard) as store:
        mined = mining_work(task, max_new_tokens, models).mine(
            rows, store, lambda: Miner.load(pair, load_task(task), max_new_tokens, batch, memory_mb)
        )
    write_shard(mined, {row["problem_id"]: row["split"] for row in rows}, outputs)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        params, config = snakemake.params, snakemake.config
        mine_labels(
            problems=snakemake.input.problems,
            shard=snakemake.wildcards.scatteritem,
            splits=params.splits,
            task=params.task,
            max_new_tokens=params.max_new_tokens,
            pair=config["pairs"][snakemake.wildcards.pair],
            models=params.models,
            batch=config["mining"]["batch"],
            memory_mb=config["mining"]["memory_mb"] or snakemake.resources.mem_mb,  # which grows with attempts
            outputs=dict(snakemake.output.items()),
        )
