"""Rule train_testbed: train the embedded pair from nothing."""

from collections.abc import Mapping
from typing import Any

import torch

from autojudge.testbed.training import build_tokenizer, train_from_nothing


def train_testbed(models: Mapping[str, Mapping[str, Any]], threads: int, folders: Mapping[str, str]) -> None:
    """Train each model by its settings and save it with the tokenizer as a `from_pretrained` folder."""
    torch.set_num_threads(threads)
    tokenizer = build_tokenizer()
    for name, settings in models.items():
        model = train_from_nothing(tokenizer, **settings)
        model.save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        train_testbed(models=snakemake.params.models, threads=snakemake.threads, folders=dict(snakemake.output.items()))
