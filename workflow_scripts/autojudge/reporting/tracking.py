"""Weights & Biases: one run per dataset, pair and rule, from finished tables."""

import hashlib
import json
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

logger = logging.getLogger(__name__)

JUDGE_RULE = "judge"
JUDGE_FILES = ("judge.json", "judge.safetensors")
SUMMARY_COLUMNS = (
    *("window", "threshold"),
    *("accuracy", "accuracy_low", "accuracy_high"),
    *("drop", "drop_low", "drop_high"),
    *("retention", "retention_low", "retention_high"),
    *("speedup", "cost_ratio", "accepted_per_cycle", "emitted_per_cycle"),
    *("differing", "length_ratio", "cut_off", "looping"),
)
JUDGE_METRICS = ("auc", "average_precision", "accepted_at_90", "accepted_at_95")
# Not every `..._token`: tokens of a text are no secret.
SECRET_KEY = re.compile(r"(^|_)(api_?key|secret|password|credentials?)$|^((hf|hub|auth|access)_)?token$", re.IGNORECASE)

# W&B waits without end by default; a workflow that has its results must not. All in seconds.
TIMEOUTS = {"init_timeout": 60.0, "finish_timeout": 120.0, "x_service_wait": 60.0}
TIME_LIMIT = 600.0  # no further run is begun after that many seconds

# Of W&B's environment variables those that tell who logs in, where, over which network, and where its caches lie. All
# others are hidden from it: those of a sweep, a launch or a shell's last experiment would name and place our runs.
HEEDED = {
    *("API_KEY", "IDENTITY_TOKEN_FILE", "CREDENTIALS_FILE", "ENTITY", "USERNAME", "USER_EMAIL", "BASE_URL", "APP_URL"),
    *("HTTP_TIMEOUT", "FILE_PUSHER_TIMEOUT", "INSECURE_DISABLE_SSL", "HTTP_PROXY", "HTTPS_PROXY"),
    *("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR", "DEBUG", "CORE_DEBUG", "ERROR_REPORTING"),
}


@dataclass(frozen=True)
class RunRecord:
    """What one W&B run shows.

    Attributes
    ----------
    config : dict
        The values that define the run; with dataset, pair and rule they give its id.
    pareto : DataFrame
        The pareto rows of this pair and rule, by window, then by rising threshold.
    sweep : DataFrame
        The sweep rows of this pair and rule, without lists of tokens.
    judge : Path or None
        Folder of the judge; None for a rule that has none.
    speed : DataFrame or None
        Table `speed` of the pair.
    tokens : Path or None
        The page of the judge's mismatches.
    """

    dataset: str
    pair: str
    rule: str
    config: Mapping[str, Any]
    pareto: pd.DataFrame
    sweep: pd.DataFrame
    figure: Path
    judge: Path | None = None
    speed: pd.DataFrame | None = None
    tokens: Path | None = None

    @property
    def id(self) -> str:
        """Id of the run: the same for the same config, so that a rerun finds its run."""
        return run_id(self.dataset, self.pair, self.rule, self.config)

    @property
    def name(self) -> str:
        """Name that the dashboard shows."""
        return f"{self.dataset}/{self.pair}/{self.rule}"


def run_id(dataset: str, pair: str, rule: str, config: Mapping[str, Any]) -> str:
    """Return the id of a run, 16 hex digits of the hash of what defines it."""
    content = {"dataset": dataset, "pair": pair, "rule": rule, "config": config}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_config(config: Mapping[str, Any], pair: str, rule: str) -> dict[str, Any]:
    """Return the part of a config that defines one run.

    Of the definitions (`pairs`, `rules`) only the run's own stay, so that a change of another one keeps the id. Keys
    that hold a secret are left out.
    """
    kept: dict[str, Any] = _without_secrets(config)
    for key, name in (("pairs", pair), ("rules", rule)):
        if isinstance(kept.get(key), Mapping):
            kept[key] = {name: kept[key][name]} if name in kept[key] else {}
    return kept


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_secrets(item) for key, item in value.items() if not SECRET_KEY.search(str(key))}
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in value]
    return value


def collect_runs(
    dataset: str,
    pareto: pd.DataFrame,
    sweeps: Mapping[str, pd.DataFrame],
    judges: Mapping[str, Path],
    figure: Path,
    config: Mapping[str, Any],
    speeds: Mapping[str, pd.DataFrame],
    pages: Mapping[str, Path],
) -> list[RunRecord]:
    """Return the runs of a dataset: one for each pair of `sweeps` and rule of its pareto rows.

    Parameters
    ----------
    pareto : DataFrame
        Table `pareto`, all pairs.
    sweeps : dict of pair to DataFrame
        Tables `sweep`, without lists of tokens.
    judges, pages : dict of pair to Path
        Folders of the judges, and pages of their mismatches.
    speeds : dict of pair to DataFrame
        Tables `speed`.
    """
    runs = []
    for pair, sweep in sweeps.items():
        of_pair = pareto[pareto["pair"] == pair]
        for rule in of_pair["rule"].unique():
            rows = of_pair[of_pair["rule"] == rule].sort_values(["window", "threshold"], ignore_index=True)
            runs.append(
                RunRecord(
                    dataset=dataset,
                    pair=pair,
                    rule=rule,
                    config=run_config(config, pair, rule),
                    pareto=rows,
                    sweep=sweep[sweep["rule"] == rule],
                    figure=figure,
                    judge=judges.get(pair) if rule == JUDGE_RULE else None,
                    speed=speeds.get(pair),
                    tokens=pages.get(pair) if rule == JUDGE_RULE else None,
                )
            )
    return runs


def choose_row(pareto: pd.DataFrame) -> dict[str, Any]:
    """Return the pareto row that stands for a run: the recommended one, else the most accurate, then the fastest."""
    recommended = pareto[pareto["recommended"].eq(True)]
    best = pareto.sort_values(["accuracy", "speedup"], ascending=False, na_position="last")
    return _rows(recommended if len(recommended) else best)[0]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows with plain Python values, None where one is missing (JSON has no NaN)."""
    values = table.astype(object).where(table.notna(), None)
    return [dict(zip(table.columns, row, strict=True)) for row in values.itertuples(index=False)]


def log_runs(runs: list[RunRecord], tracking: Mapping[str, Any], folder: str | Path) -> list[dict[str, Any]]:
    """Write runs to W&B; a fault of W&B is a warning and a line of the result, never an error.

    Parameters
    ----------
    tracking : dict
        `mode` (offline, online or disabled), `project` and `entity` of the config, `experiment` that groups the runs.
    folder : path
        Where W&B writes, a folder named `wandb`, so that `wandb sync` beside it finds the runs.

    Returns
    -------
    list of dict
        For each run `id`, `name`, `pair`, `rule`, `mode`, `folder` (relative to the parent of `folder`) and `fault`;
        the last two are None where there is none.
    """
    start, receipts = time.monotonic(), []
    with variables_hidden():
        for run in runs:
            receipt = {"id": run.id, "name": run.name, "pair": run.pair, "rule": run.rule, "mode": tracking["mode"]}
            receipt |= {"folder": None, "fault": None}
            try:
                if time.monotonic() - start > TIME_LIMIT:
                    raise TimeoutError(f"not begun: the runs before it took over {TIME_LIMIT:.0f} s")
                if tracking["mode"] != "disabled":
                    receipt["folder"] = str(log_run(run, tracking, Path(folder)))
            except Exception as fault:  # whatever W&B raises: the results are there, only their copy is not
                receipt["fault"] = f"{type(fault).__name__}: {fault}"
                logger.warning("W&B run %s was not written: %s", run.name, receipt["fault"])
            receipts.append(receipt)
    return receipts


@contextmanager
def variables_hidden(read: Collection[str] = ()) -> Iterator[None]:
    """Hide W&B's environment variables but for `HEEDED` ones: ids, names and places are those of config and receipt.

    Parameters
    ----------
    read : collection of str
        Variables whose values the caller has read and uses itself; they are hidden, and not told as ignored.
    """
    hidden = {name for name in os.environ if name.startswith("WANDB_") and name.removeprefix("WANDB_") not in HEEDED}
    before = {name: os.environ.pop(name) for name in hidden}
    if ignored := sorted(hidden - {"WANDB_SILENT", "WANDB_QUIET", *read}):
        logger.info("ignored: %s; the config's `tracking` says where runs go", ", ".join(ignored))
    try:
        yield
    finally:
        os.environ |= before


def write_receipt(dataset: str, runs: list[dict[str, Any]], path: str) -> None:
    """Write down, whole, which runs of a dataset `log_runs` made."""
    partial = Path(f"{path}.partial")
    partial.write_text(json.dumps({"dataset": dataset, "runs": runs}, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def log_run(run: RunRecord, tracking: Mapping[str, Any], folder: Path) -> Path:
    """Write one run, in place of an earlier one of the same id, and return its folder, relative to `folder`'s parent.

    Raises
    ------
    OSError
        `folder` cannot be written; W&B would go to the system's temporary folder instead.
    PermissionError
        The mode is online and there is no login.
    RuntimeError
        W&B gave the run another id.
    """
    wandb = import_wandb()
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if folder.name != "wandb" or not os.access(folder, os.W_OK):
        raise OSError(f"{folder}: not a writable folder named wandb")
    if tracking["mode"] == "online" and not wandb.login(prompt=False):
        raise PermissionError("no login for tracking.mode online; run `wandb login`, or choose offline")
    for earlier in folder.glob(f"*run-*-{run.id}"):
        shutil.rmtree(earlier)
    with wandb.init(**_init_arguments(wandb, run, tracking, folder)) as session:
        if session.id != run.id:
            raise RuntimeError(f"W&B gave it the id {session.id}, in place of {run.id}")
        written = Path(session.settings.sync_dir).resolve()
        with _staging(written / "staging"):
            _log_contents(wandb, session, run)
    return written.relative_to(folder.parent)


def import_wandb() -> ModuleType:
    """Import W&B with its own fault reports off: an offline run must not touch the network."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb


def _init_arguments(wandb: ModuleType, run: RunRecord, tracking: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        save_code=False,
        symlink=False,  # jobs of several datasets share the folder
        use_dot_wandb=False,
        sagemaker_disable=True,  # else it takes the id from there
        finish_timeout_raises=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        **TIMEOUTS,
    )
    return {
        "id": run.id,
        "name": run.name,
        "project": tracking.get("project") or "autojudge",
        "entity": tracking.get("entity"),
        "group": tracking.get("experiment") or "autojudge",
        "job_type": run.rule,
        "tags": [run.dataset[:64], run.pair[:64]],  # W&B's limit
        "config": {"dataset": run.dataset, "pair": run.pair, "rule": run.rule, "settings": run.config},
        "mode": tracking["mode"],
        "resume": "allow" if tracking["mode"] == "online" else None,
        "dir": str(folder.parent),
        "settings": settings,
    }


@contextmanager
def _staging(folder: Path) -> Iterator[None]:
    """Let W&B keep copies of artifacts in the run's folder, to go and stay with it, instead of in the home folder."""
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]
        else:
            os.environ["WANDB_DATA_DIR"] = before


def _log_contents(wandb: ModuleType, session: Any, run: RunRecord) -> None:
    """Log history, tables, figure, judge and summary; the summary last, for logging writes to it too."""
    for column in ("speedup", "accepted_per_cycle", "window"):
        session.define_metric(column)
    for column in ("accuracy", "accuracy_low", "accuracy_high", "drop", "retention"):
        session.define_metric(column, step_metric="speedup")
    numeric = run.pareto.select_dtypes("number")
    for step, row in enumerate(_rows(numeric)):
        # Numbered steps: a resumed run has them already and W&B drops them, so its curve is not doubled.
        session.log({column: value for column, value in row.items() if value is not None}, step=step)
    # The file of a table is cut at 10,000 rows by default, less than one sweep.
    wandb.Table.MAX_ROWS = wandb.Table.MAX_ARTIFACT_ROWS
    session.log(
        {
            "sweep": _table(wandb, run.sweep),
            "pareto": _table(wandb, run.pareto),
            "figure": wandb.Image(str(run.figure)),
        }
    )
    if run.judge is not None:
        artifact = wandb.Artifact(f"judge-{run.dataset}-{run.pair}", type="judge")
        for name in JUDGE_FILES:
            artifact.add_file(str(run.judge / name))
        session.log_artifact(artifact)
    if run.tokens is not None:
        session.log({"tokens": wandb.Html(str(run.tokens))})
    row = choose_row(run.pareto)
    session.summary.update(
        {column: row[column] for column in SUMMARY_COLUMNS} | judge_metrics(run) | speed_metrics(run)
    )


def judge_metrics(run: RunRecord) -> dict[str, float]:
    """Return how good the run's judge is on validation, as `judge/NAME`; nothing for another rule."""
    if run.judge is None:
        return {}
    validation = json.loads((run.judge / "judge.json").read_text(encoding="utf-8")).get("validation", {})
    return {f"judge/{name}": validation[name]["value"] for name in JUDGE_METRICS if name in validation}


def speed_metrics(run: RunRecord) -> dict[str, float]:
    """Return tokens per second of the run's rule by batch, and how many times those of the target alone they are."""
    if run.speed is None:
        return {}
    rates = run.speed.set_index(["method", "batch"])["tokens_per_second"]
    found: dict[str, float] = {}
    for batch in run.speed["batch"].unique() if run.rule in run.speed["method"].unique() else []:
        rate, alone = (float(rates.get((method, batch), float("nan"))) for method in (run.rule, "target"))
        found |= {f"tokens_per_second/batch_{batch}": rate, f"measured_speedup/batch_{batch}": rate / alone}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _table(wandb: ModuleType, table: pd.DataFrame) -> Any:
    return wandb.Table(columns=list(table.columns), data=[list(row.values()) for row in _rows(table)])
