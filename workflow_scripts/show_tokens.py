"""Rule show_tokens: a page of mined responses with their mismatches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from autojudge.engine.models import load_tokenizer
from autojudge.errors import InputError
from autojudge.judging.artifact import load_judge
from autojudge.judging.mismatches import load_features
from autojudge.publishing.layout import WITHHELD_TOKEN
from autojudge.reporting import tokens_page
from autojudge.tables.files import read_table
from autojudge.tables.mining import LABELS, PROBLEMS, RESPONSES

SHOWN = 2000  # mismatches on the page, of whole problems


def show_tokens(inputs: Mapping[str, str], judge_folder: Path, pair: dict[str, Any], title: str, output: str) -> None:
    """Write the page of validation problems, then training ones, from the four tables of mining."""
    problems, labels, mined = (read_table(table, inputs[table.name]) for table in (PROBLEMS, LABELS, RESPONSES))
    if (labels["draft_token"] == WITHHELD_TOKEN).any():
        raise InputError(
            f"{inputs['labels']}: published without texts, so there are no tokens to show; mine the labels"
        )
    judge = load_judge(judge_folder)
    features = torch.from_numpy(load_features(inputs["features"], judge.columns))
    labels = labels.assign(probability=judge.predict(features).numpy())
    shown = tokens_page.choose_responses(mined, labels, SHOWN)
    page = tokens_page.build_page(
        title=title,
        problems=tokens_page.collect_problems(problems, labels, shown, load_tokenizer(pair).decode),
        note=f"{len(shown)} of {len(mined)} mined problems, validation problems first.",
        threshold=judge.record.recall_threshold,
    )
    Path(output).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        show_tokens(
            inputs={name: snakemake.input[name] for name in ("problems", "labels", "features", "responses")},
            judge_folder=Path(snakemake.input.judge[0]).parent,
            pair=snakemake.config["pairs"][snakemake.wildcards.pair],
            title=snakemake.params.title,
            output=snakemake.output[0],
        )
