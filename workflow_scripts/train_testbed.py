"""Rule train_testbed: train the embedded pair from nothing."""

import torch

from autojudge.testbed.training import build_model, build_tokenizer, train_model


def train_testbed(models: dict, threads: int, folders: dict[str, str]) -> None:
    """Train each model and save it with the tokenizer as a `from_pretrained` folder."""
    torch.set_num_threads(threads)
    tokenizer = build_tokenizer()
    for name, settings in models.items():
        training = dict(settings)
        model = build_model(tokenizer, training.pop("sizes"), training["seed"])
        train_model(model, tokenizer, **training)
        model.save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        train_testbed(snakemake.params.models, snakemake.threads, dict(snakemake.output.items()))
