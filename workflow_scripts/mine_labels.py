"""Rule mine_labels: labels, features and responses of one shard of the problems."""

import logging

import torch

from autojudge.engine.memory import memory_budget
from autojudge.engine.models import load_pair
from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.journal import Journal, describe_work
from autojudge.jobs.progress import Progress
from autojudge.jobs.shards import take_shard
from autojudge.mining.miner import Mined, Miner
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.mining import FEATURES, LABELS, PROBLEMS, RESPONSES
from autojudge.tasks import load_task

logger = logging.getLogger("autojudge")


def mine_labels(
    problems: str,
    shard: str,
    task: str,
    max_new_tokens: int,
    pair: dict,
    batch: int,
    memory_mb: int,
    splits: list[str],
    code: list[str],
    journal: str,
    outputs: dict[str, str],
) -> None:
    """Mine the problems of some splits in a shard such as "3-of-8", but for those in its journal."""
    table = read_table(PROBLEMS, problems)
    rows = take_shard(records(table[table["split"].isin(splits)]), shard)
    log = Journal(journal, describe_work(task, max_new_tokens, pair, rows, code))
    progress = Progress(len(rows), "problem", resumed=len(log.finished))
    mined = [Mined.from_json(entry) for entry in log.finished]
    known = {m.response["problem_id"] for m in mined}
    if known:
        logger.info("resumes with %d finished problems", len(known))
    remaining = [row for row in rows if row["problem_id"] not in known]
    if remaining:
        models = load_pair(pair)
        budget = memory_budget([models.draft, models.target], memory_mb)
        miner = Miner(models, load_task(task), max_new_tokens, batch, budget)
        for result in miner.mine(remaining):
            log.append(result.to_json())
            mined.append(result)
            progress.advance()
    write_tables(sorted(mined, key=lambda m: m.response["problem_id"]), outputs)


def write_tables(mined: list[Mined], outputs: dict[str, str]) -> None:
    """Write the three tables of a shard and log what is in them."""
    labels = [label for m in mined for label in m.labels]
    write_table(RESPONSES, [m.response for m in mined], outputs["responses"])
    write_table(LABELS, labels, outputs["labels"])
    write_table(FEATURES, [row for m in mined for row in m.features], outputs["features"])
    unanswered = sum(m.response["target_answer"] is None for m in mined)
    important = sum(label["important"] for label in labels)
    message = "%d problems, %d mismatches, %d important; %d target responses without an answer"
    logger.info(message, len(mined), len(labels), important, unanswered)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        params, outputs = snakemake.params, dict(snakemake.output.items())
        shard = (snakemake.input.problems, snakemake.wildcards.scatteritem)
        mining = snakemake.config["mining"]
        sizes = (mining["batch"], mining["memory_mb"] or snakemake.resources.mem_mb)  # which grows with attempts
        settings = (params.task, params.max_new_tokens, params.pair, *sizes, params.splits)
        mine_labels(*shard, *settings, list(snakemake.input.code), params.journal, outputs)
