"""Rule write_summary: a dataset's summary as a table to print, in Markdown and LaTeX."""

from pathlib import Path

from autojudge.reporting.summary import format_latex, format_markdown
from autojudge.tables.files import read_table
from autojudge.tables.reporting import SUMMARY
from autojudge.tasks import describe_task


def write_summary(summary: str, dataset: str, task: str, tolerance: float, markdown: str, latex: str) -> None:
    """Write table `summary` for readers.

    Parameters
    ----------
    task : str
        The dataset's task, which the note names with its scoring version.
    tolerance : float
        Percentage points that a recommended threshold may lose on validation.
    """
    table, title = read_table(SUMMARY, summary), f"{dataset} ({describe_task(task)})"
    Path(markdown).write_text(format_markdown(table, title, tolerance), encoding="utf-8")
    Path(latex).write_text(format_latex(table, title, tolerance), encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        write_summary(
            summary=snakemake.input.summary,
            dataset=snakemake.wildcards.dataset,
            task=snakemake.params.task,
            tolerance=snakemake.params.tolerance,
            markdown=snakemake.output.markdown,
            latex=snakemake.output.latex,
        )
