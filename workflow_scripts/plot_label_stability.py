"""Rule plot_label_stability: whether sampled continuations agree on a mismatch, by the target's margin there."""

from collections.abc import Mapping

from autojudge.reporting.stability_figure import measure_stability, plot_stability
from autojudge.tables.files import read_table
from autojudge.tables.label_sources import SOURCED_LABELS

COLUMNS = ["problem_id", "important", "margin", "kept_share"]


def plot_label_stability(labels: str, count: int, seed: int, title: str, outputs: Mapping[str, str]) -> None:
    """Draw the figure of labels with so many samples of each mismatch."""
    plot_stability(measure_stability(read_table(SOURCED_LABELS, labels, COLUMNS), seed), count, title, outputs)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        plot_label_stability(
            labels=snakemake.input.labels,
            count=snakemake.params.samples,
            seed=snakemake.params.seed,
            title=snakemake.params.title,
            outputs=dict(snakemake.output.items()),
        )
