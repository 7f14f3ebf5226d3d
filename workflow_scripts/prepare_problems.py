"""Rule prepare_problems: problems of a dataset with prompts for a pair."""

import logging

from autojudge.engine.models import context_length, load_tokenizer
from autojudge.engine.settings import own_models
from autojudge.mining import problems
from autojudge.tables.files import write_table
from autojudge.tables.mining import PROBLEMS
from autojudge.tasks import load_task

logger = logging.getLogger("autojudge")


def prepare_problems(dataset: dict, pair: dict, seed: int, output: str) -> None:
    """Check the pair's tokenizers, draw the problems, and write them."""
    rows = problems.prepare_problems(
        task=load_task(dataset["task"]),
        dataset=dataset,
        tokenizer=load_tokenizer(pair),
        context=min(context_length(model) for model in own_models(pair).values()),
        seed=seed,
        template_arguments=pair["target"].get("chat_template_kwargs"),
    )
    write_table(PROBLEMS, rows, output)
    logger.info("%d problems, prompts of up to %d tokens", len(rows), max(len(r["prompt_tokens"]) for r in rows))


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        config, wildcards = snakemake.config, snakemake.wildcards
        prepare_problems(
            dataset=config["datasets"][wildcards.dataset],
            pair=config["pairs"][wildcards.pair],
            seed=snakemake.params.seed,
            output=snakemake.output[0],
        )
