"""A page of what results depend on: code, versions, models and settings."""

from collections.abc import Mapping
from typing import Any

import yaml
from tabulate import tabulate

KINDS = {"commit": "commit", "python": "Python", "seed": "seed", "config": "digest of the settings"}


def build_page(
    title: str, written: Mapping[str, Any], chosen: Mapping[str, Any] | None, settings: Mapping[str, Any]
) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    title : str
        Dataset and pair.
    written, chosen : mapping, or None
        `commit`, `python`, `packages`, `seed` and `config`, a digest, of the run that writes the page, and of the one
        that chose the judge, if there is one.
    settings : mapping
        What the results depend on: a part of the config, with digests for models and files.
    """
    runs = {"this page": written} | ({"the judge": chosen} if chosen else {})
    rows = [[kind, *(_write(run.get(key)) for run in runs.values())] for key, kind in KINDS.items()]
    packages = sorted({name for run in runs.values() for name in run.get("packages", {})})
    rows += [[name, *(_write(run.get("packages", {}).get(name)) for run in runs.values())] for name in packages]
    table = tabulate(rows, ["", *runs], "github", disable_numparse=True)
    text = yaml.safe_dump(_as_plain(settings), sort_keys=False, allow_unicode=True, width=100)
    return (
        f"# {title}: where it comes from\n\n{table}\n\n"
        "What was finished earlier, under the same settings and code of the same meaning, may be from another "
        "commit.\n\n## What the results depend on\n\n"
        "The settings of the config, and a digest of the contents of each model and file.\n\n"
        f"```yaml\n{text}```\n"
    )


def _write(value: Any) -> str:
    return "not known" if value is None else str(value)


def _as_plain(value: Any) -> Any:
    """Return settings as plain mappings, lists and values, which YAML can write."""
    if isinstance(value, Mapping):
        return {str(key): _as_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_as_plain(inner) for inner in value]
    return value
