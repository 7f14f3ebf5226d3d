"""The W&B dashboard: written offline, made online against a stand-in for the API, and never in the workflow's way."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autojudge.reporting import dashboard
from autojudge.reporting.dashboard import TEXT, make_dashboard
from autojudge.reporting.tracking import JUDGE_METRICS, SUMMARY_COLUMNS
from conftest import ROOT
from wandb_standin import API_KEY, ENTITY, WandbStandIn

TRACKING = {"mode": "online", "project": "judges", "entity": None, "experiment": "trial"}


PANELS = {"Scatter Plot": 1, "Run History Line Plot": 1, "Bar Chart": 8, "Media Browser": 2, "Weave": 1}


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """A W&B of this machine, with a login."""
    import wandb

    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    server = WandbStandIn()
    kept = {"BASE_URL": server.endpoint, "API_KEY": API_KEY, "ERROR_REPORTING": "false", "SILENT": "true"}
    kept |= {name: str(tmp_path / "wandb_files") for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR")}
    for name, value in kept.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    wandb.teardown()
    yield server
    server.close()
    wandb.teardown()


def read(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text())


def without_ids(value: Any) -> Any:
    """Return a definition without the ids that W&B's library draws anew each time."""
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key not in ("id", "__id__", "ref")}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


def panel_types(value: Any) -> list[str]:
    """Return the types of all panels of a definition, in order."""
    if isinstance(value, list):
        return [found for item in value for found in panel_types(item)]
    if not isinstance(value, dict):
        return []
    own = [value["viewType"]] if "viewType" in value else []
    return own + [found for item in value.values() for found in panel_types(item)]


def test_what_is_sent_is_what_is_written_and_shows_what_was_promised(standin, tmp_path):
    receipt = make_dashboard(TRACKING, tmp_path)
    assert receipt["fault"] is None and standin.projects == ["judges"]
    (workspace,), (report,) = standin.of_type("project-view"), standin.of_type("runs")
    assert {workspace["project"]["name"], report["project"]["name"]} == {"judges"}
    written = {name: read(tmp_path, f"{name}.json") for name in ("workspace", "report")}
    assert without_ids(json.loads(workspace["spec"])) == without_ids(written["workspace"]["spec"])
    assert without_ids(json.loads(report["spec"])) == without_ids(written["report"]["spec"])
    for spec in (workspace["spec"], report["spec"]):
        shown = panel_types(json.loads(spec))
        assert [
            shown.count(kind) for kind in ("Scatter Plot", "Run History Line Plot", "Bar Chart", "Media Browser")
        ] == [*(1, 1, 8, 2)]
        for name in ("speedup", "accuracy", "drop_low", "judge/auc", "measured_speedup/batch_1", "tokens", "figure"):
            assert f'"{name}"' in spec or f"summary:{name}" in spec or f'summary:{name}"' in spec, name
        assert '"group"' in spec, "grouped by experiment"
    sections = json.loads(workspace["spec"])["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == list(TEXT)
    assert receipt["workspace"].startswith(f"{standin.endpoint}/{ENTITY}/judges?nw=")


def test_every_number_that_is_shown_is_logged(tmp_path):
    """The dashboard asks for what `tracking` writes; `batch_1` and `batch_16` are the default batches of the config."""
    logged = {*SUMMARY_COLUMNS, *(f"judge/{name}" for name in JUDGE_METRICS)}
    assert set(dashboard.POINT) <= logged
    for name, bars in dashboard.panels().items():
        shown = {panel.metrics[0].name for panel in bars if hasattr(panel, "metrics")}
        if name == "Judges":
            assert shown <= logged
        if name == "Speed":
            kinds = ("measured_speedup", "tokens_per_second")
            assert shown == {f"{kind}/batch_{batch}" for kind in kinds for batch in (1, 16)}


def test_a_second_time_changes_the_same_views(standin, tmp_path):
    first = make_dashboard(TRACKING, tmp_path)
    second = make_dashboard(TRACKING, tmp_path)
    assert first == second and len(standin.views) == 2 and standin.projects == ["judges"]
    standin.views.clear()  # a person took them away
    third = make_dashboard(TRACKING, tmp_path)
    assert third["fault"] is None and len(standin.views) == 2


def test_offline_asks_nobody_and_writes_the_definitions(standin, tmp_path):
    for mode in ("offline", "disabled"):
        receipt = make_dashboard(TRACKING | {"mode": mode}, tmp_path)
        assert (receipt["mode"], receipt["workspace"], receipt["fault"]) == (mode, None, None)
    assert standin.requests == []
    assert [
        section["name"]
        for section in read(tmp_path, "workspace.json")["spec"]["section"]["panelBankConfig"]["sections"]
    ]


def test_the_variables_of_wandb_are_respected(standin, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "synced")
    monkeypatch.setenv("WANDB_ENTITY", "team")
    monkeypatch.setenv("WANDB_MODE", "online")
    receipt = make_dashboard(TRACKING | {"mode": "offline"}, tmp_path)
    assert receipt["report"].startswith(f"{standin.endpoint}/team/synced/reports/")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert make_dashboard(TRACKING, tmp_path)["mode"] == "offline"
    assert make_dashboard(TRACKING | {"entity": "us"}, tmp_path)["entity"] == "us"


def test_only_variables_that_are_not_used_are_said_to_be_ignored(standin, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_PROJECT", "synced")
    make_dashboard(TRACKING, tmp_path)
    assert "ignored" not in caplog.text
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    make_dashboard(TRACKING, tmp_path)
    assert "ignored: WANDB_RUN_ID; " in caplog.text


@pytest.mark.parametrize("fault", [500, 403, "hang", "refused"])
def test_a_fault_of_the_service_is_a_warning_with_the_remedy(fault, standin, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(dashboard, "TIME_LIMIT", 2.0)
    standin.fault = fault
    if fault == "refused":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    receipt = make_dashboard(TRACKING, tmp_path)
    assert receipt["fault"] and standin.views == {}
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert (
        f"its definition is in {tmp_path}" in warning.getMessage() and "run `snakemake dashboard` again" in caplog.text
    )
    assert read(tmp_path, "workspace.json") and read(tmp_path, "report.json")


def test_a_fault_half_way_leaves_what_was_made_for_the_next_time(standin, tmp_path, monkeypatch):
    def fail(*_: Any) -> None:
        raise RuntimeError("half-way")

    with monkeypatch.context() as patched:
        patched.setattr(dashboard, "fill_workspace", lambda workspace: workspace if not standin.views else fail())
        receipt = make_dashboard(TRACKING, tmp_path)
    assert "half-way" in receipt["fault"] and receipt["report"]
    assert make_dashboard(TRACKING, tmp_path)["fault"] is None
    assert len(standin.of_type("runs")) == 1, "the report was made twice"


def test_without_a_login_it_is_told(standin, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "login" in make_dashboard(TRACKING, tmp_path)["fault"]


def test_the_key_is_in_no_log_and_no_file_and_the_job_ends_though_the_service_hangs(standin, tmp_path):
    """In a process of its own, as the client is one, too, with a log of its own."""
    standin.fault = "hang"
    program = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG); sys.path[:0] = [{}]; from pathlib import Path;"
        "from autojudge.reporting import dashboard as d; d.TIME_LIMIT = 3; from dashboard import dashboard;"
        "print(dashboard({!r}, Path({!r})))"
    ).format(repr(str(ROOT / "workflow_scripts")), TRACKING, str(tmp_path / "out"))
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert told.returncode == 0 and "nothing was sent" in told.stdout, told.stderr
    assert "no answer within 3 s" in told.stderr or "AuthenticationError" in told.stderr
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert API_KEY not in told.stdout + told.stderr and API_KEY.encode() not in files


def test_the_key_is_in_no_log_of_one_that_succeeds(standin, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    make_dashboard(TRACKING, tmp_path)
    printed = capfd.readouterr()
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert API_KEY not in caplog.text + printed.out + printed.err and API_KEY.encode() not in files
    assert API_KEY not in json.dumps(standin.requests)
