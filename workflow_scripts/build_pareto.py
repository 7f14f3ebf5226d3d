"""Summarise every pair's sweep of a dataset and draw accuracy against accepted tokens per cycle."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from autojudge import plotting, statistics
from autojudge.progress import job_log
from autojudge.schemas import arrow_schema, read_table, write_table

COLUMNS = [name for name in arrow_schema("sweep").names if name not in ("answer", "response")]


def build_pareto(
    sweeps: Mapping[str, str],
    judges: Mapping[str, str],
    dataset: str,
    seed: int,
    out_csv: str,
    out_pdf: str,
    out_png: str,
) -> None:
    """Write a dataset's table `pareto` and its figure.

    Parameters
    ----------
    sweeps : mapping of str to path
        Pair to its sweep.parquet.
    judges : mapping of str to path
        Pair to its judge.json, whose `threshold` is the recommended one; without an entry nothing is recommended.
    dataset : str
    seed : int
        Of the bootstrap.
    out_csv, out_pdf, out_png : path
    """
    summaries = []
    for pair, path in sweeps.items():
        recommended = json.loads(Path(judges[pair]).read_text())["threshold"] if pair in judges else float("nan")
        summaries.append(statistics.summarise_sweep(read_table("sweep", path, COLUMNS), pair, recommended, seed))
    table = pd.concat(summaries, ignore_index=True)
    write_table("pareto", pa.Table.from_pandas(table, arrow_schema("pareto"), preserve_index=False), out_csv)
    plotting.plot_pareto(table, f"{dataset}: accuracy against accepted tokens per cycle", out_pdf, out_png)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        pairs, judges = snakemake.params.pairs, snakemake.input.get("judges", [])
        build_pareto(
            sweeps=dict(zip(pairs, snakemake.input.sweeps, strict=True)),
            judges=dict(zip(pairs, judges, strict=True)) if judges else {},
            dataset=snakemake.params.dataset,
            seed=snakemake.params.seed,
            out_csv=snakemake.output.csv,
            out_pdf=snakemake.output.pdf,
            out_png=snakemake.output.png,
        )
