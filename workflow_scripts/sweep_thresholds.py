"""Rule sweep_thresholds: decode one shard of the test problems with every rule and threshold."""

from pathlib import Path

import torch

from autojudge import schemas
from autojudge.decoding import Decoder, Job
from autojudge.gpus import claim_gpus
from autojudge.judge import load_judge
from autojudge.models import Pair, load_pair
from autojudge.progress import Progress
from autojudge.rules import load_rule
from autojudge.shards import take_shard
from autojudge.sweep import expand_thresholds, sweep_row
from autojudge.tasks import load_task


def sweep_thresholds(
    problems: str,
    shard: str,
    judge_folder: Path | None,
    task: str,
    pair: Pair,
    rules: dict,
    window: int,
    max_new_tokens: int,
    batch: int,
    output: str,
) -> None:
    """Decode with the target alone and with each rule at each threshold."""
    table = schemas.read_table("problems", problems)
    rows = take_shard(schemas.records(table[table["split"] == "test"]), shard)
    judge, scoring = load_judge(judge_folder) if judge_folder else None, load_task(task)
    points = expand_thresholds(rules, judge, pair.vocabulary)
    loaded = {name: load_rule(name) for name in rules}
    runs = [(row, name, threshold) for row in rows for name, threshold in points]
    jobs = [Job(list(row["prompt_tokens"]), loaded.get(name), threshold) for row, name, threshold in runs]
    progress, results = Progress(len(jobs), "response"), [{}] * len(jobs)
    for number, decoded in Decoder(pair, judge, window, max_new_tokens, batch).decode(jobs):
        results[number] = sweep_row(*runs[number], window, decoded, pair.decode(decoded.tokens), scoring)
        progress.advance()
    schemas.write_table("sweep", results, output)


if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        params = snakemake.params
        sweep_thresholds(
            snakemake.input.problems,
            snakemake.wildcards.scatteritem,
            Path(snakemake.input.judge[0]).parent if snakemake.input.get("judge") else None,
            params.task,
            load_pair(params.pair),
            params.rules,
            params.window,
            params.max_new_tokens,
            params.batch,
            snakemake.output[0],
        )
