"""Check the workflow's config before anything runs, and say what is wrong in words of the config."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from autojudge.errors import InputError

KNOWN_ONLY_TO_MINING = {"draft_at_target", "target_at_target"}  # a decoder has not placed the target's token


def check_config(config: Mapping[str, Any], schema: str | Path) -> None:
    """Check types, names and selections of a config.

    Parameters
    ----------
    config : mapping
        The merged config.
    schema : str or Path
        The JSON schema, as YAML.

    Raises
    ------
    InputError
        Names the key and the remedy.
    """
    validator = jsonschema.Draft202012Validator(yaml.safe_load(Path(schema).read_text()))
    fault = jsonschema.exceptions.best_match(validator.iter_errors(config))
    if fault is not None:
        raise InputError(f"config key `{_key(fault.absolute_path)}`: {_explain(fault)}")
    for i, run in enumerate(config["runs"]):
        _check_names([run["dataset"]], config["datasets"], f"runs[{i}].dataset", "datasets")
        _check_names(run["pairs"], config["pairs"], f"runs[{i}].pairs", "pairs")
    for name, dataset in config["datasets"].items():
        _check_names(dataset.get("default_pairs", []), config["pairs"], f"datasets.{name}.default_pairs", "pairs")
    _check_names(config.get("decoding", {}).get("rules", []), config["rules"], "decoding.rules", "rules")
    _check_judge(config["judge"])


def pairs_of(config: Mapping[str, Any], dataset: str) -> list[str]:
    """Return the pairs of a dataset's figure: those of its runs, else its default ones.

    Raises
    ------
    InputError
        There are none.
    """
    pairs = [pair for run in config["runs"] if run["dataset"] == dataset for pair in run["pairs"]]
    pairs = list(dict.fromkeys(pairs)) or config["datasets"][dataset]["default_pairs"]
    if not pairs:
        raise InputError(
            f"dataset `{dataset}` has no pair: name some in `runs` or in `datasets.{dataset}.default_pairs`"
        )
    return pairs


def _check_judge(judge: Mapping[str, Any]) -> None:
    select = judge.get("select", {})
    _check_names(
        select.get("feature_sets", []), judge["feature_sets"], "judge.select.feature_sets", "judge.feature_sets"
    )
    _check_names(select.get("classifiers", []), judge["classifiers"], "judge.select.classifiers", "judge.classifiers")
    for name in select.get("feature_sets", []):
        if unknown := KNOWN_ONLY_TO_MINING.intersection(judge["feature_sets"][name]):
            raise InputError(
                f"config key `judge.select.feature_sets`: `{name}` holds {', '.join(sorted(unknown))}, which a decoder "
                "does not know; choose sets of other blocks"
            )


def _check_names(names: Iterable[str], defined: Mapping[str, Any], key: str, where: str) -> None:
    for name in names:
        if name not in defined:
            known = ", ".join(sorted(defined)) or "none"
            raise InputError(f"config key `{key}`: `{name}` is not defined under `{where}`; defined are {known}")


def _key(path: Iterable[str | int]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).lstrip(".") or "(top level)"


def _explain(fault: jsonschema.ValidationError) -> str:
    if fault.validator == "additionalProperties" and isinstance(fault.instance, dict):
        known = fault.schema.get("properties", {})
        unknown = sorted(set(fault.instance) - set(known))
        return f"unknown key {', '.join(f'`{u}`' for u in unknown)}; known are {', '.join(sorted(known))}"
    return f"{fault.message}; config/config.schema.yaml describes it"
