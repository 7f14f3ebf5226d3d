"""Rule gather_labels: one table of all shards, for labels, features and responses."""

from autojudge import schemas


def gather_labels(shards: dict[str, list[str]], outputs: dict[str, str]) -> None:
    """Gather the shards of each table."""
    for table, path in outputs.items():
        schemas.concatenate_tables(table, shards[table], path)


if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]):
        outputs = dict(snakemake.output.items())
        gather_labels({table: list(snakemake.input[table]) for table in outputs}, outputs)
