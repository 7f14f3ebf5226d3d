"""Rule write_index: a pair's pages as HTML, and one page that links all of its results."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.jobs.provenance import describe_run
from autojudge.reporting import index_page, provenance_page
from autojudge.reporting.html_page import render_markdown
from autojudge.tables.files import read_table
from autojudge.tables.reporting import SUMMARY


def write_index(
    summary: str,
    judge: str | None,
    pages: Mapping[str, str],
    dataset: str,
    pair: str,
    settings: Mapping[str, Any],
    outputs: Mapping[str, str],
) -> None:
    """Write pages and index.

    Parameters
    ----------
    summary : path
        The dataset's table `summary`.
    judge : path or None
        The record of the pair's judge, if there is one.
    pages : mapping of str to path
        Each page in Markdown, by name.
    dataset, pair : str
        Keys of the config.
    settings : mapping
        What the results depend on.
    outputs : mapping of str to path
        For each page, and for `provenance` and `index`, an HTML file.
    """
    title = f"{dataset}, {pair}"
    chosen = json.loads(Path(judge).read_text(encoding="utf-8"))["provenance"] if judge else None
    texts = {name: Path(path).read_text(encoding="utf-8") for name, path in pages.items()}
    texts["provenance"] = provenance_page.build_page(title, describe_run(settings["seed"], settings), chosen, settings)
    for name, text in texts.items():
        Path(outputs[name]).write_text(render_markdown(text, f"{title}: {name.replace('_', ' ')}"), encoding="utf-8")
    index = Path(outputs["index"])
    page = index_page.build_page(index.parents[2], dataset, pair, read_table(SUMMARY, summary))
    index.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        write_index(
            summary=snakemake.input.summary,
            judge=next(iter(snakemake.input.judge), None),
            pages=dict(zip(snakemake.params.pages, snakemake.input.pages, strict=True)),
            dataset=snakemake.wildcards.dataset,
            pair=snakemake.wildcards.pair,
            settings=snakemake.params.settings,
            outputs=dict(snakemake.output.items()),
        )
