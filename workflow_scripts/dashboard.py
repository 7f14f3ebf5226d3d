"""Rule dashboard: a W&B workspace and report over all runs of the project."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.reporting.dashboard import make_dashboard


def dashboard(tracking: Mapping[str, Any], folder: Path) -> str:
    """Write the definitions, make them where the mode is online, and return what to tell."""
    receipt = make_dashboard(tracking, folder)
    made = [receipt[name] for name in ("workspace", "report") if receipt[name] and not receipt["fault"]]
    if receipt["mode"] == "online" and made:
        return "\n".join(made)
    return f"nothing was sent (mode {receipt['mode']}); what would be made is in {folder}"


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        print(dashboard(tracking=snakemake.params.tracking, folder=Path(snakemake.params.folder)))
