"""Sources of labels: made by name alone, each with a judge and a sweep of its own, the rest from the pair's store."""

import json

import pandas as pd
import pytest
import yaml

from autojudge.tables.files import read_table
from autojudge.tables.source_comparison import LABEL_SOURCES
from made_up_sources import write_results

RULES_OF_SOURCES = ("compare_label_sources", "plot_label_sources")
RULES = ["lossless", "always", "judge", "oracle"]
DATASET = {"task": "arith", "problems": {"train": 24, "validation": 12, "test": 12}, "max_new_tokens": 192}
PLACE = "results/arith/testbed"
TABLE, FIGURE = (f"results/few/testbed/label_sources.{end}" for end in ("md", "pdf"))


def choose_sources(clone, config, **chosen):
    """Write a config with these sources of labels and none of the default ones besides; return how to name it."""
    sources = dict.fromkeys(config["label_sources"]) | chosen
    (clone.folder / "sources.yaml").write_text(yaml.safe_dump({"label_sources": sources}))
    return ("--configfile", "small.yaml", "sources.yaml")


def test_they_are_planned_by_name_and_not_by_default(fresh, config):
    assert "compare_label_sources" not in fresh.planned()
    asked = [f"{PLACE}/label_sources.{end}" for end in ("md", "pdf")]
    one = choose_sources(fresh, config, agreement={"agreement": {}})
    planned = fresh.planned(*asked, *one, small=False)
    assert planned["compare_label_sources"] == planned["plot_label_sources"] == planned["measure_call_cost"] == 1
    twice = ("prepare_problems", "gather_labels", "gather_grid", "select_judge", "gather_sweep")
    assert {planned[rule] for rule in twice} == {2} and planned["mine_labels"] == planned["sweep_thresholds"] == 4
    alone = fresh.planned("results/arith/testbed+agreement/judges.md", *one, small=False)
    assert alone["report_judges"] == alone["select_judge"] == 1, "a source is a pair like any, for itself"
    two = choose_sources(fresh, config, agreement={"agreement": {}}, late={"agreement": {"tokens": 30}})
    assert fresh.planned(*asked, *two, small=False)["select_judge"] == 3


@pytest.mark.parametrize(
    "given, told",
    [
        ("label_sources={late: {agreement: {token: 3}}}", "`label_sources.late.agreement`: unknown key `token`"),
        ("label_sources={a/b: {}}", "'a/b' does not match"),
        ("mining={agreement: {}}", "`mining.agreement`: sources of labels are compared with exact ones"),
        ("decoding={rules: [lossless]}", "`decoding.rules`: sources of labels are compared by their judges"),
    ],
)
def test_what_cannot_be_compared_ends_the_dry_run(fresh, given, told):
    result = fresh.snakemake("-n", "results/arith/testbed/label_sources.md", "--config", given, small=False)
    assert result.returncode != 0 and told in result.stdout + result.stderr


@pytest.mark.parametrize(
    "path, told",
    [
        ("results/arith/testbed+agreemnt/judges.md", "`testbed+agreemnt` is not defined under `pairs`; defined are "),
        ("results/arith/tesbed/judges.md", "`tesbed` is not defined under `pairs`"),
        ("results/arit/testbed/folds/1-of-2/judge/judge.json", "`arit` is not defined under `datasets`"),
    ],
)
def test_a_path_of_an_unknown_pair_or_dataset_tells_the_known_ones(fresh, path, told):
    result = fresh.snakemake("-n", path, small=False)
    shown = result.stdout + result.stderr
    assert result.returncode != 0 and told in shown and "MissingRule" not in shown
    assert ("each also with `+agreement`, `+likelihood`, `+soft`" in shown) == ("`pairs`" in told)


def test_without_a_source_there_is_nothing_to_compare(fresh, config):
    result = fresh.snakemake("-n", f"{PLACE}/label_sources.md", *choose_sources(fresh, config), small=False)
    assert result.returncode != 0 and "`label_sources`: names no source" in result.stdout + result.stderr


def test_sources_that_a_dataset_of_programs_refuses_are_named(fresh):
    result = fresh.snakemake("-n", "results/mbpp/qwen2.5_0.5b_7b/label_sources.md")
    told = result.stdout + result.stderr
    assert result.returncode != 0 and "source `agreement` of `label_sources` (null leaves it out)" in told


def test_made_up_results_are_compared_and_drawn(fresh, config, judge):
    write_results(fresh.folder / "results/arith", judge.record)
    asked = [f"{PLACE}/label_sources.{end}" for end in ("md", "csv", "pdf", "png")]
    allowed = (*choose_sources(fresh, config, agreement={"agreement": {}}), "--allowed-rules", *RULES_OF_SOURCES)
    result = fresh.snakemake("--cores", "1", *asked, *allowed, small=False)
    assert result.returncode == 0, result.stdout + result.stderr
    table = read_table(LABEL_SOURCES, fresh.folder / f"{PLACE}/label_sources.csv").set_index("source")
    assert list(table.index) == ["exact", "agreement"]
    exact, agreement = table.loc["exact"], table.loc["agreement"]
    for name, value in {"relative_tokens": 1, "kappa": 1, "accuracy_gain": 0, "area_gain": 0, "speed_ratio": 1}.items():
        assert exact[name] == value
    assert agreement["relative_tokens"] == 0.4 and agreement["target_tokens"] == 60
    labels = pd.read_parquet(fresh.folder / f"{PLACE}/labels.parquet")
    assert agreement["shared"] == agreement["mismatches"] == len(labels) and 0.9 < agreement["kappa"] < 1
    assert agreement["accuracy_gain"] == -12.5 and agreement["speed_ratio"] > 1, (
        "one of eight test problems more is lost"
    )
    assert agreement["auc"] == exact["auc"] > 0.9 and set(table["split"]) == {"test"}
    assert json.loads(agreement["settings"]) == {"agreement": {"tokens": 16, "same_numbers": 8, "audit": 0.05}}
    assert "sources of labels compared" in (fresh.folder / f"{PLACE}/label_sources.md").read_text()
    assert fresh.planned(*asked, *allowed, small=False) == {}


@pytest.fixture(scope="module")
def compared(tmp_path_factory, config):
    """A copy of the repository in which a few problems have been mined both ways and compared."""
    from clone import Clone

    clone = Clone(tmp_path_factory.mktemp("compared"))
    sets = {name: None for name in config["judge"]["feature_sets"] if name != "scalars"}
    classifiers = {name: None for name in config["judge"]["classifiers"] if name != "logistic_regression"}
    settings = {
        "runs": [{"dataset": "few", "pairs": ["testbed"]}],
        "datasets": {"few": DATASET},
        "mining": {"shards": 1},
        "label_sources": dict.fromkeys(config["label_sources"]) | {"agreement": {"agreement": {"audit": 0.5}}},
        "judge": {
            "feature_sets": sets,
            "classifiers": classifiers,
            "select": {"feature_sets": ["scalars"], "classifiers": ["logistic_regression"]},
        },
        "decoding": {"shards": 1, "windows": [8], "rules": RULES},
    }
    (clone.folder / "small.yaml").write_text(yaml.safe_dump(settings))
    result = clone.snakemake("--cores", "1", TABLE, FIGURE)
    assert result.returncode == 0, result.stdout + result.stderr
    return clone


def test_the_table_has_exact_labels_and_the_source(compared):
    table = read_table(LABEL_SOURCES, compared.folder / TABLE.replace(".md", ".csv")).set_index("source")
    assert list(table.index) == ["exact", "agreement"]
    exact, agreement = table.loc["exact"], table.loc["agreement"]
    assert (exact["relative_tokens"], exact["kappa"], exact["accuracy_gain"], exact["stopped"]) == (1, 1, 0, 0)
    assert agreement["stopped"] > 0.2 and agreement["audited"] > 0 and agreement["relative_tokens"] < 1
    assert 0 < agreement["shared"] <= min(exact["mismatches"], agreement["mismatches"])
    assert json.loads(agreement["settings"]) == {"agreement": {"audit": 0.5, "same_numbers": 8, "tokens": 16}}
    assert set(table["split"]) == {"test"} and (table["problems"] == 48).all()
    assert "sources of labels compared" in (compared.folder / TABLE).read_text()


def test_the_source_decodes_only_its_judge_and_takes_the_rest_from_the_store(compared):
    places = {pair: compared.folder / f"results/few/{pair}" for pair in ("testbed", "testbed+agreement")}
    rules = {pair: set(pd.read_parquet(place / "sweep.parquet")["rule"]) for pair, place in places.items()}
    assert rules == {"testbed": {"target", *RULES}, "testbed+agreement": {"target", "lossless", "judge"}}
    assert not (places["testbed+agreement"] / "store").exists()
    swept = 24
    once = swept * (1 + len(RULES))  # the target alone and each rule
    taken, computed = compared.counted("sweep_thresholds")
    assert computed <= once + swept and taken >= 2 * swept, (
        "at most the source's judge is decoded beside the pair's own"
    )
    listed = compared.snakemake("list_store", "--cores", "1").stdout
    assert listed.count("| 0 pieces, 0 B") == 2, listed
    assert compared.planned(TABLE, FIGURE) == {}
