"""Rule prepare_problems: problems of a dataset with prompts for a pair."""

import logging

from transformers import AutoConfig

from autojudge import problems, schemas
from autojudge.models import load_tokenizer
from autojudge.tasks import load_task

logger = logging.getLogger("autojudge")


def prepare_problems(dataset: dict, pair: dict, seed: int, output: str) -> None:
    """Check the pair's tokenizers, draw the problems, and write them."""
    tokenizer = load_tokenizer(pair)
    context = min(context_length(pair[role]) for role in ("draft", "target"))
    rows = problems.prepare_problems(load_task(dataset["task"]), dataset, tokenizer, context, seed)
    schemas.write_table("problems", rows, output)
    logger.info("%d problems, prompts of up to %d tokens", len(rows), max(len(r["prompt_tokens"]) for r in rows))


def context_length(model: dict) -> int:
    """Return the longest text that a model takes, in tokens."""
    config = AutoConfig.from_pretrained(
        model["model"], revision=model["revision"] or "main", trust_remote_code=model["trust_remote_code"]
    )
    return config.get_text_config().max_position_embeddings


if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]):
        prepare_problems(snakemake.params.dataset, snakemake.params.pair, snakemake.params.seed, snakemake.output[0])
