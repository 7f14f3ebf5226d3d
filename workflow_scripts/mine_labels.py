"""Rule mine_labels: labels, features and responses of one shard of the problems."""

import logging
from pathlib import Path

import torch

from autojudge.engine.memory import memory_budget
from autojudge.engine.models import load_pair
from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.mining_work import Models
from autojudge.jobs.shards import take_shard
from autojudge.jobs.store import Store
from autojudge.mining.miner import Mined, Miner
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.mining import FEATURES, LABELS, PROBLEMS, RESPONSES
from autojudge.tasks import load_task
from autojudge.workflow.work import mining_work

logger = logging.getLogger("autojudge")


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
    work = mining_work(task, max_new_tokens, models)

    def open_miner() -> Miner:
        loaded = load_pair(pair)
        budget = memory_budget([loaded.draft, loaded.target], memory_mb)
        return Miner(loaded, load_task(task), max_new_tokens, batch, budget)

    with Store(Path(outputs["labels"]).parents[1] / "store/mining", shard) as kept:
        mined = work.mine(rows, kept, open_miner)
    write_tables(mined, {row["problem_id"]: row["split"] for row in rows}, outputs)


def write_tables(mined: list[Mined], splits: dict[str, str], outputs: dict[str, str]) -> None:
    """Write the three tables of a shard, each problem with its present split, and log what is in them."""
    responses = [m.response | {"split": splits[m.response["problem_id"]]} for m in mined]
    labels = [label | {"split": splits[label["problem_id"]]} for m in mined for label in m.labels]
    write_table(RESPONSES, responses, outputs["responses"])
    write_table(LABELS, labels, outputs["labels"])
    write_table(FEATURES, [row for m in mined for row in m.features], outputs["features"])
    unanswered = sum(response["target_answer"] is None for response in responses)
    important = sum(label["important"] for label in labels)
    message = "%d problems, %d mismatches, %d important; %d target responses without an answer"
    logger.info(message, len(mined), len(labels), important, unanswered)


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
