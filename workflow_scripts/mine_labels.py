"""Rule mine_labels: labels, features and responses of one shard of the problems."""

import logging

import torch

from autojudge import schemas
from autojudge.mining import Miner
from autojudge.models import load_pair
from autojudge.progress import Progress
from autojudge.shards import take_shard
from autojudge.tasks import load_task

logger = logging.getLogger("autojudge")


def mine_labels(
    problems: str,
    shard: str,
    task: str,
    max_new_tokens: int,
    pair: dict,
    batch: int,
    threads: int,
    outputs: dict[str, str],
) -> None:
    """Mine the training and validation problems of a shard such as "3-of-8"."""
    torch.set_num_threads(threads)
    table = schemas.read_table("problems", problems)
    rows = take_shard(schemas.records(table[table["split"] != "test"]), shard)
    miner = Miner(load_pair(pair), load_task(task), max_new_tokens, min(batch, max(len(rows), 1)))
    progress, mined = Progress(len(rows), "problem"), []
    for result in miner.mine(rows):
        mined.append(result)
        progress.advance()
    mined.sort(key=lambda m: m.response["problem_id"])
    labels = [label for m in mined for label in m.labels]
    schemas.write_table("responses", [m.response for m in mined], outputs["responses"])
    schemas.write_table("labels", labels, outputs["labels"])
    schemas.write_table("features", [row for m in mined for row in m.features], outputs["features"])
    unanswered = sum(m.response["target_answer"] is None for m in mined)
    important = sum(label["important"] for label in labels)
    message = "%d problems, %d mismatches, %d important; %d target responses without an answer"
    logger.info(message, len(mined), len(labels), important, unanswered)


if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]):
        mine_labels(
            snakemake.input.problems,
            snakemake.wildcards.scatteritem,
            snakemake.params.task,
            snakemake.params.max_new_tokens,
            snakemake.params.pair,
            snakemake.params.batch,
            snakemake.threads,
            dict(snakemake.output.items()),
        )
