"""Rule plot_transfer: each dataset's judge on each dataset's mismatches, for one pair."""

from collections.abc import Mapping

import pandas as pd

from autojudge.reporting.style import save_figure
from autojudge.reporting.transfer_figure import draw_transfer


def plot_transfer(table: str, pair: str, outputs: Mapping[str, str]) -> None:
    """Draw the figure of a table `transfer`."""
    rows = pd.read_csv(table)
    title = f"{pair}: transfer of judges, {rows['split'].iloc[0]} split"
    save_figure(draw_transfer(rows, title), outputs["pdf"], outputs["png"])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        plot_transfer(table=snakemake.input.csv, pair=snakemake.wildcards.pair, outputs=dict(snakemake.output.items()))
