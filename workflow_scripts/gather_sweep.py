"""Rule gather_sweep: one table of all shards of the sweep."""

import shutil

from autojudge import schemas

if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]):
        schemas.concatenate_tables("sweep", list(snakemake.input.shards), snakemake.output[0])
        shutil.rmtree(snakemake.params.journals, ignore_errors=True)
