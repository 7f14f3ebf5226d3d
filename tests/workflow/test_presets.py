"""Presets are short, say what they make, validate, and plan the jobs that they should."""

import re

import pytest
import yaml
from clone import ROOT, Clone

PRESETS = {path.stem: path for path in sorted((ROOT / "config/presets").glob("*.yaml"))}
SHARDS = {
    "gsm8k_cpu": (4, 4, 0),
    "gsm8k_llama_1b_8b": (32, 16, 1),
    "gsm8k_llama_8b_70b": (128, 32, 4),
    "gsm8k_8shot_llama_1b_8b": (32, 16, 1),
    "gsm8k_8shot_llama_8b_70b": (128, 32, 4),
    "humaneval_qwen_coder": (4, 4, 1),
    "livecodebench_llama_1b_8b": (64, 32, 1),
    "livecodebench_llama_8b_70b": (220, 64, 4),
    "math500_llama_1b_8b": (64, 16, 1),
    "math500_qwen_0.5b_7b": (16, 16, 1),
    "mbpp_cpu": (1, 1, 0),
    "testbed_full": (2, 2, 0),
}
DATA = {
    "data": ["mbpp"],
    "data/gsm8k": ["train", "test"],
    "data/livecodebench": ["test", "test2", "test3", "test4", "test5"],
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A copy of the repository with the files that presets of local models expect, empty."""
    clone = Clone(tmp_path_factory.mktemp("presets"))
    for size in ("0.5b", "1.5b"):
        folder = clone.folder / f"models/qwen2.5-coder-{size}-instruct"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}", encoding="utf-8")
        for name in ("model.safetensors", "tokenizer.json"):
            (folder / name).touch()
    for folder, names in DATA.items():
        (clone.folder / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (clone.folder / folder / f"{name}.jsonl").touch()
    return clone


def planned(clone, *arguments):
    """Jobs of a dry run by rule, and the GPUs that each mining job asks for."""
    result = clone.snakemake("-n", *arguments, small=False)
    assert result.returncode == 0, result.stdout + result.stderr
    text = result.stdout + result.stderr
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?: .*\n)*)", text, re.MULTILINE)
    counts = {rule: sum(r == rule for r, _ in jobs) for rule, _ in jobs}
    gpus = {
        int(found[1]) for rule, body in jobs if rule == "mine_labels" and (found := re.search(r"\bgpu=(\d+)", body))
    }
    return counts, gpus


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_short_and_says_what_it_costs(name):
    lines = PRESETS[name].read_text().splitlines()
    assert len(lines) <= 20
    head = "".join(line for line in lines[:2] if line.startswith("#"))
    assert re.search(r"hours|minutes", head) and len(head) > 80


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_from_where_its_local_files_come(name):
    text = PRESETS[name].read_text()
    said = "\n".join(re.findall(r"#.*", text))
    for folder, origin in {"models/": "hf download Qwen/", "data/": r"https://github.com/|--local-dir data/"}.items():
        assert not re.search(f"[ [:]{folder}", re.sub(r"#.*", "", text)) or re.search(origin, said), folder


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_plans_its_jobs(bare, name):
    mine, sweep, gpus = SHARDS[name]
    preset = yaml.safe_load(PRESETS[name].read_text())
    (run,) = preset["runs"]
    counts, asked = planned(bare, f"results/{run['dataset']}_pareto.pdf", "--configfile", f"config/presets/{name}.yaml")
    ones = ("prepare_problems", "gather_labels", "gather_grid", "select_judge", "gather_sweep")
    ones += ("measure_call_cost", "build_pareto", "plot_pareto")
    fits = len(yaml.safe_load((ROOT / "config/config.yaml").read_text())["judge"]["feature_sets"])
    fits *= 1 + preset.get("judge", {}).get("folds", 0)
    counted = {"mine_labels": mine, "train_judge": fits, "sweep_thresholds": sweep} | dict.fromkeys(ones, 1)
    if run["dataset"] in ("mbpp", "humaneval", "livecodebench"):
        counted["prepare_tests"] = 1
    if run["dataset"] in ("humaneval", "livecodebench"):  # a judge for each of five folds, and one to serve
        counted |= dict.fromkeys(("gather_grid", "select_judge"), 6) | {"train_judge": 6 * fits}
    assert counts == counted
    assert asked == {gpus}


def test_the_gsm8k_figure_is_planned_with_a_gpu_for_each_mining_shard(bare):
    result = bare.snakemake("-n", "results/gsm8k_pareto.pdf", small=False)
    assert "results/gsm8k/qwen2.5_0.5b_7b/labels.parquet" in result.stdout + result.stderr
    counts, gpus = planned(bare, "results/gsm8k_pareto.pdf")
    assert counts["mine_labels"] == 2 and gpus == {1}
