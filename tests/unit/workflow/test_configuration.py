"""A wrong config ends with one message that names the key and the remedy."""

import copy
import datetime
import re

import pytest
import yaml
from snakemake.utils import validate

from autojudge.errors import InputError
from autojudge.workflow.configuration import (
    check_config,
    check_label_source,
    labels_source,
    loaded_labels,
    pairs_of,
    published_runs,
    repositories_of,
    uses_judge,
    uses_labels,
)
from conftest import ROOT

SCHEMA = ROOT / "config/config.schema.yaml"


def changed(config, key, value):
    config = copy.deepcopy(config)
    *parents, last = key.split(".")
    inner = config
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return config


def test_the_default_config_is_right(config):
    check_config(config, SCHEMA)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("mnining", {}, r"\(top level\)`: unknown key `mnining`; known are .*mining"),
        ("pairs.testbed.drft", {}, r"`pairs.testbed`: unknown key `drft`; known are .*draft"),
        ("mining.shards", "two", r"`mining.shards`: 'two' is not of type 'integer'"),
        ("mining.batch", 0, r"`mining.batch`: 0 is less than the minimum"),
        ("mining.agreement", {"token": 8}, r"`mining.agreement`: unknown key `token`; known are audit, same_num"),
        ("mining.agreement", {"audit": 2}, r"`mining.agreement.audit`: 2 is greater than the maximum of 1"),
        (
            "runs",
            [{"dataset": "arith", "pairs": ["nobody"]}],
            r"`runs\[0\].pairs`: `nobody` is not defined under `pairs`",
        ),
        ("runs", [{"dataset": "nothing", "pairs": ["testbed"]}], r"`runs\[0\].dataset`: `nothing` is not defined"),
        ("runs", [], r"`runs`: .*should be non-empty"),
        ("datasets.arith.labels", {"nobody": {"hub": "a/b"}}, r"`datasets.arith.labels`: `nobody` is not defined"),
        ("datasets.arith.labels", {"testbed": {"hb": "a/b"}}, r"`datasets.arith.labels.testbed`: unknown key `hb`"),
        ("publish", {"repo": "a/b c"}, r"`publish.repo`: 'a/b c' is not of the form OWNER/NAME or NAME"),
        ("publish", {"repo": "a/b/c"}, r"`publish.repo`: 'a/b/c' is not of the form OWNER/NAME or NAME"),
        ("publish", {"token": "a"}, r"`publish`: unknown key `token`; known are licence, private, repo, texts"),
        ("decoding.rules", ["judge"], r"`decoding.rules`: `lossless` must be among \['judge'\]"),
        (
            "datasets.arith.task",
            "nope",
            r"`datasets.arith.task`: task `nope` is unknown.*; known are arith, ",
        ),
        (
            "rules.magic",
            {"thresholds": [1]},
            r"`rules.magic`: acceptance rule `magic` is unknown.*; known are always, .*, typical",
        ),
        (
            "rules.mine",
            {"thresholds": [1], "rule": "magic"},
            r"`rules.mine.rule`: acceptance rule `magic` is unknown.*; known are always, .*, typical",
        ),
        (
            "rules.lossless",
            {"thresholds": [1], "rule": "top_k"},
            r"`rules.lossless.rule`: `lossless` is the name of the rule `lossless` .*; give the variant of `top_k` a",
        ),
        (
            "rules.target",
            {"thresholds": [1], "rule": "fly"},
            r"`rules.target.rule`: .* the target alone .*another name",
        ),
        ("rules.judge.confident", 90, r"`rules.judge.confident`: 90 is greater than the maximum of 1"),
        ("rules.judge.confident", "90%", r"`rules.judge.confident`: '90%' is not of type 'number'"),
        ("rules.judge.strict_first", 0, r"`rules.judge.strict_first`: 0 is less than the minimum of 1"),
        ("rules.judge.strict_first", 2.0, r"`rules.judge.strict_first`: 2.0 is not of type 'integer'.*write 2"),
        (
            "rules.judge.confidant",
            0.9,
            r"`rules.judge`: unknown key `confidant`; known are confident, rule, st",
        ),
        ("rules.oracle.strict_first", 8, r"`rules.oracle.strict_first`: the labels of `oracle` .*; take the key out"),
        (
            "rules.mined",
            {"thresholds": [1], "rule": "oracle", "confident": 0.9},
            r"`rules.mined.confident`: the labels of `oracle` belong to one response.*take the key out",
        ),
        ("rules.top_k.thresholds", [2, float("nan")], r"`rules.top_k.thresholds\[1\]`: nan is not a finite number"),
        ("judge.select.thresholds", 2, r"`judge.select.thresholds`: 2 is less than the minimum of 3"),
        ("pairs.testbed.draft.model", "./none", r"`pairs.testbed.draft.model`: no folder ./none"),
        (
            "datasets.arith.source",
            {"train": "a", "test": "b"},
            r"`datasets.arith.source.train`: no such file a",
        ),
        ("datasets.gsm8k.source", {"train": "a", "test": "b"}, r"`datasets.gsm8k.source.train`: no such file a"),
        ("datasets.gsm8k.source", "rows.jsonl", r"`datasets.gsm8k.source`: rows.jsonl is a file; give `source: {train"),
        (
            "datasets.arith.source",
            {"train": "a", "tset": "b"},
            r"`datasets.arith.source`: unknown key `tset`; known are from, plus, release, test, train, until",
        ),
        ("datasets.arith.source", {"test": ["a", {"hub": 3}]}, r"`datasets.arith.source.test\[1\].hub`: 3 is not"),
        ("datasets.arith.source", {"test": []}, r"`datasets.arith.source.test`: \[\] "),
        ("datasets.arith.source", {"test": ["a.jsonl", "b"]}, r"`datasets.arith.source.test`: no such file a.jsonl"),
        ("datasets.arith.source", {"test": {"hub": "a/b"}, "plus": "c"}, r"`datasets.arith.source.plus`: no such file"),
        ("datasets.arith.source", {"test": {"hub": "a/b"}, "plus": 3}, r"`datasets.arith.source.plus`: 3 is not"),
        (
            "datasets.arith.source",
            {"test": {"hub": "a/b"}, "release": "v5"},
            r"`datasets.arith.source.release`: 'v5' is",
        ),
        (
            "datasets.arith.source",
            {"test": {"hub": "a/b"}, "from": datetime.date(2024, 8, 1)},
            r"`datasets.arith.source.from`: .*YAML reads it as a date: put it in quotes",
        ),
        ("datasets.arith.source", {"train": {"hub": 3}, "test": "b"}, r"`datasets.arith.source.train.hub`: 3 is not"),
        (
            "pairs.testbed.draft.first_layers",
            2,
            r"`pairs.testbed.draft`: `model` and `first_layers` exclude one another",
        ),
        ("decoding.rules", ["lossless", "magic"], r"`decoding.rules`: `magic` is not defined under `rules`"),
        ("decoding.repeats", 2, r"`decoding.repeats`: at temperature 0 all 2 repeats of a problem are the same; set"),
        ("decoding.repeats", 0, r"`decoding.repeats`: 0 is less than the minimum"),
        ("decoding", {"repeats": 4, "temperature": 0.0}, r"`decoding.repeats`: at temperature 0 all 4 repeats"),
        ("decoding.truncated", True, r"`decoding.truncated`: at temperature 0 the target takes its most probable"),
        ("vllm", {"engine": {"dtype": "half"}}, r"`vllm.engine.dtype`: the pair's entry in `pairs` gives it; take the"),
        ("judge.select.serves", "vllm", r"`judge.select.serves`: 'vllm' is not one of"),
        (
            "judge.select",
            {"feature_sets": ["scalars"], "classifiers": ["mlp"], "serves": "target"},
            r"`judge.select.feature_sets`: an engine that has only target_logits and target_states .*none of these",
        ),
        ("judge.feature_sets.mixed", ["target_entropy", "kl"], r"no block `kl` of features is known"),
        ("decoding.target_first", True, r"`decoding.target_first`: `oracle` reads mined labels, .*leave the rule out"),
        ("decoding.truncated", "top_k", r"`decoding.truncated`: 'top_k' is not of type 'boolean'"),
        (
            "rules.target_top_k",
            {"thresholds": [1], "rule": "top_k"},
            r"`rules.target_top_k`: names that begin with `target_` are those of truncated targets",
        ),
        ("judge.select.feature_sets", ["all_tokens"], r"`all_tokens` holds draft_at_target, target_at_target"),
        ("judge.select.classifiers", ["svm"], r"`svm` is not defined under `judge.classifiers`"),
        (
            "judge.classifiers.ridge",
            {"alpha": [1]},
            r"`judge.classifiers.ridge`: classifier `ridge` is unknown.*; known are boosting, ",
        ),
        (
            "judge.classifiers.mlp",
            {"units": [64]},
            r"`judge.classifiers.mlp`: its hyperparameter is `hidden_units`, and the config gives `units`; list values",
        ),
        ("judge.classifiers.mlp", {}, r"its hyperparameter is `hidden_units`, and the config gives none"),
        (
            "judge.classifiers.mlp",
            {"hidden_units": [0]},
            r"`judge.classifiers.mlp.hidden_units\[0\]`: 0 is less than or",
        ),
        (
            "judge.classifiers.mlp",
            {"hidden_units": [64, 0.5]},
            r"`judge.classifiers.mlp.hidden_units`: 0.5 is not a whole number",
        ),
        ("judge.classifiers.mlp", {"hidden_units": 64}, r"`judge.classifiers.mlp.hidden_units`: 64 is not of type"),
        (
            "judge.select",
            {"feature_sets": ["target_at_draft"], "classifiers": ["boosting"]},
            r"`judge.select`: none of its classifiers can be trained .* ends with scalars",
        ),
        ("datasets.arith.problems", {"train": 1, "validation": 1}, r"`datasets.arith.problems`: 'test' is a required"),
        (
            "judge.feature_sets.mine",
            ["draft_at_drft"],
            r"`judge.feature_sets.mine`: no block `draft_at_drft` of features is known; known are draft_at_draft, ",
        ),
    ],
)
def test_a_wrong_key_is_named(config, key, value, message):
    with pytest.raises(InputError, match=message):
        check_config(changed(config, key, value), SCHEMA)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("start", {"layers": 3, "steps": 2}, "target.start.layers`: 3 does not divide `sizes.num_hidden_layers`, 16"),
        ("start", {"layers": 20, "steps": 2}, "target.start.layers`: 20 does not divide"),
        ("sizes.num_key_value_heads", 4, "target.sizes.num_key_value_heads`: 4 does not divide .*heads`, 2; write"),
        ("sizes.head_dim", 63, "target.sizes.head_dim`"),
        ("sizes.num_hidden_layers", 0, "target.sizes.num_hidden_layers`"),
        ("sizes.nope", 10, "nope"),
    ],
)
def test_sizes_that_no_model_has_are_refused_before_training(config, key, value, message):
    with pytest.raises(InputError, match=message):
        check_config(changed(config, f"testbed.models.target.{key}", value), SCHEMA)


def test_a_figure_has_the_pairs_of_its_runs_or_the_datasets_own(config):
    assert pairs_of(config, "arith") == ["testbed"]
    assert pairs_of(config, "gsm8k") == ["qwen2.5_0.5b_7b"]
    with pytest.raises(InputError, match="dataset `gsm8k` has no pair"):
        pairs_of(changed(config, "datasets.gsm8k.default_pairs", []), "gsm8k")


@pytest.mark.parametrize(
    "entry", [{"rule": "judge"}, {"rule": "judge", "strict_first": 8}, {"rule": "oracle", "confident": None}]
)
def test_a_variant_of_another_name_is_right(config, entry):
    config = changed(config, "rules.mine", {"thresholds": [0.5]} | entry)
    check_config(changed(config, "decoding.rules", ["lossless", "mine"]), SCHEMA)


@pytest.mark.parametrize("temperature", [0.2, 1, 1.5])
def test_repeats_and_truncated_targets_are_right_at_a_temperature(config, temperature):
    sampling = {"temperature": temperature, "repeats": 5, "truncated": True}
    check_config(changed(config, "decoding", config["decoding"] | sampling), SCHEMA)


def test_a_variant_wants_the_judge_or_the_labels_that_its_rule_reads(config):
    def sweeping(rule, modifiers):
        variant = changed(config, "rules.mine", {"thresholds": [1], "rule": rule} | modifiers)
        return changed(variant, "decoding.rules", ["lossless", "mine"])

    assert uses_judge(sweeping("judge", {"confident": 0.9})) and not uses_judge(sweeping("fly", {"confident": 0.9}))
    assert uses_labels(sweeping("oracle", {})) and not uses_labels(sweeping("judge", {}))
    lookup = {"draft": {"prompt_lookup": True}, "target": {"model": "resources/testbed/target"}}
    found = changed(changed(sweeping("chow", {}), "pairs.lookup", lookup), "datasets.arith.default_pairs", ["lookup"])
    with pytest.raises(InputError, match=r"`decoding.rules`: `mine` needs a draft model \(draft_logits\)"):
        check_config(changed(found, "runs", [{"dataset": "arith", "pairs": ["lookup"]}]), SCHEMA)


def test_a_judge_is_trained_whenever_a_swept_rule_asks_one(config):
    assert uses_judge(config)
    assert uses_judge(changed(config, "rules.judge.thresholds", [0.1, 0.5]))
    assert not uses_judge(changed(config, "decoding.rules", ["lossless", "top_k"]))


@pytest.mark.parametrize(
    "folds, problems, message",
    [
        (5, {"test": 9, "train": 3}, r"`datasets.arith.problems`: with `folds` every .* leave out `train`, or"),
        (5, {"test": 9, "train": 3, "validation": 3}, r"leave out `train` and `validation`, or the folds"),
        (None, {"test": 9}, r"`datasets.arith.problems`: a judge needs .* `folds: 5` in `datasets.arith`"),
        (None, {"test": 9, "train": 3, "validation": None}, r"`datasets.arith.problems`: a judge needs"),
        (5, {"train": 3}, r"`datasets.arith.problems`: .*'test' is a required property"),
        (1, {"test": 9}, r"`datasets.arith.folds`: 1 is less than the minimum of 2"),
    ],
)
def test_problems_are_of_three_splits_or_of_test_alone_in_folds(config, folds, problems, message):
    def check(folds, problems):
        entry = config["datasets"]["arith"] | {"folds": folds, "problems": problems}
        check_config(changed(config, "datasets.arith", entry), SCHEMA)

    check(5, {"test": 9})
    check(5, {"test": 9, "train": None, "validation": None})
    with pytest.raises(InputError, match=message):
        check(folds, problems)


def incomplete_keys(node, path):
    """Yield schema keys that lack a description or, where they may be left out, a default."""
    for name, child in node.get("properties", {}).items():
        if "description" not in child:
            yield f"{path}.{name}: description"
        if name not in node.get("required", []) and "default" not in child:
            yield f"{path}.{name}: default"
        yield from incomplete_keys(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from incomplete_keys(node[key], f"{path}.*")


def test_every_key_of_the_schema_has_a_description_and_every_optional_one_a_default():
    schema = yaml.safe_load(SCHEMA.read_text())
    missing = list(incomplete_keys(schema, ""))
    for name, definition in schema["$defs"].items():
        one_of_them = [key for choice in definition.get("oneOf", []) for key in choice.get("required", [])]
        missing += incomplete_keys(definition | {"required": definition.get("required", []) + one_of_them}, name)
    assert missing == []


def test_defaults_reach_both_models_and_a_draft_gets_no_key_of_another_kind(config):
    """As snakemake completes the config."""
    own = {"draft": {"first_layers": 2}, "target": {"model": "resources/testbed/target"}}
    config = changed(config, "pairs.own_layers", own)
    check_config(config, SCHEMA)
    validate(config, str(SCHEMA))
    loading = {"gguf_file": None, "revision": None, "dtype": "float32", "device": "cpu", "device_map": None}
    loading["trust_remote_code"] = False
    pair = config["pairs"]["own_layers"]
    assert pair["draft"] == {"first_layers": 2} | loading
    assert pair["target"] == own["target"] | loading | {"chat_template": None, "chat_template_kwargs": None}
    assert config["pairs"]["testbed"]["draft"] == {"model": "resources/testbed/draft"} | loading


@pytest.mark.parametrize("role", ["draft", "target"])
def test_an_unknown_key_of_a_model_is_told_with_the_known_ones(config, role):
    with pytest.raises(InputError, match=rf"`pairs.testbed.{role}`: unknown key `dtpe`; known are .*dtype, .*revision"):
        check_config(changed(config, f"pairs.testbed.{role}.dtpe", "float32"), SCHEMA)


def test_null_takes_back_what_another_config_drafts_with(config):
    pair = {"draft": {"model": None, "prompt_lookup": True}, "target": {"model": "resources/testbed/target"}}
    check_config(changed(config, "pairs.lookup", pair), SCHEMA)


def test_a_tilde_in_a_datasets_files_stands_for_the_home_folder(config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "rows.jsonl").write_text("{}")
    source = {"train": "~/rows.jsonl", "test": "~/rows.jsonl"}
    check_config(changed(config, "datasets.gsm8k.source", source), SCHEMA)
    with pytest.raises(InputError, match=r"`datasets.gsm8k.source.test`: no such file ~/none.jsonl"):
        check_config(changed(config, "datasets.gsm8k.source", source | {"test": "~/none.jsonl"}), SCHEMA)
    with pytest.raises(InputError, match=r"`datasets.gsm8k.source.test`: no such file ~nobody-here/x.jsonl"):
        check_config(changed(config, "datasets.gsm8k.source", source | {"test": "~nobody-here/x.jsonl"}), SCHEMA)


def test_a_source_may_lack_a_training_part_list_files_and_have_settings(config, tmp_path):
    for name in ("test.jsonl", "test2.jsonl"):
        (tmp_path / name).write_text("{}")
    files = [str(tmp_path / "test.jsonl"), str(tmp_path / "test2.jsonl")]
    source = {"test": files, "release": "release_v2", "from": "2024-08-01"}
    for checked in (
        source | {"until": "2025-01-31"},
        {"test": files[0], "plus": True},
        {"test": files[0], "plus": files[1]},
    ):
        check_config(changed(config, "datasets.arith.source", checked), SCHEMA)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet", "a b.jsonl"])
def test_a_pointer_of_git_lfs_for_a_datasets_file_is_told_before_a_run(config, tmp_path, name):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    source = {"train": str(tmp_path / name), "test": str(tmp_path / name)}
    with pytest.raises(InputError, match=rf"{name}: is a Git LFS pointer .*run `git lfs pull`"):
        check_config(changed(config, "datasets.gsm8k.source", source), SCHEMA)


def test_alternatives_of_programs_are_not_stopped(config):
    programs = changed(config, "runs", [{"dataset": "mbpp", "pairs": ["testbed"]}])
    check_config(programs, SCHEMA)
    for agreement in ({}, {"tokens": 20}):
        check_config(changed(config, "mining.agreement", agreement), SCHEMA)
        with pytest.raises(InputError, match="`mining.agreement`: the responses of dataset `mbpp` are programs"):
            check_config(changed(programs, "mining.agreement", agreement), SCHEMA)


@pytest.mark.parametrize(
    "given, filled", [(None, None), ({"tokens": 20}, {"tokens": 20, "same_numbers": 8, "audit": 0.05})]
)
def test_agreement_is_none_or_complete(config, given, filled):
    config = changed(config, "mining.agreement", given)
    validate(config, str(SCHEMA))
    assert config["mining"]["agreement"] == filled


@pytest.mark.parametrize(
    "key, given, filled",
    [
        ("likelihood", {}, {"tokens": 20, "threshold": 11.5}),
        ("samples", {"count": 4}, {"count": 4, "temperature": 1}),
    ],
)
def test_sources_of_labels_are_none_or_complete(config, key, given, filled):
    for value, expected in ((None, None), (given, filled)):
        changed_config = changed(config, f"mining.{key}", value)
        validate(changed_config, str(SCHEMA))
        assert changed_config["mining"][key] == expected


@pytest.mark.parametrize("keys", [("agreement", "likelihood"), ("agreement", "samples"), ("likelihood", "samples")])
def test_labels_have_one_source(config, keys):
    one = changed(config, f"mining.{keys[0]}", {})
    check_config(one, SCHEMA)
    with pytest.raises(InputError, match=f"`mining.{keys[0]}` and `mining.{keys[1]}`: .*set one of them to null"):
        check_config(changed(one, f"mining.{keys[1]}", {}), SCHEMA)


def test_questions_alone_need_labels_by_likelihood_and_are_not_decoded(config, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "Why?"}\n')
    source = {"train": str(tmp_path / "rows.jsonl"), "test": str(tmp_path / "rows.jsonl")}
    dataset = {"task": "questions", "source": source, "problems": {"train": 1, "validation": 1, "test": 1}}
    known = changed(config, "datasets.prompts", dataset)
    check_config(known, SCHEMA)
    with pytest.raises(InputError, match="`mining.likelihood`: dataset `prompts` has only questions"):
        check_label_source(known, "prompts")
    check_label_source(changed(known, "mining.likelihood", {}), "prompts")
    check_label_source(known, "arith")
    run = changed(known, "runs", [{"dataset": "prompts", "pairs": ["testbed"]}])
    with pytest.raises(InputError, match="dataset `prompts` has only questions.*take it out of `runs`"):
        check_config(changed(run, "mining.likelihood", {}), SCHEMA)


def test_labels_are_loaded_for_the_named_dataset_and_pair_alone(config):
    assert not re.search(loaded_labels(config), "results/arith/testbed/labels.parquet")
    config = changed(config, "datasets.arith.labels", {"testbed": {"hub": "a/b"}, "llama3_1b_8b": None})
    config = changed(config, "datasets.gsm8k.labels", {"llama3_1b_8b": {"hub": "a/c"}})
    check_config(config, SCHEMA)
    assert labels_source(config, "arith", "testbed") == {"hub": "a/b"}
    pattern = re.compile(rf"results/\w+/({loaded_labels(config)})/labels.parquet")
    for dataset in ("arith", "gsm8k", "arith_long"):
        for pair in ("testbed", "llama3_1b_8b"):
            loaded = pattern.fullmatch(f"results/{dataset}/{pair}/labels.parquet")
            assert bool(loaded) == bool(labels_source(config, dataset, pair)), (dataset, pair)


def test_each_run_is_published_under_a_name_of_its_own(config):
    with pytest.raises(InputError, match="`publish.repo`: names no repository of the Hub; give OWNER/NAME"):
        published_runs(config | {"publish": {"repo": None}})
    config = config | {"publish": {"repo": "me/judge"}}
    check_config(config, SCHEMA)
    assert repositories_of(config, "arith", "testbed") == {"model": "me/judge", "dataset": "me/judge-labels"}
    several = changed(config, "runs", [{"dataset": name, "pairs": ["testbed"]} for name in ("arith", "arith_long")])
    with pytest.raises(InputError, match="would be the repository of 2 judges; put .*me/judge-{dataset}-{pair}"):
        check_config(several, SCHEMA)
    several = changed(several, "publish.repo", "me/{pair}-{dataset}")
    check_config(several, SCHEMA)
    assert repositories_of(several, *published_runs(several)[1])["dataset"] == "me/testbed-arith_long-labels"
    assert repositories_of(several, "arith", "testbed+soft")["model"] == "me/testbed-soft-arith", "the Hub knows no +"
    without = changed(config, "decoding.rules", ["lossless"])
    with pytest.raises(InputError, match="`decoding.rules`: none asks a judge, so there is none to publish"):
        published_runs(without)
