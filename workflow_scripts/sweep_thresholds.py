"""Rule sweep_thresholds: decode one shard of the problems with every rule at every threshold."""

from pathlib import Path

import torch

from autojudge.decoding.decoder import Decoder
from autojudge.decoding.sweep import read_labels, sweep
from autojudge.decoding.thresholds import expand_thresholds
from autojudge.engine.models import load_pair
from autojudge.engine.sampling import Sampling
from autojudge.engine.settings import describe_models
from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.journal import Journal, describe_work
from autojudge.jobs.progress import Progress
from autojudge.jobs.shards import take_shard
from autojudge.judging.artifact import load_judge
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.mining import PROBLEMS
from autojudge.tasks import load_task, prompt_of


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
    batch: int,
    code: list[str],
    journal: str,
    output: str,
) -> None:
    """Decode validation and test problems, but for those in the journal, alone and with each rule at each threshold."""
    table = read_table(PROBLEMS, problems)
    rows = take_shard(records(table[table["split"] != "train"]), shard)
    judge, scoring = load_judge(judge_folder) if judge_folder else None, load_task(task)
    given, known = expand_thresholds(rules, judge.info["thresholds"] if judge else None), {}
    if labels:
        known = {name: mined for name, mined in read_labels(labels).items() if name in {r["problem_id"] for r in rows}}
    settings = {"decoding": decoding, "rules": given, "judge": judge.digest() if judge else None, "labels": known}
    log = Journal(journal, describe_work(task, max_new_tokens, pair, rows, code) | settings)
    found = {entry["job"]: entry["rows"] for entry in log.finished}
    progress = Progress(2 * len(rows), "response tree", resumed=len(found))
    if len(found) < 2 * len(rows):
        sampling = Sampling(decoding["temperature"], decoding["top_p"]) if decoding["temperature"] else None
        sizes = (decoding["window"], max_new_tokens, batch)
        stop = prompt_of(scoring).stop
        models = load_pair(pair)
        if judge:
            judge.check_pair(describe_models(pair), models.hidden_sizes)
        decoder = Decoder(models, judge, *sizes, stop, sampling, decoding["branches"])
        for job, responses in sweep(decoder, rows, given, known, scoring, found):
            log.append({"job": job, "rows": responses})
            found[job] = responses
            progress.advance()
    write_table(SWEEP, [row for job in sorted(found) for row in found[job]], output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        given, params = snakemake.input, snakemake.params
        judge = Path(given.judge[0]).parent if given.get("judge") else None
        labels = given.labels[0] if given.get("labels") else None
        shard = (given.problems, snakemake.wildcards.scatteritem)
        batch = snakemake.config["decoding"]["batch"]
        settings = (params.pair, params.task, params.max_new_tokens, params.rules, params.decoding, batch)
        sweep_thresholds(*shard, judge, labels, *settings, list(given.code), params.journal, snakemake.output[0])
