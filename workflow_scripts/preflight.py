"""Rule preflight: check what could end a long run, and tell what will run."""

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co")


def hub_answers() -> bool:
    """Tell whether the hub answers within seconds, be it with an error."""
    try:
        urllib.request.urlopen(HUB, timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


if "HF_HUB_OFFLINE" not in os.environ and not hub_answers():
    os.environ["HF_HUB_OFFLINE"] = "1"  # before it is read: else every model waits for retries of its own

import torch  # noqa: E402

from autojudge.workflow import preflight  # noqa: E402


def main(config: dict, results: Path, benchmarks: Path, local: bool) -> tuple[str, int]:
    """Return the findings and the plan as text, and the number of faults."""
    found = list(preflight.check_all(config, results, torch.cuda.device_count() if local else None))
    faults = sum(finding.state == preflight.FAULT for finding in found)
    verdict = f"{faults} faults; mend them before a run." if faults else "No fault found."
    return "\n\n".join([preflight.describe(found), preflight.plan(config, benchmarks), verdict]), faults


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    log = Path(snakemake.log[0])
    with job_log(log):
        params = snakemake.params
        text, faults = main(params.config, Path("results"), Path("benchmarks"), params.local)
    log.write_text(f"{text}\n")
    if faults:
        sys.exit(1)  # snakemake shows the log
    print(text)
