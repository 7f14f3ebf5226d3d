"""A small real run of a dataset in folds, whose judges are trained and chosen without their own fold's problems."""

import json

import pandas as pd
import pytest
import yaml
from clone import Clone

from autojudge.judging.artifact import load_judge
from autojudge.reporting.operating_point import MEASURES
from autojudge.tables.folds import list_folds, split_in

FOLDS, PROBLEMS = 3, 24
RULES = ["lossless", "kl_divergence", "judge", "oracle"]
DATASET = {"task": "arith", "folds": FOLDS, "problems": {"test": PROBLEMS}, "max_new_tokens": 192}
SETTINGS = {
    "runs": [{"dataset": "folded", "pairs": ["testbed"]}],
    "datasets": {"folded": DATASET},
    "mining": {"shards": 1},
    "judge": {"feature_sets": {}, "select": {"feature_sets": ["scalars"], "classifiers": ["logistic_regression"]}},
    "decoding": {"shards": 1, "windows": [8], "rules": RULES},
    "speed": {"threads": 1},
}
EXPORT = "results/folded/testbed/export"
MADE = ("results/folded_summary.md", "results/folded/testbed/judge/README.md", f"{EXPORT}/judge.json")


@pytest.fixture(scope="module")
def folded(tmp_path_factory, config) -> Clone:
    """A copy of the repository in which the dataset has been swept."""
    clone, settings = Clone(tmp_path_factory.mktemp("folded")), json.loads(json.dumps(SETTINGS))
    unused = {name: None for name in config["judge"]["feature_sets"] if name != "scalars"}
    settings["judge"]["feature_sets"] = unused
    settings["judge"]["classifiers"] = {name: None for name in config["judge"]["classifiers"] if "logistic" not in name}
    (clone.folder / "small.yaml").write_text(yaml.safe_dump(settings))
    result = clone.snakemake("--cores", "all", *MADE)
    assert result.returncode == 0, result.stdout + result.stderr
    return clone


def read(clone, name):
    return pd.read_parquet(clone.folder / f"results/folded/testbed/{name}.parquet")


def test_all_problems_are_tested_each_by_the_judge_of_its_fold(folded):
    summary = pd.read_csv(folded.folder / "results/folded_summary.csv").set_index("rule")
    assert set(summary.index) == {"target", *RULES}
    assert (summary["problems"] == PROBLEMS).all() and (summary["folds"] == FOLDS).all()
    sweep, problems = read(folded, "sweep"), read(folded, "problems")
    tested = sweep[sweep["split"] == "test"].drop_duplicates(["fold", "problem_id"])
    assert sorted(tested["problem_id"]) == sorted(problems["problem_id"]) and len(problems) == PROBLEMS
    assert set(problems["split"]) == {"train", "validation"}
    for row in tested.itertuples():
        assert split_in(row.fold, row.problem_id, "train") == "test"
    target = sweep[(sweep["rule"] == "target") & (sweep["split"] == "test")]
    assert summary.loc["target", "accuracy"] == pytest.approx(target["correct"].mean())
    assert "They lie in 3 folds" in (folded.folder / MADE[0]).read_text()


def test_no_judge_was_trained_or_chosen_on_a_problem_of_its_fold(folded):
    labels = read(folded, "labels")
    for fold in list_folds(FOLDS):
        labels["own"] = [split_in(fold, name, split) for name, split in labels[["problem_id", "split"]].to_numpy()]
        grid, scores = (read(folded, f"folds/{fold}/{name}") for name in ("grid", "scores"))
        assert set(grid["fold"]) == {"validation"}
        assert set(grid["n_train"]) == {(labels["own"] == "train").sum()}
        for split in ("validation", "test"):
            scored = set(scores.loc[scores["split"] == split, "problem_id"])
            assert scored == set(labels.loc[labels["own"] == split, "problem_id"])
        judge = json.loads((folded.folder / f"results/folded/testbed/folds/{fold}/judge/judge.json").read_text())
        assert judge["provenance"]["held_out"] == fold
        assert judge["validation"]["mismatches"] == (labels["own"] == "validation").sum()


def test_the_judge_to_serve_says_that_the_figure_is_of_others(folded):
    card = (folded.folder / MADE[1]).read_text()
    assert "are not of this judge but of those of its 3 folds" in card and "whose target's answer is wrong" in card


def test_the_judge_to_serve_is_exported_with_the_folds_operating_point(folded):
    judge, summary = load_judge(folded.folder / EXPORT), pd.read_csv(folded.folder / "results/folded_summary.csv")
    (row,) = summary[summary["rule"] == "judge"].to_dict("records")
    record, point = judge.record, judge.record.operating_point
    assert judge.digest() == load_judge(folded.folder / "results/folded/testbed/judge").digest()
    assert (point.measured_on, point.problems) == ("folds", PROBLEMS)
    assert record.threshold == pytest.approx(min(row["threshold"], max(record.thresholds)))
    assert {name: getattr(point, name) for name in MEASURES} == pytest.approx({name: row[name] for name in MEASURES})
    assert "the folds' own problems, by the folds' judges" in (folded.folder / EXPORT / "README.md").read_text()


def test_what_needs_no_judge_is_decoded_once_and_the_store_is_used_whole(folded):
    sweep = read(folded, "sweep")
    decoded = len(sweep.drop_duplicates(["fold", "problem_id"]))
    once = 1 + len(RULES) - 1  # the target alone, and all rules but the judge
    assert folded.counted("sweep_thresholds")[1] == PROBLEMS * once + decoded and decoded > PROBLEMS
    listed = folded.snakemake("list_store", "--cores", "1").stdout
    assert listed.count("| 0 pieces, 0 B") == 2, listed


def test_a_second_run_finds_nothing_to_do_and_the_whole_run_is_planned(folded):
    assert folded.planned(*MADE) == {}
    (folded.folder / "five.yaml").write_text(
        yaml.safe_dump({"datasets": {"folded": {"folds": 5}}, "judge": {"folds": 2}})
    )
    planned = folded.planned("--cores", "all", "--forceall", "--configfile", "small.yaml", "five.yaml", small=False)
    ones = ("prepare_problems", "mine_labels", "gather_labels", "sweep_thresholds", "gather_sweep", "measure_call_cost")
    ones += ("build_pareto", "plot_pareto", "write_summary", "log_to_wandb", "show_tokens", "report_judges")
    ones += ("plot_ablation", "measure_learning_curve", "plot_learning_curve", "write_model_card", "report_answers")
    ones += ("measure_speed", "plot_speed", "export_judge", "render_summary", "write_index")
    fits = (1 + 2) + 5  # of the judge to serve, with those of its figures, and of each fold
    assert planned == {"train_judge": fits, "gather_grid": 6, "select_judge": 6} | dict.fromkeys(ones, 1)
