"""Rule gather_labels: one table of all shards, for labels, features and responses."""

from collections.abc import Mapping, Sequence

from autojudge.tables.files import gather_shards
from autojudge.tables.label_sources import SOURCED_LABELS
from autojudge.tables.mining import FEATURES, RESPONSES


def gather_labels(shards: Mapping[str, Sequence[str]], outputs: Mapping[str, str]) -> None:
    """Write the three tables of mining, each from its shards."""
    for table in (SOURCED_LABELS, FEATURES, RESPONSES):
        gather_shards(table, shards[table.name], outputs[table.name])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        outputs = dict(snakemake.output.items())
        gather_labels(shards={name: list(snakemake.input[name]) for name in outputs}, outputs=outputs)
