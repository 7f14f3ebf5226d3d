"""Rule publish_preview: what `snakemake publish` would upload, listed, with the cards."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from autojudge.jobs.store import describe_bytes
from autojudge.publishing.hub import KINDS, list_files


def publish_preview(folders: Mapping[str, Sequence[Path]], repos: Sequence[Mapping[str, str]]) -> str:
    """Return the files and the card of each repository as text."""
    parts = []
    for number, names in enumerate(repos):
        for kind in KINDS:
            folder = folders[kind][number]
            rows = [[name, describe_bytes(size)] for name, size in list_files(folder)]
            card = (folder / "README.md").read_text(encoding="utf-8")
            listed = tabulate(rows, ["file", "size"], "github")
            parts.append(f"# {kind} {names[kind]}, from {folder}\n\n{listed}\n\n{card}")
    return "\n\n".join([*parts, "Nothing was uploaded; `snakemake publish` does that."])


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    log = Path(snakemake.log[0])
    with job_log(log):
        text = publish_preview(
            folders={kind: [Path(folder) for folder in snakemake.input[kind]] for kind in KINDS},
            repos=snakemake.params.repos,
        )
    log.write_text(f"{text}\n", encoding="utf-8")
    print(text)
