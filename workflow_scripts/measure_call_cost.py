"""Rule measure_call_cost: the time of a draft call over that of a target call, by which rules' windows are chosen."""

import json
from pathlib import Path
from typing import Any

import torch

from autojudge.decoding.call_cost import measure_calls
from autojudge.engine.numerics import open_pair
from autojudge.jobs.gpus import claim_gpus

CALLS = 50


def measure_call_cost(pair: dict[str, Any], output: str) -> None:
    """Write what calls of a pair's models cost (`measure_calls`), of how many `calls` and with how many `threads`."""
    cost = measure_calls(open_pair(pair), CALLS) | {"calls": CALLS, "threads": torch.get_num_threads()}
    Path(output).write_text(json.dumps(cost, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]), claim_gpus(snakemake.resources.get("gpu", 0)):
        torch.set_num_threads(snakemake.threads)
        measure_call_cost(snakemake.config["pairs"][snakemake.wildcards.pair], snakemake.output[0])
