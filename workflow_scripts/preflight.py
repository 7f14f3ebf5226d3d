"""Rule preflight: check what could end a long run, and tell what will run."""

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def hub_answers() -> bool:
    """Tell whether the hub answers within seconds, be it with an error."""
    try:
        urllib.request.urlopen(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def stay_offline_without_hub() -> None:
    """Ask the hub once, before the imports that read HF_HUB_OFFLINE: else every model waits for retries of its own."""
    if "HF_HUB_OFFLINE" not in os.environ and not hub_answers():
        os.environ["HF_HUB_OFFLINE"] = "1"


def preflight(config: dict, results: Path, benchmarks: Path, local: bool) -> tuple[str, int]:
    """Return the findings and the plan as text, and the number of faults."""
    stay_offline_without_hub()

    import torch
    from transformers.utils.logging import disable_progress_bar

    from autojudge.workflow.preflight import FAULT, check_all, describe, plan

    disable_progress_bar()  # of weights, of which only the names are read here
    found = list(check_all(config, results, torch.cuda.device_count() if local else None))
    faults = sum(finding.state == FAULT for finding in found)
    told = f"{faults} fault{'s' * (faults > 1)}; fix {'them' if faults > 1 else 'it'} before a run."
    verdict = told if faults else "No fault found."
    return "\n\n".join([describe(found), plan(config, results, benchmarks), verdict]), faults


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    log = Path(snakemake.log[0])
    with job_log(log):
        text, faults = preflight(
            config=snakemake.params.config,
            results=Path("results"),
            benchmarks=Path("benchmarks"),
            local=snakemake.params.local,
        )
    log.write_text(f"{text}\n", encoding="utf-8")
    if faults:
        sys.exit(1)  # snakemake shows the log
    print(text)
