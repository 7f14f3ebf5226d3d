"""Rule write_model_card: what a judge is, what it was chosen by, how to use it."""

from pathlib import Path

from autojudge.judging.artifact import Judge, load_judge
from autojudge.judging.label_sources import answer_sources
from autojudge.judging.mismatches import Mismatches, Sources
from autojudge.reporting.label_kinds import LabelKinds, count_kinds
from autojudge.reporting.model_card import build_card


def write_model_card(
    judge: Judge, kinds: LabelKinds, sources: Sources | None, folds: int | None, held_out: str | None, output: str
) -> None:
    """Write the model card of a judge; `folds` is how many its dataset has, `held_out` which one it is the judge of."""
    Path(output).write_text(build_card(judge.record, kinds, sources, folds, held_out), encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        write_model_card(
            judge=load_judge(Path(inputs.judge[0]).parent),
            kinds=count_kinds(inputs.labels),
            sources=answer_sources(Mismatches(inputs.labels, inputs.features, **params.mismatches)),
            folds=params.folds,
            held_out=params.mismatches.get("held_out"),
            output=snakemake.output[0],
        )
