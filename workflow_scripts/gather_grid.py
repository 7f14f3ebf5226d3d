"""Rule gather_grid: one table of all feature sets and folds, for the grid and its scores."""

from collections.abc import Mapping

from autojudge.tables import schemas


def gather_grid(parts: Mapping[str, list[str]], outputs: Mapping[str, str]) -> None:
    """Write the tables `grid` and `scores`, each of its parts."""
    schemas.gather_tables(parts, outputs)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        outputs = dict(snakemake.output.items())
        gather_grid(parts={table: list(snakemake.input[table]) for table in outputs}, outputs=outputs)
