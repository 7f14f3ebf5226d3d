"""Rule gather_sweep: one table of all shards of the sweep."""

from autojudge.tables import schemas

if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        schemas.concatenate_tables("sweep", list(snakemake.input.shards), snakemake.output[0])
