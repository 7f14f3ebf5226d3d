"""Rule render_summary: a dataset's summary as HTML."""

from pathlib import Path

from autojudge.reporting.html_page import render_markdown


def render_summary(markdown: str, title: str, output: str) -> None:
    """Write a Markdown page as HTML."""
    Path(output).write_text(render_markdown(Path(markdown).read_text(encoding="utf-8"), title), encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        render_summary(
            markdown=snakemake.input[0], title=f"{snakemake.wildcards.dataset}: summary", output=snakemake.output[0]
        )
