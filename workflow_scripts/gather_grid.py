"""Rule gather_grid: one table of all feature sets and folds, for the grid and its scores."""

from autojudge.tables.files import gather_shards
from autojudge.tables.judging import GRID, SCORES

if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        for table in (GRID, SCORES):
            gather_shards(table, snakemake.input[table.name], snakemake.output[table.name])
