"""Rule gather_labels: one table of all shards, for labels, features and responses."""

import shutil

from autojudge import schemas

if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]):
        outputs = dict(snakemake.output.items())
        schemas.gather_tables({table: list(snakemake.input[table]) for table in outputs}, outputs)
        shutil.rmtree(snakemake.params.journals, ignore_errors=True)
