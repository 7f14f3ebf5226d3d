"""A W&B workspace and a report page over the runs of `tracking`, defined in code: what is shown, and where it is made.

Every run of the project is shown, grouped by experiment, so that seeds, pairs and sources of labels compare in one
view.
"""

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autojudge.reporting.tracking import import_wandb, variables_hidden

import_wandb()  # before what imports it, too: else it reports faults to its makers

import wandb_workspaces.reports.v2 as wr  # noqa: E402
import wandb_workspaces.workspaces as ws  # noqa: E402

logger = logging.getLogger(__name__)

TIME_LIMIT = 120.0  # seconds for W&B: its client retries for longer than a person waits
NAME = "AutoJudge"
SPECS = {"workspace": "workspace.json", "report": "report.json"}
RECEIPT = "dashboard.json"
READ = ("WANDB_MODE", "WANDB_PROJECT")  # by `describe_place`
POINT = (
    *("window", "threshold", "accuracy", "accuracy_low", "accuracy_high", "drop", "drop_low", "drop_high"),
    *("retention", "speedup", "accepted_per_cycle", "emitted_per_cycle", "cut_off"),
)
COLUMNS = [
    *("run:displayName", "config:dataset.value", "config:pair.value", "config:rule.value"),
    *(f"summary:{name}" for name in POINT),
]
WIDE, HALF, HEIGHT = 24, 12, 10  # of panels, in W&B's grid of 24 columns
TEXT = {
    "Accuracy against speed": "Each run at its recommended window and threshold: the speed-up that its counted model "
    "calls promise, over the target alone, and its accuracy on the test problems. The curves are all thresholds.",
    "Recommended points": "Of each run: window, threshold, accuracy with its interval, points lost against lossless "
    "decoding, and what was gained. Below, every threshold of every run.",
    "Judges": "On validation, which chose them, so optimistic: the share of unimportant mismatches that is kept where "
    "90 % (95 %) of the important ones are refused, and AUC.",
    "Speed": "Measured tokens per second, and over those of the target alone on the same machine, for 1 and 16 "
    "responses side by side.",
    "Tokens": "Mined responses with each mismatch, its alternative and the judge's probability; and the figure.",
}


LEGEND = "${run:group} ${run:displayName}"


def panels() -> dict[str, list[Any]]:
    """Return the panels of each section, new ones at each call: a grid moves them, and each has an id."""
    summary = wr.SummaryMetric
    rates = [f"{kind}/batch_{batch}" for kind in ("measured_speedup", "tokens_per_second") for batch in (1, 16)]
    judged = [f"judge/{name}" for name in ("accepted_at_90", "accepted_at_95", "auc", "average_precision")]
    points = wr.ScatterPlot(title="Recommended points", x=summary("speedup"), y=summary("accuracy"))
    curves = wr.LinePlot(title="All thresholds", x="speedup", y=["accuracy"], max_runs_to_show=100)
    for plot in (points, curves):
        plot.legend_template, plot.layout = LEGEND, _layout(HALF)
    return {
        "Accuracy against speed": [points, curves],
        "Recommended points": [wr.WeavePanelSummaryTable(table_name="pareto", layout=_layout(WIDE))],
        "Judges": [_bars(name) for name in judged],
        "Speed": [_bars(name) for name in rates],
        "Tokens": [_media(name) for name in ("tokens", "figure")],
    }


def _layout(width: int) -> wr.Layout:
    return wr.Layout(w=width, h=HEIGHT)


def _bars(metric: str) -> wr.BarPlot:
    metrics = [wr.SummaryMetric(metric)]
    return wr.BarPlot(title=metric, metrics=metrics, legend_template=LEGEND, max_bars_to_show=50, layout=_layout(HALF))


def _media(name: str) -> wr.MediaBrowser:
    return wr.MediaBrowser(title=name, media_keys=[name], num_columns=1, layout=_layout(WIDE))


def build_workspace(entity: str, project: str) -> ws.Workspace:
    """Return the workspace; nothing is sent."""
    return fill_workspace(ws.Workspace(entity=entity, project=project, name=NAME))


def fill_workspace(workspace: ws.Workspace) -> ws.Workspace:
    """Return a workspace with our sections and run table."""
    sections = panels()
    workspace.name = NAME
    workspace.sections = [ws.Section(name=name, panels=sections[name], is_open=True) for name in sections]
    workspace.runset_settings = ws.RunsetSettings(
        groupby=[ws.Metric("Group")],
        order=[ws.Ordering(ws.Summary("accuracy"), ascending=False)],
        pinned_columns=list(COLUMNS),
    )
    return workspace


def build_report(entity: str, project: str) -> wr.Report:
    """Return the report page; nothing is sent."""
    return fill_report(wr.Report(entity=entity, project=project))


def fill_report(report: wr.Report) -> wr.Report:
    """Return a report with our blocks, a heading, a sentence and panels for each section."""
    report.title, report.width = NAME, "fluid"
    report.description = "Lossy speculative decoding with a learned judge: accuracy against speed of every run."
    blocks: list[Any] = [wr.TableOfContents()]
    for name, shown in panels().items():
        blocks += [wr.H1(name), wr.P(TEXT[name]), wr.PanelGrid(runsets=[_runs()], panels=shown)]
    report.blocks = blocks
    return report


def _runs() -> wr.Runset:
    """Return all runs of the report's own project."""
    return wr.Runset(
        name="All experiments",
        groupby=["group"],
        order=[wr.OrderBy(wr.SummaryMetric("accuracy"))],
        pinned_columns=list(COLUMNS),
        lock_columns=True,
    )


def describe_place(tracking: Mapping[str, Any]) -> dict[str, Any]:
    """Return mode, project and entity of the dashboard: W&B's own variables, else the config's `tracking`.

    An entity of the config wins, as it does for runs. Runs ignore the mode and the project of the environment, but
    they may have been sent elsewhere since, by `wandb sync`.
    """
    return {
        "mode": os.environ.get("WANDB_MODE") or tracking["mode"],
        "project": os.environ.get("WANDB_PROJECT") or tracking["project"],
        "entity": tracking["entity"] or os.environ.get("WANDB_ENTITY"),
    }


def make_dashboard(tracking: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write both definitions, and make them on W&B where the mode is online.

    A fault of W&B is a warning and a line of the receipt, never an error. What an earlier call made is changed in
    place.

    Parameters
    ----------
    tracking : mapping
        `mode`, `project` and `entity` of the config.
    folder : Path
        Where the definitions and the receipt go.

    Returns
    -------
    dict
        The receipt: `mode`, `project`, `entity`, `workspace` and `report` (addresses, None where there is none) and
        `fault`.
    """
    place = describe_place(tracking)
    known = _read_receipt(folder / RECEIPT, place)
    receipt = place | {name: known.get(name) for name in SPECS} | {"fault": None}
    with variables_hidden(read=READ):
        _write_specs(place, folder)
        if place["mode"] == "online":
            receipt |= _within(TIME_LIMIT, lambda made: _send(place, known, made))
    if receipt["fault"]:
        logger.warning(
            "the W&B dashboard was not made: %s; its definition is in %s. Once W&B answers (`wandb login`, "
            "WANDB_BASE_URL), run `snakemake dashboard` again",
            *(receipt["fault"], folder),
        )
    _write(folder / RECEIPT, receipt)
    return receipt


def _write_specs(place: Mapping[str, Any], folder: Path) -> None:
    """Write what would be made, in W&B's own form, for which its library has no public name."""
    entity, project = place["entity"] or "", place["project"]
    for name, view in {"workspace": build_workspace(entity, project), "report": build_report(entity, project)}.items():
        _write(folder / SPECS[name], view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True))


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_receipt(path: Path, place: Mapping[str, Any]) -> dict[str, Any]:
    """Return the receipt of an earlier call for the same project; an empty one where there is none."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    same = isinstance(known, dict) and all(known.get(key) == place[key] for key in ("project", "entity"))
    return known if same else {}


def _within(seconds: float, send: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return what a call puts into a dict, and as `fault` what it raises, or that it took too long and was left."""
    made: dict[str, Any] = {}
    faults: list[str] = []

    def run() -> None:
        try:
            send(made)
        except BaseException as fault:  # whatever W&B raises: the definitions are there, only their copy is not
            faults.append(f"{type(fault).__name__}: {fault}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        faults = [f"TimeoutError: no answer within {seconds:g} s"]
    return made | {"fault": faults[0] if faults else None}


def _send(place: Mapping[str, Any], known: Mapping[str, Any], made: dict[str, Any]) -> None:
    """Make or change both on W&B, and put their addresses into `made`."""
    wandb = import_wandb()
    if not wandb.login(prompt=False):
        raise PermissionError("no login for mode online; run `wandb login`, or choose offline")
    entity = place["entity"] or wandb.Api().default_entity
    report = fill_report(_found(wr.Report, known.get("report")) or wr.Report(entity=entity, project=place["project"]))
    report.save()  # first, as it makes the project where there is none
    made["report"] = report.url
    workspace = _found(ws.Workspace, known.get("workspace")) or ws.Workspace(entity=entity, project=place["project"])
    fill_workspace(workspace).save()
    made["workspace"] = workspace.url


def _found(kind: Any, url: str | None) -> Any:
    """Return what lies at an address; None where somebody took it away."""
    try:
        return kind.from_url(url) if url else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
