"""Rule preflight: check what could end a long run, and tell what will run."""

import sys
from pathlib import Path

import torch

from autojudge import preflight


def main(config: dict, results: Path, benchmarks: Path, local: bool) -> int:
    """Print the findings and the plan; return the number of faults."""
    found = list(preflight.check_all(config, results, torch.cuda.device_count() if local else None))
    print(preflight.describe(found))
    print()
    print(preflight.plan(config, benchmarks))
    faults = sum(finding.state == preflight.FAULT for finding in found)
    print(f"\n{faults} faults; mend them before a run." if faults else "\nNo fault found.")
    return faults


if __name__ == "__main__":
    from autojudge.progress import job_log

    with job_log(snakemake.log[0]):
        params = snakemake.params
        if main(params.config, Path("results"), Path("benchmarks"), params.local):
            sys.exit(1)
