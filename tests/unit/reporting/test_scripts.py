"""Scripts that compute know nothing of figures and pages, so that an edit of one of those reruns it alone."""

import subprocess
import sys

import pytest

from conftest import ROOT


@pytest.mark.parametrize(
    "script, reached",
    [
        ("mine_labels", set()),
        ("sweep_thresholds", set()),
        ("build_pareto", {"statistics"}),
        ("measure_speed", set()),
        ("measure_vllm", {"statistics", "vllm_table"}),
        ("plot_vllm", {"style", "vllm_figure"}),
        ("plot_pareto", {"names", "style", "label_placement", "statistics", "pareto_figure"}),
        ("plot_speed", {"names", "style", "speed_figure"}),
        ("plot_ablation", {"judge_style", "style", "ablation_figure"}),
        ("compare_label_sources", {"area_differences", "label_sources", "label_sources_page", "statistics"}),
        ("plot_label_sources", {"judge_style", "label_placement", "label_sources_figure", "style"}),
        ("plot_label_stability", {"judge_style", "style", "stability_figure"}),
        ("plot_transfer", {"judge_style", "style", "transfer_figure"}),
        ("write_summary", {"names", "statistics", "summary"}),
        ("export_judge", {"judges_page", "label_kinds", "model_card", "operating_point", "statistics"}),
    ],
)
def test_a_script_reaches_of_reporting_only_what_it_needs(script, reached):
    code = f"import sys, {script}; print(*(m for m in sys.modules if m.startswith('autojudge.reporting.')))"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, cwd=ROOT / "workflow_scripts", capture_output=True, text=True, check=True).stdout
    assert {name.split(".")[-1] for name in printed.split()} == reached
