"""Rule write_summary: a dataset's tables `summary` and `windows` as tables to print, in Markdown and LaTeX."""

from collections.abc import Mapping
from pathlib import Path

from autojudge.reporting.summary import format_latex, format_markdown
from autojudge.tables.files import read_table
from autojudge.tables.reporting import PARETO, SUMMARY, WINDOWS
from autojudge.tasks import describe_task


def write_summary(
    inputs: Mapping[str, str], dataset: str, task: str, tolerance: float, markdown: str, latex: str
) -> None:
    """Write tables `summary` and `windows` for readers, and of `pareto` what compares with truncated targets.

    Parameters
    ----------
    inputs : mapping of table to path
    task : str
        The dataset's task, which the title names with its scoring version.
    tolerance : float
        Percentage points that a recommended point may lose on validation.
    """
    tables = [read_table(table, inputs[table.name]) for table in (SUMMARY, WINDOWS, PARETO)]
    title = f"{dataset} ({describe_task(task)})"
    Path(markdown).write_text(format_markdown(*tables, title, tolerance), encoding="utf-8")
    Path(latex).write_text(format_latex(*tables, title, tolerance), encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        write_summary(
            inputs=dict(snakemake.input.items()),
            dataset=snakemake.wildcards.dataset,
            task=snakemake.params.task,
            tolerance=snakemake.params.tolerance,
            markdown=snakemake.output.markdown,
            latex=snakemake.output.latex,
        )
