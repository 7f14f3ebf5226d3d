"""Rule prepare_problems: problems of a dataset with prompts for a pair."""

import logging

from autojudge.engine.models import check_tokens, check_vocabulary, context_length, embedding_rows, load_tokenizer
from autojudge.engine.settings import own_models
from autojudge.engine.weights import check_weights
from autojudge.mining import problems
from autojudge.tables.files import write_table
from autojudge.tables.mining import PROBLEMS
from autojudge.tasks import load_task

logger = logging.getLogger("autojudge")


def prepare_problems(dataset: dict, pair: dict, seed: int, output: str) -> None:
    """Check what can be checked of the pair before it is loaded, draw the problems, and write them."""
    for model in own_models(pair).values():
        check_weights(model)
    tokenizer, embedded = load_tokenizer(pair), embedding_rows(pair)
    check_vocabulary(tokenizer, embedded)
    rows = problems.prepare_problems(
        task=load_task(dataset["task"]),
        dataset=dataset,
        tokenizer=tokenizer,
        context=min(context_length(model) for model in own_models(pair).values()),
        seed=seed,
        template_arguments=pair["target"].get("chat_template_kwargs"),
    )
    check_tokens((token for row in rows for token in row["prompt_tokens"]), tokenizer, embedded)
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
