"""Sources of labels: each gives every pair a further one, `PAIR+NAME`, of the same models, mined in another way."""

from collections.abc import Mapping
from typing import Any

from autojudge.errors import InputError
from autojudge.tables.pair_names import join_source, split_source

OF_JOBS = ("shards", "batch", "memory_mb")  # keys of `mining` that tell how jobs run, not what labels are
BESIDE = ("samples",)  # that add something to mined labels, which stay what they are
EXACT = "exact"  # what the comparison calls the pair's own labels


def with_label_sources(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config whose `pairs` have a further entry for each pair and source."""
    pairs, sources = config["pairs"], list_sources(config)
    further = {join_source(pair, name): entry for pair, entry in pairs.items() for name in sources}
    return {**config, "pairs": {**pairs, **further}}


def list_sources(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the sources of a config that no null leaves out."""
    return [name for name, settings in config.get("label_sources", {}).items() if settings is not None]


def describe_sources(config: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    """Return what the config says of each source's labels; of exact ones, which come first, None."""
    settings = {name: config["label_sources"][name] for name in list_sources(config)}
    told = {
        name: {key: value for key, value in entry.items() if key not in OF_JOBS and value is not None}
        for name, entry in settings.items()
    }
    return {EXACT: None, **told}


def mined_for(config: Mapping[str, Any], pair: str) -> dict[str, Any]:
    """Return a config whose `mining` is that of a pair: its source's, run by the jobs that `mining` has."""
    source = split_source(pair)[1]
    if source is None:
        return dict(config)
    of_jobs = {key: value for key, value in config.get("mining", {}).items() if key in OF_JOBS}
    return {**config, "mining": {**config["label_sources"][source], **of_jobs}}


def mines_the_same(config: Mapping[str, Any], pair: str) -> bool:
    """Tell whether a pair's labels come from a source by which the pair itself, under its own name, is mined too."""
    alike = [
        {key: value for key, value in mining.items() if key not in BESIDE and value is not None}
        for mining in (config["mining"], mined_for(config, pair)["mining"])
    ]
    return split_source(pair)[1] is not None and alike[0] == alike[1]


def check_label_sources(config: Mapping[str, Any]) -> None:
    """Check what the schema does not of the sources of a config: their names, and that they say only what labels are.

    Raises
    ------
    InputError
        Names the key and the remedy.
    """
    for name in list_sources(config):
        if name == EXACT:
            raise InputError(
                f"config key `label_sources.{name}`: is what tables call the labels that sources are compared with; "
                "give the source another name"
            )
        for key in config["label_sources"][name]:
            if key in OF_JOBS:
                raise InputError(
                    f"config key `label_sources.{name}.{key}`: says how jobs run, which is the same for all sources; "
                    f"write it as `mining.{key}`"
                )


def check_sampled(config: Mapping[str, Any], dataset: str, pair: str) -> None:
    """Raise InputError where nothing is sampled of a pair's mismatches; it names each way to have samples."""
    if mined_for(config, pair)["mining"].get("samples") is not None:
        return
    own, source = split_source(pair)
    sampled = [name for name in list_sources(config) if config["label_sources"][name].get("samples") is not None]
    paths = [f"`results/{dataset}/{join_source(own, name)}/label_stability.pdf`" for name in sampled]
    key = f"label_sources.{source}" if source else "mining"
    other = f"ask for {' or '.join(paths)}" if paths else "name a source with `samples: {}` under `label_sources`"
    raise InputError(
        f"config key `{key}.samples`: is null, so nothing is sampled to show; set it to {{}} (with `agreement` and "
        f"`likelihood` null), or {other}"
    )


def check_exact(config: Mapping[str, Any]) -> None:
    """Raise InputError where the labels that `mining` gives are not the exact ones that sources are compared with."""
    mining = config["mining"]
    if inexact := [key for key, value in mining.items() if key not in OF_JOBS and value is not None]:
        raise InputError(
            f"config key `mining.{inexact[0]}`: sources of labels are compared with exact ones, which the pair itself "
            "must have; set the key to null, and give what it says to a source of its own (`label_sources`)"
        )
