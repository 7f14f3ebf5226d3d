"""Rule gather_sweep: one table of all shards of the sweep."""

from collections.abc import Sequence

from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import gather_shards


def gather_sweep(shards: Sequence[str], output: str) -> None:
    """Write the sweep from its shards."""
    gather_shards(SWEEP, shards, output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        gather_sweep(shards=list(snakemake.input.shards), output=snakemake.output[0])
