"""Rule sweep_thresholds: decode one shard of the problems with every rule at every threshold."""

from pathlib import Path

import torch

from autojudge import schemas
from autojudge.decoding import Decoder
from autojudge.gpus import claim_gpus
from autojudge.judge import load_judge
from autojudge.models import load_pair
from autojudge.progress import Progress
from autojudge.sampling import Sampling
from autojudge.shards import take_shard
from autojudge.sweep import read_labels, sweep
from autojudge.tasks import load_task, prompt_of
from autojudge.thresholds import expand_thresholds


def sweep_thresholds(
    problems: str,
    shard: str,
    judge_folder: Path | None,
    labels: str | None,
    pair: dict,
    task: str,
    max_new_tokens: int,
    rules: dict,
    decoding: dict,
    output: str,
) -> None:
    """Decode validation and test problems with the target alone and with each rule at each threshold."""
    table = schemas.read_table("problems", problems)
    rows = take_shard(schemas.records(table[table["split"] != "train"]), shard)
    judge, scoring, models = load_judge(judge_folder) if judge_folder else None, load_task(task), load_pair(pair)
    decoder = Decoder(
        models,
        judge,
        decoding["window"],
        max_new_tokens,
        decoding["batch"],
        prompt_of(scoring).stop,
        Sampling(decoding["temperature"], decoding["top_p"]) if decoding["temperature"] else None,
        decoding["branches"],
    )
    given = expand_thresholds(rules, judge.info["thresholds"] if judge else None)
    progress, found = Progress(2 * len(rows), "decoding"), []
    for responses in sweep(decoder, rows, given, read_labels(labels) if labels else {}, scoring):
        found += responses
        progress.advance()
    schemas.write_table("sweep", found, output)


if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        given, params = snakemake.input, snakemake.params
        judge = Path(given.judge[0]).parent if given.get("judge") else None
        labels = given.labels[0] if given.get("labels") else None
        shard = (given.problems, snakemake.wildcards.scatteritem)
        settings = (params.pair, params.task, params.max_new_tokens, params.rules, params.decoding)
        sweep_thresholds(*shard, judge, labels, *settings, snakemake.output[0])
