"""Rule show_tokens: a page of mined responses with their mismatches."""

from pathlib import Path

import torch

from autojudge.engine.models import load_tokenizer
from autojudge.judging.artifact import load_judge
from autojudge.judging.mismatches import load_features
from autojudge.reporting import tokens_page
from autojudge.tables import schemas

SHOWN = 10  # problems on the page


def show_tokens(tables: dict[str, str], judge_folder: Path, pair: dict, title: str, output: str) -> None:
    """Write the page of the first validation problems, then training ones."""
    frames = {name: schemas.read_table(name, tables[name]) for name in ("problems", "labels", "responses")}
    judge = load_judge(judge_folder)
    features = torch.from_numpy(load_features(tables["features"], judge.columns))
    labels = frames["labels"].assign(probability=judge.predict(features).numpy())
    responses = frames["responses"].sort_values("split", ascending=False, kind="stable").head(SHOWN)
    problems = tokens_page.collect_problems(frames["problems"], labels, responses, load_tokenizer(pair).decode)
    note = f"{len(responses)} of {len(frames['responses'])} mined problems, validation problems first."
    Path(output).write_text(tokens_page.build_page(title, problems, note), encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        tables = {name: snakemake.input[name] for name in ("problems", "labels", "features", "responses")}
        show_tokens(
            tables,
            Path(snakemake.input.judge[0]).parent,
            snakemake.params.pair,
            snakemake.params.title,
            snakemake.output[0],
        )
