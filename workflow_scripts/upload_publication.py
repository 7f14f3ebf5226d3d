"""Rule upload_publication: both staged folders to the Hub, and a receipt of where they are."""

import json
from collections.abc import Mapping
from pathlib import Path

from autojudge.publishing.hub import KINDS, upload
from autojudge.tables.files import write_aside


def upload_publication(folders: Mapping[str, Path], repos: Mapping[str, str], private: bool, receipt: str) -> None:
    """Upload each folder to its repository, the data set first, which the model's card links to."""
    made = {}
    for kind in reversed(KINDS):
        made[kind] = upload(folders[kind], repos[kind], kind, private, "Published by the AutoJudge workflow")
        print(f"published: {made[kind]['url']}")
    with write_aside(Path(receipt)) as partial:
        partial.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        upload_publication(
            folders={kind: Path(snakemake.input[kind]) for kind in KINDS},
            repos=snakemake.params.repos,
            private=snakemake.config["publish"]["private"],
            receipt=snakemake.output[0],
        )
