"""W&B runs: one per pair and rule, readable offline, never doubled, never in the way of the workflow."""

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from autojudge.reporting import tracking
from autojudge.tables.decoding import COUNTS, SWEEP
from autojudge.tables.files import write_table
from autojudge.tables.reporting import PARETO, SPEED
from log_to_wandb import log_to_wandb

CONFIG = {
    "seed": 3,
    "api_key": "a-secret",
    "pairs": {"small": {"draft": {"model": "d", "hub_token": "a-secret"}}, "large": {"draft": {"model": "e"}}},
    "dataset": {"max_new_tokens": 160},
}
API_KEY = "0123456789abcdef" * 3  # nothing that W&B writes may hold it
THRESHOLDS = {"lossless": [0.0], "judge": [0.5, 0.1, 0.3]}
WINDOWS = (16, 8)
RECOMMENDED = (8, 0.3)


def pareto_rows(pair: str) -> list[dict[str, Any]]:
    """Pareto rows of a pair: accuracy falls and speed grows with the threshold."""
    numbers = dict.fromkeys(PARETO.columns, 0.0) | {"kept_at": "0.9 0.8"}
    return [
        numbers
        | {"pair": pair, "rule": rule, "threshold": threshold, "accuracy": 0.9 - threshold, "problems": 2}
        | {"window": window, "accepted_per_cycle": window - 3 + threshold, "speedup": 2 + threshold - window / 100}
        | {"recommended": rule == "judge" and (window, threshold) == RECOMMENDED}
        for window in WINDOWS
        for rule, thresholds in THRESHOLDS.items()
        for threshold in thresholds
    ]


def sweep_rows() -> list[dict[str, Any]]:
    """Sweep rows of two problems, one without an answer."""
    numbers = dict.fromkeys(COUNTS, 7)
    return [
        {"problem_id": problem, "rule": rule, "threshold": threshold, "window": 8, "correct": answer == "4"}
        | {"repeat": 0, "fold": None, "split": "test", "threshold_low": -float("inf"), "exact": True}
        | {"answer": answer, "response": [1, 2, 3], "cut_off": False, "differs": True, "loops": False, **numbers}
        | {"kept_at": [3, 2], "checked_by": None}
        for rule, thresholds in THRESHOLDS.items()
        for threshold in thresholds
        for problem, answer in (("p1", "4"), ("p2", None))
    ]


def speed_rows() -> list[dict[str, Any]]:
    """Speed of two methods at two batches, the judge twice as fast as the target."""
    rates = {("target", 1): 10.0, ("judge", 1): 20.0, ("target", 16): 50.0, ("judge", 16): 60.0}
    return [
        dict.fromkeys(SPEED.columns, 0) | {"method": method, "batch": batch, "tokens_per_second": rate}
        for (method, batch), rate in rates.items()
    ]


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments of the script for a dataset of two pairs, one of them with a judge."""
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    results = tmp_path / "results"
    write_table(PARETO, pareto_rows("small") + pareto_rows("large"), results / "arith_pareto.csv")
    write_table(SWEEP, sweep_rows(), results / "sweep.parquet")
    Image.new("RGB", (4, 4)).save(results / "arith_pareto.png")
    judge = results / "judge"
    judge.mkdir()
    (judge / "judge.json").write_text('{"threshold": 0.3, "validation": {"auc": {"value": 0.8}, "recall": 0.9}}')
    write_table(SPEED, speed_rows(), results / "speed.csv")
    (results / "tokens.html").write_text("<html>tokens</html>")
    (judge / "judge.safetensors").write_bytes(b"weights")
    return {
        "inputs": {"pareto": results / "arith_pareto.csv", "figure": results / "arith_pareto.png"},
        "sweeps": {"small": results / "sweep.parquet", "large": results / "sweep.parquet"},
        "judges": {"small": judge},
        "dataset": "arith",
        "config": CONFIG,
        "tracking": {"mode": "offline", "project": "autojudge", "entity": None, "experiment": "trial"},
        "folder": results / "wandb",
        "receipt": results / "arith_wandb.json",
        "speeds": {"small": results / "speed.csv"},
        "pages": {"small": results / "tokens.html"},
    }


def logged(inputs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Run the script and return the receipt's runs by name."""
    log_to_wandb(**inputs)
    return {run["name"]: run for run in json.loads(inputs["receipt"].read_text())["runs"]}


def records(folder: Path) -> Iterator[Any]:
    """Read an offline run back: a LevelDB log (blocks of 32 KiB, records in parts) of protobuf messages."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("*.wandb")
    data, at, record = path.read_bytes(), 7, b""  # 7 bytes of W&B's own before the log
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no room for a part's header: the block's end is padding
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(record)
            record = b""


def history(folder: Path) -> list[dict[str, Any]]:
    """Return the logged steps of an offline run."""
    steps = [record.history for record in records(folder) if record.HasField("history")]
    return [{"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in step.item} for step in steps]


def summary(folder: Path) -> dict[str, Any]:
    """Return the last summary of an offline run."""
    values: dict[str, Any] = {}
    for record in records(folder):
        if record.HasField("summary"):
            values |= {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.summary.update}
    return values


def table(folder: Path, name: str) -> pd.DataFrame:
    """Return a logged table of an offline run."""
    (path,) = (folder / "files" / "media" / "table").glob(f"{name}_*.table.json")
    content = json.loads(path.read_text())
    return pd.DataFrame(content["data"], columns=content["columns"])


def test_offline_run_reads_back_with_sweep_history_summary_and_judge(inputs: dict[str, Any]) -> None:
    runs = logged(inputs)
    assert sorted(runs) == [f"arith/{pair}/{rule}" for pair in ("large", "small") for rule in ("judge", "lossless")]
    run = runs["arith/small/judge"]
    assert run["fault"] is None
    folder = inputs["folder"].parent / run["folder"]

    sweep = table(folder, "sweep")
    expected = [row for row in sweep_rows() if row["rule"] == "judge"]
    assert sweep.astype(object).where(sweep.notna(), None).to_dict("records") == [
        {column: value for column, value in row.items() if column not in ("response", "kept_at")} for row in expected
    ]
    pareto = table(folder, "pareto")
    assert list(zip(pareto["window"], pareto["threshold"], strict=True)) == [
        (8, 0.1), (8, 0.3), (8, 0.5), (16, 0.1), (16, 0.3), (16, 0.5),
    ]  # fmt: skip

    steps = [step for step in history(folder) if "accuracy" in step]
    assert [step["window"] for step in steps] == [8] * 3 + [16] * 3
    assert [step["accepted_per_cycle"] for step in steps] == pytest.approx([5.1, 5.3, 5.5, 13.1, 13.3, 13.5])
    assert [step["speedup"] for step in steps] == pytest.approx([2.02, 2.22, 2.42, 1.94, 2.14, 2.34])
    assert [step["accuracy"] for step in steps] == pytest.approx([0.8, 0.6, 0.4] * 2)
    found = summary(folder)  # of the recommended point, not the last nor the best
    assert (found["window"], found["threshold"]) == RECOMMENDED
    assert (found["accuracy"], found["speedup"]) == pytest.approx((0.6, 2.22))
    assert {"retention", "differing", "length_ratio", "cut_off", "looping", "cost_ratio"} <= found.keys()

    (header,) = [record.run for record in records(folder) if record.HasField("run")]
    assert (header.run_id, header.run_group, header.job_type) == (run["id"], "trial", "judge")
    assert sorted(header.tags) == ["arith", "small"]
    config = {item.key: json.loads(item.value_json) for item in header.config.update}
    assert (config["dataset"], config["pair"], config["rule"]) == ("arith", "small", "judge")
    settings = {"seed": 3, "pairs": {"small": {"draft": {"model": "d"}}}, "dataset": {"max_new_tokens": 160}}
    assert config["settings"] == settings


def test_long_sweep_is_logged_whole(inputs: dict[str, Any]) -> None:
    rows = [{**row, "problem_id": str(i)} for i in range(2001) for row in sweep_rows() if row["rule"] == "judge"]
    write_table(SWEEP, rows, inputs["sweeps"]["small"])
    run = logged(inputs | {"sweeps": {"small": inputs["sweeps"]["small"]}})["arith/small/judge"]
    assert len(table(inputs["folder"].parent / run["folder"], "sweep")) == len(rows) == 12006


def artifact_types(folder: Path) -> list[str]:
    """Return the types of the artifacts of an offline run, tables' own aside."""
    types = [record.request.log_artifact.artifact.type for record in records(folder) if record.HasField("request")]
    types += [record.artifact.type for record in records(folder) if record.HasField("artifact")]
    return [kind for kind in types if kind and kind != "run_table"]


def test_only_the_run_of_the_judge_rule_has_the_judge(inputs: dict[str, Any]) -> None:
    found = {name: artifact_types(inputs["folder"].parent / run["folder"]) for name, run in logged(inputs).items()}
    assert found == {
        "arith/small/judge": ["judge"],
        "arith/small/lossless": [],
        "arith/large/judge": [],
        "arith/large/lossless": [],
    }


def test_no_secret_is_written(inputs: dict[str, Any]) -> None:
    logged(inputs)
    written = [path for path in inputs["folder"].rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in written)
    for path in written:
        assert API_KEY.encode() not in path.read_bytes(), path
        assert b"a-secret" not in path.read_bytes(), path


def test_the_judges_run_has_its_metrics_its_measured_speed_and_the_page_of_tokens(inputs: dict[str, Any]) -> None:
    folders = {name: inputs["folder"].parent / run["folder"] for name, run in logged(inputs).items()}
    found = {name: summary(folder) for name, folder in folders.items()}
    judged = found["arith/small/judge"]
    assert judged["judge/auc"] == 0.8 and not [name for name in judged if name.startswith("judge/recall")]
    assert (judged["tokens_per_second/batch_1"], judged["measured_speedup/batch_16"]) == (20.0, 1.2)
    shown = {name: [key for step in history(folder) for key in step] for name, folder in folders.items()}
    assert [name for name, keys in shown.items() if any(key.startswith("tokens") for key in keys)] == [
        "arith/small/judge"
    ]
    for name in ("arith/small/lossless", "arith/large/judge"):
        assert not [key for key in found[name] if key.split("/")[0] in ("judge", "measured_speedup")], name


def test_second_time_leaves_one_run_a_rule(inputs: dict[str, Any]) -> None:
    first, second = logged(inputs), logged(inputs)
    assert {name: run["id"] for name, run in first.items()} == {name: run["id"] for name, run in second.items()}
    found = sorted(path.name for path in inputs["folder"].iterdir())
    assert found == sorted(Path(run["folder"]).name for run in second.values())


def test_disabled_makes_no_run(inputs: dict[str, Any]) -> None:
    inputs["tracking"]["mode"] = "disabled"
    runs = logged(inputs)
    assert len(runs) == 4
    assert {(run["mode"], run["folder"], run["fault"]) for run in runs.values()} == {("disabled", None, None)}
    assert not inputs["folder"].exists()


def test_fault_of_wandb_is_told_in_the_receipt_and_warned_of(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    def fail(**_: Any) -> None:
        raise wandb.errors.CommError("the service is gone")

    monkeypatch.setattr(wandb, "init", fail)
    runs = logged(inputs)
    assert {run["fault"] for run in runs.values()} == {"CommError: the service is gone"}
    assert [record.levelname for record in caplog.records].count("WARNING") == 4


def test_fault_of_one_run_leaves_the_others(inputs: dict[str, Any]) -> None:
    (inputs["judges"]["small"] / "judge.safetensors").unlink()
    faults = {name: run["fault"] for name, run in logged(inputs).items()}
    assert "judge.safetensors" in faults.pop("arith/small/judge")
    assert set(faults.values()) == {None}


def test_folder_that_cannot_be_made_is_a_fault(inputs: dict[str, Any]) -> None:
    inputs["folder"].write_text("a file in the way")
    assert all("FileExistsError" in run["fault"] for run in logged(inputs).values())


def test_online_without_login_is_a_fault_and_asks_nobody(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    prompts: list[bool] = []
    monkeypatch.setattr(wandb, "login", lambda prompt=True: prompts.append(prompt))  # None: no login known
    inputs["tracking"]["mode"] = "online"
    assert all("wandb login" in run["fault"] for run in logged(inputs).values())
    assert prompts == [False] * 4


FOREIGN = {
    "a sweep": {"WANDB_SWEEP_ID": "s7", "WANDB_PROJECT": "theirs", "WANDB_RUN_ID": "r1"},
    "a launch": {"WANDB_LAUNCH": "true", "WANDB_CONFIG": '{"theirs": 1}', "WANDB_RUN_GROUP": "theirs"},
    "a shell": {"WANDB_RESUME": "must", "WANDB_MODE": "disabled", "WANDB_NAME": "theirs", "WANDB_NOTES": "theirs"},
    "an outer run": {"WANDB_SERVICE": "gone", "WANDB_RESUME_FROM": "theirs?_step=3", "WANDB_DISABLED": "true"},
}


@pytest.mark.parametrize("variables", FOREIGN.values(), ids=FOREIGN)
def test_variables_of_another_run_change_nothing(
    inputs: dict[str, Any], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    wandb.teardown()  # it reads the environment once
    for name, value in (variables | {"WANDB_ENTITY": "us"}).items():
        monkeypatch.setenv(name, value)
    judged = [row for row in pareto_rows("small") if row["rule"] == "judge"]
    write_table(PARETO, judged, inputs["inputs"]["pareto"])
    (run,) = logged(inputs | {"sweeps": {"small": inputs["sweeps"]["small"]}}).values()
    assert os.environ.items() >= variables.items()
    wandb.teardown()
    assert (run["fault"], run["mode"]) == (None, "offline")
    found = list(records(inputs["folder"].parent / run["folder"]))
    (header,) = [record.run for record in found if record.HasField("run")]
    assert (header.run_id, header.display_name, header.project) == (run["id"], run["name"], "autojudge")
    assert (header.run_group, header.entity, header.sweep_id, header.notes) == ("trial", "us", "", "")
    assert header.resumed is False and b"theirs" not in header.SerializeToString()


def test_a_run_that_got_another_id_is_a_fault(inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = tracking._init_arguments
    monkeypatch.setattr(tracking, "_init_arguments", lambda *given: made(*given) | {"id": "another"})
    inputs["judges"] = {}
    runs = logged(inputs | {"sweeps": {"small": inputs["sweeps"]["small"]}})
    assert all("gave it the id another, in place of" in run["fault"] for run in runs.values())


def test_no_run_is_begun_after_the_time_limit(inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "TIME_LIMIT", -1.0)
    assert all("not begun" in run["fault"] for run in logged(inputs).values())


def test_run_id_is_stable_and_differs_by_what_defines_the_run() -> None:
    def identify(config: dict[str, Any], dataset: str = "arith", pair: str = "small", rule: str = "judge") -> str:
        return tracking.run_id(dataset, pair, rule, tracking.run_config(config, pair, rule))

    known = identify(CONFIG)
    assert known == identify(dict(reversed(CONFIG.items())))
    assert known == identify(CONFIG | {"api_key": "another"})
    assert known == identify(CONFIG | {"pairs": {"small": CONFIG["pairs"]["small"]}})
    others = [identify(CONFIG | {"seed": 4}), identify(CONFIG | {"pairs": {"small": {"draft": {"model": "f"}}}})]
    others += [identify(CONFIG, dataset="b"), identify(CONFIG, pair="large"), identify(CONFIG, rule="lossless")]
    assert len({known, *others}) == 6
    # The id of a run on a dashboard must not change with Python or with this code.
    assert tracking.run_id("arith", "small", "judge", {"seed": 3}) == "bb9f12ff4555a4cb"


def test_point_of_the_summary_without_a_recommendation_is_the_most_accurate_then_the_fastest() -> None:
    rows = pd.DataFrame({"accuracy": [0.5, 0.9, 0.9], "speedup": [9.0, 1.3, 1.4], "recommended": [None, None, False]})
    assert tracking.choose_row(rows)["speedup"] == 1.4
