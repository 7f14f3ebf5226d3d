"""Rule measure_transfer: each dataset's judge on each dataset's mismatches, for one pair."""

from collections.abc import Mapping
from pathlib import Path

from autojudge.judging import transfer
from autojudge.judging.artifact import Judge, load_judge
from autojudge.judging.mismatches import Mismatches
from autojudge.tables.files import write_table
from autojudge.tables.reporting import TRANSFER


def measure_transfer(judges: Mapping[str, Judge], data: Mapping[str, Mismatches], seed: int, output: str) -> None:
    """Write the table; `judges` and `data` by dataset."""
    write_table(TRANSFER, transfer.measure_transfer(judges, data, seed), output)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        tables = zip(params.datasets, inputs.labels, inputs.features, strict=True)
        measure_transfer(
            judges={name: load_judge(Path(p).parent) for name, p in zip(params.datasets, inputs.judges, strict=True)},
            data={name: Mismatches(labels, features, **params.mismatches) for name, labels, features in tables},
            seed=params.seed,
            output=snakemake.output[0],
        )
