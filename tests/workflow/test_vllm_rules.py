"""The measurement in vLLM is made by name alone, and a change of its figure measures nothing again."""

import shutil

import pytest


def test_it_is_planned_by_name_and_not_by_default(fresh):
    assert not {"measure_vllm", "plot_vllm"} & set(fresh.planned())
    planned = fresh.planned("results/arith/testbed/vllm.pdf")
    assert planned["measure_vllm"] == planned["plot_vllm"] == planned["export_judge"] == 1
    planned = fresh.planned("results/humaneval/qwen2.5_0.5b_7b/vllm.csv")
    assert planned["measure_vllm"] == 1 and planned["select_judge"] == 6, "each fold's judge and that of all problems"


def test_without_its_table_a_figure_of_other_settings_or_of_another_judge_is_stale(fresh):
    folder = fresh.folder / "results/arith/testbed"
    (folder / "export").mkdir(parents=True)
    for name in ("problems.parquet", "export/judge.json", "export/judge.safetensors"):
        (folder / name).touch()
    shutil.copy(fresh.folder / "docs/results/arith_vllm.csv", folder / "vllm.csv")
    drawn = fresh.snakemake("--cores", "1", "results/arith/testbed/vllm.pdf")
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
    (folder / "vllm.csv").unlink()  # as snakemake leaves an interrupted measurement
    asked = ("results/arith/testbed/vllm.pdf", "--config")
    assert fresh.planned(*asked, "vllm={python: another}") == {}
    assert fresh.planned(*asked, "vllm={batches: [2]}") == {"measure_vllm": 1, "plot_vllm": 1}
    (folder / "export/judge.json").touch()
    assert fresh.planned("results/arith/testbed/vllm.pdf") == {"measure_vllm": 1, "plot_vllm": 1}


@pytest.mark.parametrize(
    "given, told",
    [
        ("vllm={batches: [0]}", "vllm"),
        ("vllm={thresholds: [1.5]}", "vllm"),
        ("vllm={threshold: [0.5]}", "vllm"),
    ],
)
def test_a_slip_in_its_settings_ends_the_dry_run(fresh, given, told):
    result = fresh.snakemake("-n", "results/arith/testbed/vllm.pdf", "--config", given)
    assert result.returncode != 0 and told in result.stdout + result.stderr


def test_a_python_without_vllm_is_told_before_anything_is_measured(finished):
    result = finished.snakemake("--cores", "1", "results/arith/testbed/vllm.csv")
    assert result.returncode != 0
    log = (finished.folder / "logs/measure_vllm/arith/testbed.log").read_text()
    assert "has no vLLM" in log and "`vllm.python`" in log and "docs/serving.md" in log
    assert not (finished.folder / "results/arith/testbed/vllm.csv").exists()
