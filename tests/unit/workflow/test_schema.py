"""What YAML reads as another type than was meant is told by its key, with the way to write it."""

import copy

import pytest
import yaml
from snakemake.utils import update_config

from autojudge.errors import InputError
from autojudge.workflow.configuration import check_config
from conftest import ROOT

SCHEMA = ROOT / "config/config.schema.yaml"
DATASET = "{task: arith, problems: {train: 4, validation: 4, test: 4}}"
PAIR = "{draft: {model: resources/testbed/draft}, target: {model: resources/testbed/target}}"


def check(config, text):
    """Check a config file's text, as it is merged over the default config."""
    merged = copy.deepcopy(config)
    update_config(merged, yaml.safe_load(text))
    check_config(merged, SCHEMA)


def message(config, text):
    with pytest.raises(InputError) as told:
        check(config, text)
    return str(told.value)


@pytest.mark.parametrize(
    "text, key, name, read",
    [
        (f"datasets: {{7: {DATASET}}}", "datasets", "7", "a number"),
        (f"datasets: {{no: {DATASET}}}", "datasets", "false", "a truth value"),
        (f"datasets: {{12:30: {DATASET}}}", "datasets", "750", "a number"),
        (f"pairs: {{1.5: {PAIR}}}", "pairs", "1.5", "a number"),
        (f"pairs: {{2024-05-01: {PAIR}}}", "pairs", "2024-05-01", "a date"),
        ("rules: {on: {thresholds: [1]}}", "rules", "true", "a truth value"),
        ("judge: {feature_sets: {0x10: [scalars]}}", "judge.feature_sets", "16", "a number"),
        ("judge: {classifiers: {~: {C: [1]}}}", "judge.classifiers", "null", "nothing"),
        ("3: {}", "(top level)", "3", "a number"),
    ],
)
def test_a_name_that_is_no_text_is_told_by_its_key(config, text, key, name, read):
    told = message(config, text)
    assert told.startswith(f"config key `{key}`: the name {name} is not text, as YAML reads it as {read}"), told
    assert told.endswith("put the name in quotes")


@pytest.mark.parametrize(
    "text, key, shown",
    [
        ("runs: [{dataset: 2024, pairs: [testbed]}]", "runs[0].dataset", "2024"),
        ("runs: [{dataset: arith, pairs: [testbed, off]}]", "runs[0].pairs[1]", "false"),
        ("datasets: {arith: {default_pairs: [~]}}", "datasets.arith.default_pairs[0]", "null"),
        ("datasets: {arith: {task: 1.50}}", "datasets.arith.task", "1.5"),
        ("datasets: {gsm8k: {source: {train: {hub: a/b, revision: 1234567}, test: t}}}", "revision", "1234567"),
        ("decoding: {rules: [lossless, 2024-01-31]}", "decoding.rules[1]", "2024-01-31"),
        ("judge: {select: {feature_sets: [3.5]}}", "judge.select.feature_sets[0]", "3.5"),
        ("judge: {select: {classifiers: [yes]}}", "judge.select.classifiers[0]", "true"),
        ("pairs: {testbed: {draft: {model: 7}}}", "pairs.testbed.draft.model", "7"),
        ("pairs: {testbed: {target: {model: resources/testbed/target, dtype: 16}}}", "target.dtype", "16"),
        ("tracking: {mode: off}", "tracking.mode", "false"),
        ("experiment: 2024", "experiment", "2024"),
    ],
)
def test_a_value_that_is_no_text_is_told_with_quotes_as_the_remedy(config, text, key, shown):
    told = message(config, text)
    assert f"{key}`: {shown} is not " in told and "put it in quotes" in told, told


@pytest.mark.parametrize(
    "text, key, remedy",
    [
        ("judge: {folds: 2.0}", "judge.folds", "write 2;"),
        ("decoding: {shards: 8.0}", "decoding.shards", "write 8;"),
        ("datasets: {arith: {problems: {train: 1e+2}}}", "datasets.arith.problems.train", "write 100;"),
        ("speed: {batches: [1, 16.0]}", "speed.batches[1]", "write 16;"),
        ("seed: -0.0", "seed", "write 0;"),
        ("mining: {memory_mb: 1e+3}", "mining.memory_mb", "write 1000;"),
        ("pairs: {testbed: {gpus: 1.0}}", "pairs.testbed.gpus", "write 1;"),
        ("pairs: {testbed: {draft: {model: null, first_layers: 2.0}}}", "first_layers", "write 2;"),
        ("judge: {classifiers: {mlp: {hidden_units: [64.0]}}}", "judge.classifiers.mlp.hidden_units", "write 64"),
        ("decoding: {batch: 1e3}", "decoding.batch", "YAML reads '1e3' as text: write 1000;"),
        ("decoding: {shards: '2'}", "decoding.shards", "YAML reads '2' as text: write 2;"),
        ("decoding: {temperature: 1e-2}", "decoding.temperature", "YAML reads '1e-2' as text: write 0.01;"),
        ("decoding: {tolerance: 1e-7}", "decoding.tolerance", "YAML reads '1e-7' as text: write 1.0e-07;"),
        ("rules: {top_k: {thresholds: [2, 1.5e3]}}", "rules.top_k.thresholds[1]", "as text: write 1500;"),
        ("judge: {classifiers: {logistic_regression: {C: [1e-4]}}}", "logistic_regression.C[0]", "write 0.0001;"),
        ("judge: {select: {recall: '0.95'}}", "judge.select.recall", "YAML reads '0.95' as text: write 0.95;"),
        ("judge: {exclude_cut_off: 'false'}", "judge.exclude_cut_off", "write true or false, without quotes;"),
        ("mining: {agreement: true}", "mining.agreement", "write {} for the default settings, or null for none;"),
        ("mining: {agreement: no}", "mining.agreement", "write {} for the default settings, or null for none;"),
        ("judge: {exclude_cut_off: 0}", "judge.exclude_cut_off", "write true or false"),
    ],
)
def test_a_number_of_another_type_is_told_with_the_way_to_write_it(config, text, key, remedy):
    told = message(config, text)
    assert f"{key}`: " in told and remedy in f"{told};", told


@pytest.mark.parametrize(
    "text, key",
    [
        ("decoding: {tolerance: .inf}", "decoding.tolerance"),
        ("decoding: {top_p: .nan}", "decoding.top_p"),
        ("judge: {near_tie_weight: .nan}", "judge.near_tie_weight"),
        ("judge: {classifiers: {logistic_regression: {C: [1, .inf]}}}", "judge.classifiers.logistic_regression.C[1]"),
        ("mining: {batch: -.inf}", "mining.batch"),
        ("rules: {top_k: {thresholds: [1.0e+400]}}", "rules.top_k.thresholds[0]"),
    ],
)
def test_a_number_that_is_not_finite_is_told(config, text, key):
    assert message(config, text).startswith(f"config key `{key}`: "), text


@pytest.mark.parametrize(
    "text, what",
    [
        ("decoding: {shards: on}", "true is not of type 'integer'"),
        ("decoding: {shards: 2.5}", "2.5 is not of type 'integer'; config/"),
        ("decoding: {tolerance: yes}", "true is not of type 'number'"),
        ("decoding: {shards: two}", "'two' is not of type 'integer'; config/"),
        ("mining: {batch: ~}", "null is not of type 'integer'"),
        ("decoding: {'shards:16': null}", "unknown key `shards:16` (a space is to follow its colon)"),
        ("judge: {feature_sets: {a/b: [scalars]}}", "'a/b' does not match"),
        ("decoding: {rules: [no]}", "must be among [false]; false is no name; YAML reads it as a truth value"),
        (
            "decoding: {rules: [top_k, 7]}",
            "must be among ['top_k', 7]; 7 is no name; YAML reads it as a number: put",
        ),
        ("decoding: {rules: [judge, ~]}", "must be among ['judge', null]; null is no name; YAML reads it as nothing"),
        ("decoding: {rules: [judge, top_k]}", "must be among ['judge', 'top_k']; config/config.schema.yaml says why"),
        ("mining: {agreement: {tokens: 1025}}", "1025 is greater than the maximum of 1024"),
        ("seed: -1", "-1 is less than the minimum of 0"),
        ("seed: 4294967296", "4294967296 is greater than the maximum of 4294967295"),
        ("seed: 99999999999999999999", "is greater than the maximum"),
    ],
)
def test_other_slips_are_told_in_the_configs_words(config, text, what):
    assert what in message(config, text)


def test_names_in_quotes_and_numbers_with_a_point_are_right(config):
    check(
        config, f"datasets: {{'2024': {DATASET}}}\npairs: {{'on': {PAIR}}}\nruns: [{{dataset: '2024', pairs: ['on']}}]"
    )
    check(config, "seed: 4294967295")
    check(config, "decoding: {temperature: 1.0e-4, tolerance: 2}\njudge: {near_tie_weight: 1.0}")
