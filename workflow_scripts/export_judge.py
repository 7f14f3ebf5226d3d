"""Rule export_judge: a judge with its recommended operating point, its card and what serves it, in one folder."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.jobs.provenance import describe_run
from autojudge.judging.artifact import Judge, load_judge
from autojudge.judging.label_sources import answer_sources
from autojudge.judging.mismatches import Mismatches, Sources
from autojudge.reporting.label_kinds import LabelKinds, count_kinds
from autojudge.reporting.model_card import build_card
from autojudge.reporting.operating_point import with_operating_point
from autojudge.serving.export import custom_generate_files
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table

COLUMNS = [name for name in SWEEP.columns if name not in ("answer", "response")]


def export_judge(
    judge: Judge,
    sweep: str | None,
    cost: str | None,
    settings: Mapping[str, Any],
    kinds: LabelKinds,
    sources: Sources | None,
    folds: int | None,
    folder: Path,
) -> None:
    """Write the folder: judge, card, and the files that serve the judge in transformers.

    Parameters
    ----------
    sweep, cost : str or None
        The pair's sweep.parquet and call_cost.json; None where the sweep asks no judge that is not modified, and so
        recommends no threshold.
    settings : mapping
        `pair` and `rule`, the names of the pair and of the rule that asks the judge, `tolerance` and `seed`.
    folds : int or None
        Number of the dataset's folds.
    """
    if sweep and cost:
        ratio = json.loads(Path(cost).read_text(encoding="utf-8"))["ratio"]
        provenance = describe_run(settings["seed"], settings)
        table = read_table(SWEEP, sweep, COLUMNS)
        judge = with_operating_point(judge, table, **settings, cost_ratio=ratio, provenance=provenance)
    judge.save(folder)
    (folder / "README.md").write_text(build_card(judge.record, kinds, sources, folds, None), encoding="utf-8")
    code = folder / "custom_generate"
    shutil.rmtree(code, ignore_errors=True)
    code.mkdir()
    for name, text in custom_generate_files().items():
        (code / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        export_judge(
            judge=load_judge(Path(inputs.judge[0]).parent),
            sweep=inputs.sweep[0] if inputs.get("sweep") else None,
            cost=inputs.sweep[1] if inputs.get("sweep") else None,
            settings=params.settings,
            kinds=count_kinds(inputs.labels),
            sources=answer_sources(Mismatches(inputs.labels, inputs.features, **params.mismatches)),
            folds=params.folds,
            folder=Path(snakemake.output.record).parent,
        )
