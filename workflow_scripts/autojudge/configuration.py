"""Check the workflow's config before anything runs, and say what is wrong in words of the config."""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from autojudge.errors import InputError

REFERENCES = {"target", "lossless", "always"}
LIBRARY = Path(__file__).parent
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
        fault = _closest(fault)
        raise InputError(f"config key `{_key(fault.absolute_path)}`: {_explain(fault)}")
    for i, run in enumerate(config["runs"]):
        _check_names([run["dataset"]], config["datasets"], f"runs[{i}].dataset", "datasets")
        _check_names(run["pairs"], config["pairs"], f"runs[{i}].pairs", "pairs")
    for name, dataset in config["datasets"].items():
        _check_module(dataset["task"], "tasks", f"datasets.{name}.task")
        default = dataset.get("default_pairs", [])
        _check_names(default, config["pairs"], f"datasets.{name}.default_pairs", "pairs")
        used = [pair for run in config["runs"] if run["dataset"] == name for pair in run["pairs"]] or default
        if used:
            _check_files(dataset, f"datasets.{name}.source")
        for pair in used:
            for role, model in own_models(config["pairs"][pair]).items():
                check_model_folder(model["model"], f"pairs.{pair}.{role}.model", model.get("gguf_file"))
            _check_template(config["pairs"][pair]["target"].get("chat_template"), f"pairs.{pair}.target.chat_template")
            _check_draft(config["pairs"][pair], pair, config)
    _check_names(config.get("decoding", {}).get("rules", []), config["rules"], "decoding.rules", "rules")
    for name in config["rules"]:
        _check_module(name, "rules", f"rules.{name}")
    _check_judge(config["judge"])


def left_in(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a mapping of the config that no null leaves out."""
    return {name: entry for name, entry in entries.items() if entry is not None}


def own_models(pair: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the settings of a pair's models by role; a draft that is part of the target, or none, has no entry."""
    return {role: pair[role] for role in ("draft", "target") if pair[role].get("model")}


def check_model_folder(model: str, key: str, gguf_file: str | None = None) -> None:
    """Check that a local model folder holds what `from_pretrained` needs; names of the hub pass.

    Raises
    ------
    InputError
        The folder is missing, or lacks config, weights or a tokenizer, or the GGUF file that holds all three.
    """
    folder = Path(model).expanduser()
    if not folder.exists():
        local = (".", "~", "/", "models/")  # the folder that docs and presets use
        of_hub = model.count("/") == 1 and not model.startswith(local) and not folder.parent.is_dir()
        if of_hub:
            return
        raise InputError(f"config key `{key}`: no folder {model}; give a local model folder or a hub name (owner/name)")
    if gguf_file:
        if not (folder / gguf_file).is_file():
            raise InputError(f"config key `{key}`: folder {model} has no {gguf_file}; check `gguf_file`")
        return
    wanted = {"config.json": "config", "*.safetensors*": "weights (.safetensors)", "tokenizer*": "tokenizer"}
    for pattern, what in wanted.items():
        if not any(folder.glob(pattern)):
            raise InputError(f"config key `{key}`: folder {model} has no {what}; save the model with save_pretrained")


def rule_needs(rule: str) -> set[str]:
    """Return NEEDS of a rule's module, read without importing it."""
    for node in ast.parse((LIBRARY / "rules" / f"{rule}.py").read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if value is not None and any(isinstance(t, ast.Name) and t.id == "NEEDS" for t in targets):
            return set(ast.literal_eval(value))
    raise InputError(f"rule `{rule}`: its module has no NEEDS; see workflow_scripts/autojudge/rules/__init__.py")


def rule_kind(rule: str) -> str:
    """Return "reference" for the target, lossless decoding and the draft alone, else what a rule's scores come from."""
    if rule in REFERENCES:
        return "reference"
    needs = rule_needs(rule)
    return "oracle" if "labels" in needs else "judge" if "judge" in needs else "training-free"


def uses_labels(config: Mapping[str, Any]) -> bool:
    """Tell whether a swept rule reads mined labels, so that the problems of the sweep have to be mined too."""
    return any("labels" in rule_needs(rule) for rule in config["decoding"]["rules"])


def uses_judge(config: Mapping[str, Any]) -> bool:
    """Tell whether a swept rule asks a judge or sweeps its thresholds."""
    swept = config["decoding"]["rules"]
    return any("judge" in rule_needs(rule) or config["rules"][rule]["thresholds"] == "judge" for rule in swept)


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


def datasets_of(config: Mapping[str, Any], pair: str) -> list[str]:
    """Return the datasets that a pair is run on, or whose default pair it is.

    Raises
    ------
    InputError
        There are none.
    """
    run_on = {run["dataset"] for run in config["runs"] if pair in run["pairs"]}
    datasets = [name for name, d in config["datasets"].items() if name in run_on or pair in d["default_pairs"]]
    if not datasets:
        raise InputError(f"pair `{pair}` is run on no dataset: name it in `runs` or in a dataset's `default_pairs`")
    return datasets


def _check_draft(pair: Mapping[str, Any], name: str, config: Mapping[str, Any]) -> None:
    if not pair["draft"].get("prompt_lookup"):
        return
    for rule in config.get("decoding", {}).get("rules", []):
        if needs := rule_needs(rule) & {"draft_logits", "judge", "labels"}:
            raise InputError(
                f"config key `decoding.rules`: `{rule}` needs a draft model ({', '.join(sorted(needs))}), and pair "
                f"`{name}` drafts by prompt lookup; leave the rule out, or give the pair a draft model"
            )


def _check_judge(judge: Mapping[str, Any]) -> None:
    select = judge.get("select", {})
    sets, classifiers = left_in(judge["feature_sets"]), left_in(judge["classifiers"])
    _check_names(select.get("feature_sets", []), sets, "judge.select.feature_sets", "judge.feature_sets")
    _check_names(select.get("classifiers", []), classifiers, "judge.select.classifiers", "judge.classifiers")
    for name in select.get("feature_sets", []):
        if unknown := KNOWN_ONLY_TO_MINING.intersection(sets[name]):
            raise InputError(
                f"config key `judge.select.feature_sets`: `{name}` holds {', '.join(sorted(unknown))}, which a decoder "
                "does not know; choose sets of other blocks"
            )


def _check_template(template: str | None, key: str) -> None:
    if template and not Path(template).expanduser().is_file():
        raise InputError(f"config key `{key}`: no such file {template}; name a Jinja file, or leave the key out")


def _check_files(dataset: Mapping[str, Any], key: str) -> None:
    source = dataset.get("source")
    if isinstance(source, str) and (Path(source).is_file() or Path(source).suffix in (".jsonl", ".parquet")):
        raise InputError(f"config key `{key}`: {source} is a file; give `source: {{train: FILE, test: FILE}}`")
    for origin, part in source.items() if isinstance(source, Mapping) else ():
        if isinstance(part, str) and not Path(part).is_file():
            raise InputError(f"config key `{key}.{origin}`: no such file {part}; put it there or name another")


def _check_module(name: str, registry: str, key: str) -> None:
    known = sorted(path.stem for path in (LIBRARY / registry).glob("*.py") if path.stem != "__init__")
    if name not in known:
        raise InputError(
            f"config key `{key}`: no module `{name}` in workflow_scripts/autojudge/{registry}; known are "
            f"{', '.join(known)}"
        )


def _check_names(names: Iterable[str], defined: Mapping[str, Any], key: str, where: str) -> None:
    for name in names:
        if name not in defined:
            known = ", ".join(sorted(defined)) or "none"
            raise InputError(f"config key `{key}`: `{name}` is not defined under `{where}`; defined are {known}")


def _key(path: Iterable[str | int]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).lstrip(".") or "(top level)"


def _closest(fault: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Return what is wrong with the only alternative of the value's type, for a fault that tells of all."""
    inner = [f for f in fault.context or () if f.validator != "type"]
    if len({f.schema_path[0] for f in inner}) != 1:
        return fault
    return _closest(next((f for f in inner if f.validator == "additionalProperties"), inner[0]))


def _explain(fault: jsonschema.ValidationError) -> str:
    if fault.validator == "oneOf" and not fault.context:
        keys = [key for choice in fault.validator_value for key in choice.get("required", [])]
        given = [key for key in keys if fault.instance.get(key) is not None]
        return f"{' and '.join(f'`{key}`' for key in given)} exclude one another; set all but one to null"
    if fault.validator == "additionalProperties" and isinstance(fault.instance, dict):
        known = fault.schema.get("properties", {})
        unknown = sorted(set(fault.instance) - set(known))
        return f"unknown key {', '.join(f'`{u}`' for u in unknown)}; known are {', '.join(sorted(known))}"
    if fault.validator == "contains":
        return f"`{fault.validator_value['const']}` must be among {fault.instance}; config/config.schema.yaml says why"
    return f"{fault.message}; config/config.schema.yaml describes it"
