"""Small real runs of the workflow in a copy of the repository."""

import json
import shutil

import pandas as pd
import pytest
import yaml
from clone import RESULTS, ROOT

from autojudge.judging.artifact import load_judge
from autojudge.tables.reporting import PARETO

RULES = {"lossless", "always", "top_k", "kl_divergence", "fly", "judge", "oracle"}


def test_the_experiment_makes_every_result(clone):
    for suffix in ("pdf", "png", "csv"):
        assert (clone.folder / f"results/arith_pareto.{suffix}").stat().st_size > 1000
    page = (clone.folder / RESULTS / "tokens.html").read_text()
    assert "<html" in page and "the answer stayed the same" in page and "nats" not in page
    for figure in ("ablation", "learning_curve"):
        assert (clone.folder / RESULTS / f"{figure}.pdf").stat().st_size > 1000
    assert (clone.folder / RESULTS / "speed.pdf").stat().st_size > 1000
    assert "cut off" in (clone.folder / RESULTS / "answers.md").read_text()
    for name in ("problems", "responses", "labels", "features", "grid", "scores", "sweep"):
        assert len(clone.table(name)) > 0, name
    pareto = pd.read_csv(clone.folder / "results/arith_pareto.csv")
    assert list(pareto.columns) == list(PARETO.columns)
    assert set(pareto["rule"]) == {"target", *RULES}
    assert (pareto["problems"] == 16).all()
    assert pareto["recommended"].groupby(pareto["rule"]).sum().eq(1).all()
    summary = pd.read_csv(clone.folder / "results/arith_summary.csv")
    assert sorted(summary["rule"]) == sorted({"target", *RULES}) and summary["best"].sum() == 1
    for suffix in ("md", "tex"):
        assert "KL divergence" in (clone.folder / f"results/arith_summary.{suffix}").read_text()


def test_selection_never_sees_a_test_problem(clone):
    problems = clone.table("problems").set_index("problem_id")["split"]
    assert problems.index.is_unique
    labels = clone.table("labels")
    assert set(labels["split"]) == {"train", "validation", "test"}  # the oracle wants labels of the problems it decodes
    assert (labels["split"].to_numpy() == problems[labels["problem_id"]].to_numpy()).all()
    counts, grid = labels["split"].value_counts(), clone.table("grid")
    of_validation = grid[grid["fold"] == "validation"]
    assert set(of_validation["n_train"]) == {counts["train"]}
    assert set(of_validation["n_fold"]) == {counts["validation"]}
    assert set(grid["fold"]) == {"validation", "1-of-2", "2-of-2"}
    assert (grid["n_train"] <= counts["train"] + counts["validation"]).all(), "a fold was fitted on test problems"
    sweep = clone.table("sweep")
    assert (sweep["split"].to_numpy() == problems[sweep["problem_id"]].to_numpy()).all()
    assert set(sweep["split"]) == {"validation", "test"}
    summary = clone.snakemake("--detailed-summary").stdout
    for stage, script in (("grid/scalars/validation.parquet", "train_judge"), ("judge.json", "select_judge")):
        row = next(line for line in summary.splitlines() if line.split("\t")[0].endswith(stage))
        assert script in row and "problems.parquet" not in row and "sweep" not in row


def test_the_slow_end_of_every_rule_is_the_target_and_the_oracle_keeps_its_answers(clone):
    sweep = clone.table("sweep")
    assert sweep["exact"].all()
    target = sweep[sweep["rule"] == "target"].set_index("problem_id")
    for rule in RULES:
        slow = sweep[(sweep["rule"] == rule) & (sweep["threshold_low"] == float("-inf"))].set_index("problem_id")
        assert slow["response"].map(list).to_dict() == target["response"].map(list).to_dict(), rule
    oracle = sweep[(sweep["rule"] == "oracle") & (sweep["threshold"] == float("inf"))].set_index("problem_id")
    assert oracle["answer"].to_dict() == target["answer"].to_dict()
    assert oracle["cycles"].sum() < sweep.loc[sweep["rule"] == "lossless", "cycles"].sum()


def test_judges_are_compared_on_the_test_split(clone):
    judges = pd.read_csv(clone.folder / RESULTS / "judges.csv")
    assert set(judges["split"]) == {"test"} and judges["selected"].sum() == 1
    assert set(judges["classifier"]) >= {"logistic_regression", "sparse_regression", "boosting", "mlp", "rule"}
    trained = judges[judges["classifier"] != "rule"]
    assert (trained["auc_low"] <= trained["auc"]).all() and trained["auc_folds"].notna().all()
    text = (clone.folder / RESULTS / "judges.md").read_text()
    assert "**(selected)**" in text and "kl divergence alone" in text and "## Near ties" in text
    chosen = json.loads((clone.folder / RESULTS / "judge/judge.json").read_text())
    (row,) = judges[judges["selected"]].to_dict("records")
    assert (row["feature_set"], row["classifier"]) == (chosen["feature_set"], chosen["classifier"])
    assert "refused" in (clone.folder / RESULTS / "judge/README.md").read_text()


def test_the_judge_artifact_tells_where_it_comes_from(clone):
    info = json.loads((clone.folder / RESULTS / "judge/judge.json").read_text())
    assert info["models"]["target"]["model"] == "resources/testbed/target"
    assert info["recall_threshold"] in info["thresholds"] and len(info["thresholds"]) == 5
    assert info["threshold"] is None and info["operating_point"] is None, "the sweep comes later"
    assert {"commit", "packages", "seed", "config"} <= info["provenance"].keys()
    assert info["task"] == "arith, scoring version 1"


def test_the_exported_judge_has_the_summarys_operating_point_measured_on_validation(clone):
    folder, sweep = clone.folder / RESULTS / "export", clone.table("sweep")
    judge = load_judge(folder)
    record, point = judge.record, judge.record.operating_point
    assert judge.digest() == load_judge(clone.folder / RESULTS / "judge").digest()
    summary = pd.read_csv(clone.folder / "results/arith_summary.csv").set_index("rule").loc["judge"]
    assert (point.window, record.threshold) == (summary["window"], pytest.approx(min(summary["threshold"], 1 + 1e-6)))
    held = (sweep["threshold_low"] < summary["threshold"]) & (summary["threshold"] <= sweep["threshold"])
    rows = sweep[held & (sweep["rule"] == "judge") & (sweep["split"] == "validation")]
    lossless = sweep[(sweep["rule"] == "lossless") & (sweep["split"] == "validation")]
    assert point.problems == len(rows) == 16 and point.measured_on == "validation"
    assert point.drop == pytest.approx(100 * (lossless["correct"].mean() - rows["correct"].mean()))
    assert point.emitted_per_cycle == pytest.approx(rows["emitted"].sum() / rows["cycles"].sum())
    assert point.drop_low <= point.drop <= point.drop_high
    card = (folder / "README.md").read_text()
    assert f"p(important) < {record.threshold:.4g}" in card and '"judge": "FOLDER"' in card
    assert (folder / "custom_generate").is_dir()


def test_a_further_judge_for_an_engine_is_made_from_the_same_grid_and_swept_from_the_same_store(finished):
    place = f"{RESULTS}/serves/target_scalars"
    planned = finished.planned(f"{place}/export/judge.json")
    assert planned == {"select_judge": 1, "sweep_thresholds": 2, "gather_sweep": 1, "export_judge": 1}
    result = finished.snakemake("--cores", "all", f"{place}/export/judge.json", f"{place}/judge/README.md")
    assert result.returncode == 0, result.stdout + result.stderr
    judge = load_judge(finished.folder / place / "export")
    assert judge.needs == {"target_logits"} and judge.record.feature_set == "target_scalars"
    assert judge.record.threshold is not None and judge.record.operating_point.rule == "judge"
    sweep = pd.read_parquet(finished.folder / place / "sweep.parquet")
    assert set(sweep["rule"]) == {"target", "lossless", "judge"}
    taken, computed = finished.counted("sweep_thresholds/arith/testbed/serves/target_scalars")
    assert (taken, computed) == (2 * 32, 32), "the target and lossless decoding are those of the main sweep"
    listed = finished.snakemake("list_store", "--cores", "1").stdout
    assert listed.count("| 0 pieces, 0 B") == 2, listed
    assert finished.planned("--cores", "all") == {}, "nothing else is stale by it"


def test_offline_runs_are_left_for_wandb_sync(clone):
    receipt = json.loads((clone.folder / "results/arith_wandb.json").read_text())
    runs = receipt["runs"]
    assert {run["rule"] for run in runs} >= {"lossless", "top_k", "judge"}
    for run in runs:
        (log,) = (clone.folder / "results/wandb").glob(f"*{run['id']}*/*.wandb")
        assert log.stat().st_size > 0


def test_logs_tell_how_far_a_stage_is(clone):
    log = (clone.folder / "logs/mine_labels/arith/testbed/1-of-2.log").read_text()
    assert "36 of 36 problems" in log and "mismatches" in log


def test_a_second_run_finds_nothing_to_do(clone):
    result = clone.snakemake("--cores", "all")
    assert result.returncode == 0 and "Nothing to be done" in result.stdout + result.stderr


def test_other_resources_and_batches_rerun_nothing(clone):
    pair = {"mem_mb": 3000, "runtime": 99, "threads": 2, "gpus": 1}
    other = {"mining": {"batch": 3, "memory_mb": 900}, "decoding": {"batch": 2}, "pairs": {"testbed": pair}}
    other["speed"] = {"minutes": 9}
    (clone.folder / "other.yaml").write_text(yaml.safe_dump(other))
    overridden = ("--cores", "all", "--configfile", "small.yaml", "other.yaml")
    assert clone.planned(*overridden, small=False) == {}
    (clone.folder / "other.yaml").write_text("datasets: {arith: {max_new_tokens: 99}}")
    assert "mine_labels" in clone.planned(*overridden, small=False)


def test_deleting_a_shard_reruns_it_alone_and_what_follows(clone):
    shard = clone.folder / RESULTS / "labels/1-of-2.parquet"
    shard.rename(shard.with_suffix(".kept"))
    try:
        planned = clone.planned("--cores", "all")
    finally:
        shard.with_suffix(".kept").rename(shard)
    assert planned["mine_labels"] == 1
    assert planned["gather_labels"] == planned["gather_grid"] == 1 and planned["train_judge"] == 5 * 3
    assert "prepare_problems" not in planned


def test_one_figure_can_be_asked_for_with_no_flag(clone):
    result = clone.snakemake("-n", "results/arith_pareto.pdf")
    assert result.returncode == 0, result.stderr


def test_the_gsm8k_figure_is_planned_with_the_default_config(clone):
    planned = clone.planned("results/gsm8k_pareto.pdf", small=False)
    assert planned == {
        "prepare_problems": 1, "mine_labels": 2, "gather_labels": 1, "train_judge": 10, "gather_grid": 1,
        "select_judge": 1, "sweep_thresholds": 2, "gather_sweep": 1, "measure_call_cost": 1, "build_pareto": 1,
        "plot_pareto": 1,
    }  # fmt: skip


def test_the_embedded_models_can_be_trained_again(clone):
    few = "steps: 2, batch: 2"
    recipes = f"{{draft: {{{few}}}, target: {{{few}, start: {{steps: 2}}}}}}"
    (clone.folder / "few.yaml").write_text(f"testbed: {{models: {recipes}}}")
    models = ("results/testbed/draft", "results/testbed/target")
    result = clone.snakemake(*models, "--cores", "1", "--configfile", "few.yaml", small=False)
    assert result.returncode == 0, result.stderr
    for role in ("draft", "target"):
        shipped, trained = (
            json.loads((clone.folder / folder / role / "config.json").read_text())
            for folder in ("resources/testbed", "results/testbed")
        )
        assert trained == shipped
        assert (clone.folder / "results/testbed" / role / "model.safetensors").stat().st_size > 0


def test_the_embedded_models_can_be_measured_again(clone):
    (clone.folder / "few.yaml").write_text("testbed: {evaluate: {problems: 8}}")
    accuracy = "results/testbed_accuracy.json"
    result = clone.snakemake(accuracy, "--cores", "1", "--configfile", "few.yaml", small=False)
    assert result.returncode == 0, result.stderr
    report = json.loads((clone.folder / accuracy).read_text())
    assert report["draft"]["accuracy"] <= report["target"]["accuracy"] and report["target"]["problems"] == 8


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("mnining: {}", "unknown key `mnining`"),
        ("mining: {shards: many}", "config key `mining.shards`: 'many' is not of type 'integer'"),
        ("runs: [{dataset: arith, pairs: [nobody]}]", "`nobody` is not defined under `pairs`"),
    ],
)
def test_a_wrong_config_ends_at_load_with_one_message(clone, wrong, message):
    (clone.folder / "wrong.yaml").write_text(wrong)
    result = clone.snakemake("--cores", "all", "--configfile", "wrong.yaml", small=False)
    assert result.returncode != 0
    assert message in result.stderr and "Traceback" not in result.stderr


def test_a_model_folder_without_weights_ends_the_first_job_with_one_message(clone):
    folder = clone.folder / "broken/draft"
    shutil.copytree(ROOT / "resources/testbed/draft", folder)
    (folder / "model.safetensors").unlink()
    (clone.folder / "broken.yaml").write_text(
        "pairs: {broken: {draft: {model: ./broken/draft}, target: {model: resources/testbed/target}}}\n"
        "runs: [{dataset: arith, pairs: [broken]}]\n"
    )
    result = clone.snakemake("--cores", "all", "--configfile", "broken.yaml", small=False)
    assert result.returncode != 0
    assert "folder ./broken/draft has no weights" in result.stdout + result.stderr
    assert not (clone.folder / "results/arith/broken/labels").exists()
