"""Rule plot_pareto: a dataset's figure of accuracy against speed, for a page and for a column."""

from collections.abc import Mapping

from autojudge.reporting.pareto_figure import draw_column, draw_pareto
from autojudge.reporting.style import save_figure
from autojudge.tables.files import read_table
from autojudge.tables.reporting import CURVE, SUMMARY, WINDOWS


def plot_pareto(inputs: Mapping[str, str], dataset: str, outputs: Mapping[str, str]) -> None:
    """Draw the tables `curve`, `summary` and `windows`.

    Parameters
    ----------
    inputs : mapping of table to path
    outputs : mapping of str to path
        `pdf` and `png` of a page's width, `column` a PDF of a column's.
    """
    curve, summary, windows = (read_table(table, inputs[table.name]) for table in (CURVE, SUMMARY, WINDOWS))
    title = f"{dataset}: accuracy against speed"
    save_figure(draw_pareto(curve, summary, windows, title), outputs["pdf"], outputs["png"])
    save_figure(draw_column(curve, summary, title), outputs["column"])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        plot_pareto(
            inputs=dict(snakemake.input.items()),
            dataset=snakemake.wildcards.dataset,
            outputs=dict(snakemake.output.items()),
        )
