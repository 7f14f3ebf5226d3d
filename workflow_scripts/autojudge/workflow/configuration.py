"""Check the workflow's config before anything runs, and say what is wrong in words of the config."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from autojudge.decoding.truncation import PREFIX
from autojudge.engine.settings import check_model_folder, expand_path, own_models
from autojudge.errors import InputError, refuse_pointer
from autojudge.judging.classifiers import check_classifier
from autojudge.judging.needs import servable_sets
from autojudge.rules import RULES, modifiers_of, module_of, rule_needs
from autojudge.serving.measuring.methods import check_engine
from autojudge.tables.feature_names import BLOCKS, SCALARS
from autojudge.tables.pair_names import split_source
from autojudge.tasks import TASKS, check_task, runs_programs
from autojudge.workflow.fingerprints import PARTS
from autojudge.workflow.label_sources import check_label_sources, list_sources, mined_for, with_label_sources
from autojudge.workflow.schema import check_schema, remedy

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
    check_schema(config, schema)
    check_label_sources(config)
    config = with_label_sources(config)
    for i, run in enumerate(config["runs"]):
        _check_names([run["dataset"]], config["datasets"], f"runs[{i}].dataset", "datasets")
        _check_names(run["pairs"], config["pairs"], f"runs[{i}].pairs", "pairs")
        check_answers(config, run["dataset"])
        for pair in run["pairs"]:
            check_label_source(mined_for(config, pair), run["dataset"])
    _check_names(config.get("decoding", {}).get("rules", []), config["rules"], "decoding.rules", "rules")
    for name, settings in config["rules"].items():
        _check_rule(name, settings)
    for name in config["datasets"]:
        _check_dataset(config, name)
    _check_one_source(config.get("mining", {}), "mining")
    for name in list_sources(config):
        _check_one_source(config["label_sources"][name], f"label_sources.{name}")
    _check_judge(config["judge"])
    _check_sampling(config.get("decoding", {}))
    _check_start(config)
    check_engine(config.get("vllm", {}).get("engine", {}))
    _check_publish(config)
    for role, training in config.get("testbed", {}).get("models", {}).items():
        _check_training(training, f"testbed.models.{role}")


def left_in(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a mapping of the config that no null leaves out."""
    return {name: entry for name, entry in entries.items() if entry is not None}


def uses_labels(config: Mapping[str, Any]) -> bool:
    """Tell whether a swept rule reads mined labels, so that the problems of the sweep have to be mined too."""
    return any("labels" in rule_needs(name, config["rules"][name]) for name in config["decoding"]["rules"])


def uses_judge(config: Mapping[str, Any]) -> bool:
    """Tell whether a swept rule asks a judge or sweeps its thresholds."""
    swept = {name: config["rules"][name] for name in config["decoding"]["rules"]}
    return any("judge" in rule_needs(name, s) or s["thresholds"] == "judge" for name, s in swept.items())


def judge_rule(config: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return the rule that recommends a judge's threshold, if any: the first that asks it and is not modified."""
    rules = {name: config["rules"][name] for name in names}
    plain = (name for name, entry in rules.items() if module_of(name, entry) == "judge" and not modifiers_of(entry))
    return list(plain)[:1]


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


def labels_source(config: Mapping[str, Any], dataset: str, pair: str) -> Mapping[str, Any] | None:
    """Return where the labels of a dataset and pair are loaded from; None where they are mined."""
    source: Mapping[str, Any] | None = config["datasets"][dataset].get("labels", {}).get(pair)
    return source


def loaded_labels(config: Mapping[str, Any]) -> str:
    """Return a regular expression of the pairs in paths `results/{dataset}/{pair}/...` whose labels are loaded."""
    loaded = [(d, p) for d, entry in config["datasets"].items() for p in left_in(entry.get("labels", {}))]
    return "|".join(f"(?<=/{re.escape(dataset)}/){re.escape(pair)}" for dataset, pair in loaded) or "(?!)"


def check_publishable(config: Mapping[str, Any]) -> None:
    """Check that there is something to publish, and a repository for it.

    Raises
    ------
    InputError
        No repository is named, or no judge is there to publish.
    """
    if not config["publish"]["repo"]:
        raise InputError(
            "config key `publish.repo`: names no repository of the Hub; give OWNER/NAME (docs/publishing.md), as in "
            "`snakemake publish --config 'publish={repo: OWNER/NAME}'`"
        )
    if not uses_judge(config):
        raise InputError("config key `decoding.rules`: none asks a judge, so there is none to publish; add `judge`")


def published_runs(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return dataset and pair of all runs, which `snakemake publish` publishes. Raises like `check_publishable`."""
    check_publishable(config)
    return list(dict.fromkeys((run["dataset"], pair) for run in config["runs"] for pair in run["pairs"]))


def repositories_of(config: Mapping[str, Any], dataset: str, pair: str) -> dict[str, str]:
    """Return the names of the repositories of a dataset and pair, by kind: `model` and `dataset`, without a plus."""
    name = config["publish"]["repo"].replace("{dataset}", dataset).replace("{pair}", pair.replace("+", "-"))
    return {"model": name, "dataset": f"{name}-labels"}


def public_source(source: Any) -> Any:
    """Return a dataset's source as it may be published: names of the Hub, of files the last part of their paths."""
    if isinstance(source, Mapping):
        return {key: public_source(part) for key, part in source.items()}
    if isinstance(source, list):
        return [public_source(part) for part in source]
    is_file = isinstance(source, str) and Path(source).suffix in (".jsonl", ".parquet")
    return Path(source).name if is_file else source


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


def _check_rule(name: str, settings: Mapping[str, Any]) -> None:
    """Check an entry of `rules`: the rule that it names, and what modifies it."""
    rule = module_of(name, settings)
    _check_member(rule_needs, rule, f"rules.{name}.rule" if settings.get("rule") else f"rules.{name}")
    if rule != name and (name in RULES.names() or name == "target"):
        what = "the target alone" if name == "target" else f"the rule `{name}`"
        raise InputError(
            f"config key `rules.{name}.rule`: `{name}` is the name of {what} in tables and figures; give the variant "
            f"of `{rule}` another name"
        )
    if name.startswith(PREFIX):
        raise InputError(
            f"config key `rules.{name}`: names that begin with `{PREFIX}` are those of truncated targets in tables and "
            "figures; give the variant another name"
        )
    if "labels" in rule_needs(rule) and (modifiers := modifiers_of(settings)):
        raise InputError(
            f"config key `rules.{name}.{next(iter(modifiers))}`: the labels of `{rule}` belong to one response, which "
            "a refusal leaves; take the key out"
        )


def _check_dataset(config: Mapping[str, Any], name: str) -> None:
    """Check a dataset's task, and the files of it and of its pairs if it is run on any."""
    dataset = config["datasets"][name]
    _check_member(check_task, dataset["task"], f"datasets.{name}.task")
    _check_splits(dataset, f"datasets.{name}")
    default = dataset.get("default_pairs", [])
    _check_names(default, config["pairs"], f"datasets.{name}.default_pairs", "pairs")
    _check_names(dataset.get("labels", {}), config["pairs"], f"datasets.{name}.labels", "pairs")
    used = [pair for run in config["runs"] if run["dataset"] == name for pair in run["pairs"]] or default
    if used:
        _check_files(dataset, f"datasets.{name}.source")
    for pair in used:
        _check_pair(config, pair)


def agreement_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return when a config has alternatives stopped, with the seed of the audit; None: never."""
    if (agreement := config["mining"]["agreement"]) is None:
        return None
    fewer = min(agreement["same_numbers"], agreement["tokens"])
    return {**agreement, "same_numbers": fewer, "seed": config["seed"]}


def likelihood_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how a config has mismatches labelled by likelihood; None: by answers."""
    likelihood: dict[str, Any] | None = config["mining"]["likelihood"]
    return likelihood


def samples_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a config has sampled of each mismatch, with the seed; None: nothing."""
    if (samples := config["mining"]["samples"]) is None:
        return None
    return {"count": samples["count"], "temperature": float(samples["temperature"]), "seed": config["seed"]}


def has_answers(config: Mapping[str, Any], dataset: str) -> bool:
    """Tell whether a dataset has answers, and not questions alone. Raises InputError for a task that is not there."""
    task = config["datasets"][dataset]["task"]
    _check_member(check_task, task, f"datasets.{dataset}.task")
    return TASKS.expression(task, "ANSWERS") != "False"


def check_answers(config: Mapping[str, Any], dataset: str) -> None:
    """Raise InputError where a dataset is to be decoded that has no answers to measure accuracy by."""
    if not has_answers(config, dataset):
        raise InputError(
            f"dataset `{dataset}` has only questions, so no response is right or wrong and there is no accuracy: take "
            "it out of `runs`, and ask by name for what needs no answers, as "
            f"`results/{dataset}/PAIR/judges.md` or `results/{dataset}/PAIR/judge/judge.json`"
        )


def _check_one_source(mining: Mapping[str, Any], key: str) -> None:
    """Check that labels have one source."""
    given = [key for key in ("agreement", "likelihood", "samples") if mining.get(key) is not None]
    reasons = {
        ("agreement", "likelihood"): "labels by likelihood need no alternatives, so none can be stopped",
        ("agreement", "samples"): "samples are drawn of exactly mined problems",
        ("likelihood", "samples"): "labels by likelihood need no answers, and samples are labelled by theirs",
    }
    for (one, other), reason in reasons.items():
        if one in given and other in given:
            raise InputError(f"config keys `{key}.{one}` and `{key}.{other}`: {reason}; set one of them to null")


def check_label_source(config: Mapping[str, Any], name: str) -> None:
    """Raise InputError where a dataset's labels cannot be had so.

    It has no answers and its labels need some; or alternatives that are programs would be stopped, whose ends tell
    little of them.
    """
    task, mining = config["datasets"][name]["task"], config.get("mining", {})
    if not has_answers(config, name) and mining.get("likelihood") is None:
        raise InputError(
            f"config key `mining.likelihood`: dataset `{name}` has only questions (task `{task}`), and labels by "
            "answers need some; set the key to {}, or choose another task"
        )
    if mining.get("agreement") is not None and runs_programs(task):
        raise InputError(
            f"config key `mining.agreement`: the responses of dataset `{name}` are programs, and what they have in "
            "common tells little of what they do (docs/mining.md); set it to null, or run that dataset by itself"
        )


def _check_publish(config: Mapping[str, Any]) -> None:
    """Check that each run would have a repository of its own."""
    if not (name := config.get("publish", {}).get("repo")):
        return
    runs = published_runs(config) if "publish" in config and uses_judge(config) else []
    if len({repositories_of(config, *run)["model"] for run in runs}) < len(runs):
        raise InputError(
            f"config key `publish.repo`: {name} would be the repository of {len(runs)} judges; put {{dataset}} and "
            f"{{pair}} into the name, as in {name}-{{dataset}}-{{pair}}"
        )


def _check_splits(dataset: Mapping[str, Any], key: str) -> None:
    """Check that a dataset's problems are of training, validation and test, or of test alone and in folds."""
    train = [split for split in ("train", "validation") if dataset["problems"].get(split)]
    if dataset.get("folds") and train:
        raise InputError(
            f"config key `{key}.problems`: with `folds` every problem is tested, and trains the judges of the other "
            f"folds; leave out {' and '.join(f'`{split}`' for split in train)}, or the folds"
        )
    if not dataset.get("folds") and len(train) < 2:
        raise InputError(
            f"config key `{key}.problems`: a judge needs `train` and `validation` problems; give both numbers, or "
            f"if the dataset has only test problems, `folds: 5` in `{key}`"
        )


def _check_pair(config: Mapping[str, Any], name: str) -> None:
    pair = config["pairs"][name]
    for role, model in own_models(pair).items():
        check_model_folder(model["model"], f"pairs.{name}.{role}.model", model.get("gguf_file"))
    _check_template(pair["target"].get("chat_template"), f"pairs.{name}.target.chat_template")
    _check_draft(pair, name, config)


def _check_draft(pair: Mapping[str, Any], name: str, config: Mapping[str, Any]) -> None:
    if not pair["draft"].get("prompt_lookup"):
        return
    for rule in config.get("decoding", {}).get("rules", []):
        if needs := rule_needs(rule, config["rules"][rule]) & {"draft_logits", "judge", "labels"}:
            raise InputError(
                f"config key `decoding.rules`: `{rule}` needs a draft model ({', '.join(sorted(needs))}), and pair "
                f"`{name}` drafts by prompt lookup; leave the rule out, or give the pair a draft model"
            )


def _check_start(config: Mapping[str, Any]) -> None:
    decoding = config.get("decoding", {})
    for name in decoding.get("rules", []) if decoding.get("target_first") else []:
        if "labels" in rule_needs(name, config["rules"][name]):
            raise InputError(
                f"config key `decoding.target_first`: `{name}` reads mined labels, which hold for texts whose first "
                "token may be the draft's; leave the rule out of `decoding.rules`, or the key"
            )


def _check_sampling(decoding: Mapping[str, Any]) -> None:
    if decoding.get("temperature", 0) > 0:
        return
    repeats = decoding.get("repeats", 1)
    if repeats > 1:
        raise InputError(
            f"config key `decoding.repeats`: at temperature 0 all {repeats} repeats of a problem are the same; set "
            "`decoding.temperature` above 0, or leave the key out"
        )
    if decoding.get("truncated"):
        raise InputError(
            "config key `decoding.truncated`: at temperature 0 the target takes its most probable token, however it is "
            "truncated; set `decoding.temperature` above 0, or leave the key out"
        )


def _check_training(training: Mapping[str, Any], key: str) -> None:
    sizes, start = training["sizes"], training.get("start")
    divided = [("num_attention_heads", "sizes.num_key_value_heads", sizes["num_key_value_heads"])]
    if start is not None:
        divided.append(("num_hidden_layers", "start.layers", start["layers"]))
    for whole, name, part in divided:
        if sizes[whole] % part:
            raise InputError(
                f"config key `{key}.{name}`: {part} does not divide `sizes.{whole}`, {sizes[whole]}; write "
                "a number that does"
            )


def _check_judge(judge: Mapping[str, Any]) -> None:
    sets, classifiers = left_in(judge["feature_sets"]), left_in(judge["classifiers"])
    for name, blocks in sets.items():
        _check_blocks(name, blocks)
    for name, grid in classifiers.items():
        _check_classifier(name, grid)
    selected = {key: judge.get("select", {}).get(key, []) for key in ("feature_sets", "classifiers")}
    _check_names(selected["feature_sets"], sets, "judge.select.feature_sets", "judge.feature_sets")
    _check_names(selected["classifiers"], classifiers, "judge.select.classifiers", "judge.classifiers")
    for name in selected["feature_sets"]:
        if unknown := KNOWN_ONLY_TO_MINING.intersection(sets[name]):
            raise InputError(
                f"config key `judge.select.feature_sets`: `{name}` holds {', '.join(sorted(unknown))}, which a decoder "
                "does not have; choose sets of other blocks"
            )
    names = selected["feature_sets"]
    names = servable_sets(names, sets, judge.get("select", {}).get("serves", "any")) if names else []
    unmet = [check_classifier(c).missing(sets[s]) for s in names for c in selected["classifiers"]]
    if unmet and all(unmet):
        raise InputError(
            "config key `judge.select`: none of its classifiers can be trained on any of its feature sets; name a set "
            f"that ends with {', '.join(sorted(set().union(*unmet)))}, or a classifier that needs none"
        )


def _check_blocks(name: str, blocks: Iterable[str]) -> None:
    known = {*BLOCKS, *SCALARS, "scalars"}
    if unknown := [block for block in blocks if block not in known]:
        raise InputError(
            f"config key `judge.feature_sets.{name}`: no block {', '.join(f'`{block}`' for block in unknown)} of "
            f"features is known; known are {', '.join(sorted(known))}"
        )


def _check_classifier(name: str, grid: Mapping[str, Any]) -> None:
    _check_member(check_classifier, name, f"judge.classifiers.{name}")
    declared = check_classifier(name)
    hyperparameter = declared.hyperparameter
    if set(grid) != {hyperparameter}:
        given = ", ".join(f"`{key}`" for key in grid) or "none"
        raise InputError(
            f"config key `judge.classifiers.{name}`: its hyperparameter is `{hyperparameter}`, and the config gives "
            f"{given}; list values of `{hyperparameter}`, and of nothing else"
        )
    if declared.whole and (wrong := [value for value in grid[hyperparameter] if not isinstance(value, int)]):
        raise InputError(
            f"config key `judge.classifiers.{name}.{hyperparameter}`: {wrong[0]} is not a whole number"
            f"{remedy(wrong[0], {'integer'})}"
        )


def _check_template(template: str | None, key: str) -> None:
    if template and not expand_path(template).is_file():
        raise InputError(f"config key `{key}`: no such file {template}; name a Jinja file, or leave the key out")


def _check_files(dataset: Mapping[str, Any], key: str) -> None:
    source = dataset.get("source")
    if isinstance(source, str) and (expand_path(source).is_file() or Path(source).suffix in (".jsonl", ".parquet")):
        raise InputError(f"config key `{key}`: {source} is a file; give `source: {{train: FILE, test: FILE}}`")
    for origin, part in source.items() if isinstance(source, Mapping) else ():
        files = part if isinstance(part, list) else [part] if origin in PARTS else []
        for file in (file for file in files if isinstance(file, str)):
            if not expand_path(file).is_file():
                raise InputError(
                    f"config key `{key}.{origin}`: no such file {file} in {Path.cwd()}; put it there or name another"
                )
            refuse_pointer(expand_path(file))


def _check_member(check: Callable[[str], object], name: str, key: str) -> None:
    try:
        check(name)
    except InputError as fault:
        raise InputError(f"config key `{key}`: {fault}") from None


def _check_names(names: Iterable[str], defined: Mapping[str, Any], key: str, where: str) -> None:
    for name in names:
        if name not in defined:
            raise InputError(f"config key `{key}`: {_describe_unknown(name, defined, where)}")


def check_path(config: Mapping[str, Any], dataset: str, pair: str) -> None:
    """Raise InputError where a path `results/{dataset}/{pair}/...` names a dataset or a pair that is not there."""
    for name, where in ((dataset, "datasets"), (pair, "pairs")):
        if name not in config[where]:
            unknown = _describe_unknown(name, config[where], where)
            raise InputError(
                f"results/{dataset}/{pair}/: config key `{where}`: {unknown}; correct the path or add it there"
            )


def _describe_unknown(name: str, defined: Mapping[str, Any], where: str) -> str:
    known = _list_pairs(defined) if where == "pairs" else ", ".join(sorted(defined)) or "none"
    return f"`{name}` is not defined under `{where}`; defined are {known}"


def _list_pairs(pairs: Iterable[str]) -> str:
    """Return the pairs that a config itself has, and once what sources of labels add to each name."""
    parts = [split_source(pair) for pair in sorted(pairs)]
    own = [pair for pair, source in parts if source is None]
    sources = sorted({f"`+{source}`" for _, source in parts if source is not None})
    return (", ".join(own) or "none") + (f", each also with {', '.join(sources)}" if sources else "")
