"""Rule plot_label_sources: what labels of each source cost, against what a judge of them is worth."""

from collections.abc import Mapping

from autojudge.reporting.label_sources_figure import draw_label_sources
from autojudge.reporting.style import save_figure
from autojudge.tables.files import read_table
from autojudge.tables.source_comparison import LABEL_SOURCES


def plot_label_sources(table: str, title: str, outputs: Mapping[str, str]) -> None:
    """Draw the figure of a table `label_sources`."""
    save_figure(draw_label_sources(read_table(LABEL_SOURCES, table), title), outputs["pdf"], outputs["png"])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        plot_label_sources(
            table=snakemake.input.csv, title=snakemake.params.title, outputs=dict(snakemake.output.items())
        )
