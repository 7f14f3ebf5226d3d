"""Rule load_labels: mined labels of others, from the Hub or a folder, in place of mining."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.publishing.hub import find_labels
from autojudge.publishing.layout import PROVENANCE
from autojudge.publishing.loading import check_problems, restore_labels
from autojudge.tasks import describe_task


def load_labels(
    source: Mapping[str, Any],
    pair: Mapping[str, Any],
    models: Mapping[str, Mapping[str, Any]],
    task: str,
    problems: str,
    tested: bool,
    outputs: Mapping[str, str],
) -> None:
    """Write the three tables of mining, and where they come from."""
    folder, origin = find_labels(source)
    provenance = restore_labels(folder, pair, models, describe_task(task), outputs)
    check_problems(outputs, problems, tested, folder / PROVENANCE)
    text = json.dumps(origin | {"provenance": provenance}, indent=2)
    Path(outputs["origin"]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        params, wildcards = snakemake.params, snakemake.wildcards
        load_labels(
            source=snakemake.config["datasets"][wildcards.dataset]["labels"][wildcards.pair],
            pair=snakemake.config["pairs"][wildcards.pair],
            models=params.models,
            task=params.task,
            problems=snakemake.input.problems,
            tested=params.tested,
            outputs=dict(snakemake.output.items()),
        )
