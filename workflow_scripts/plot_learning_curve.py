"""Rule plot_learning_curve: how good the judge is with fewer mined problems."""

from collections.abc import Mapping

import pandas as pd

from autojudge.reporting import learning_curve_figure


def plot_learning_curve(table: str, title: str, outputs: Mapping[str, str]) -> None:
    """Draw the figure of a table `learning_curve`."""
    learning_curve_figure.plot_learning_curve(pd.read_csv(table), title, outputs)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        plot_learning_curve(
            table=snakemake.input.csv, title=snakemake.params.title, outputs=dict(snakemake.output.items())
        )
