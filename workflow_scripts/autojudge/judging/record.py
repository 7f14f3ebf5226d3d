"""What judge.json holds: a typed record, written and read here. Needs no package."""

import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from autojudge.errors import InputError

FORMAT = 5


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval, and the standard error of the resampled values."""

    value: float
    low: float
    high: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Validation:
    """How good a judge is on the validation split, which chose it.

    Attributes
    ----------
    recall_wanted : float
        Share of important mismatches that the threshold by recall had to refuse.
    recall, unimportant_accepted : float
        Shares of important mismatches refused and of unimportant ones kept at that threshold.
    mismatches, problems : int
        Their numbers.
    auc, average_precision, accepted_at_90, accepted_at_95 : Estimate
        As `metrics.measure` has them.
    """

    recall_wanted: float
    recall: float
    unimportant_accepted: float
    mismatches: int
    problems: int
    auc: Estimate
    average_precision: Estimate
    accepted_at_90: Estimate
    accepted_at_95: Estimate


@dataclass(frozen=True)
class OperatingPoint:
    """Where a judge is to be served, as a sweep recommends it, beside the threshold.

    Attributes
    ----------
    rule : str
        The rule of the sweep that asked the judge.
    window : int
        Tokens that the draft proposes per cycle.
    chosen_by : str
        How it was chosen, in words.
    tolerance : float
        Percentage points that it was allowed to lose against lossless decoding where it was chosen.
    cost_ratio : float
        Time of a draft call over that of a target call, by which it is the fastest.
    measured_on : str
        `validation`, which chose it, or, of a dataset with folds, `folds`: each fold's problems, decoded with the
        fold's own judge and point, of which window and threshold are the medians.
    problems : int
        Their number.
    drop, drop_low, drop_high : float
        Percentage points lost there against lossless decoding at that window, and their paired 95 % interval.
    accepted_per_cycle, emitted_per_cycle : float
        Tokens per cycle there, by the paper's count and by engines'.
    speedup : float
        Projected, over the target alone, there.
    provenance : dict
        Commit, packages, seed and a hash of the settings of what wrote it.
    """

    rule: str
    window: int
    chosen_by: str
    tolerance: float
    cost_ratio: float
    measured_on: str
    problems: int
    drop: float
    drop_low: float
    drop_high: float
    accepted_per_cycle: float
    emitted_per_cycle: float
    speedup: float
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Record:
    """What is known of a judge beside its tensors.

    Attributes
    ----------
    columns : list of str
        Columns of features.parquet that it reads, in order.
    sizes : list of int
        How many numbers each of them holds.
    features_read : int
        How many of all these numbers its score depends on.
    feature_set, classifier, hyperparameter, value
        The grid point that was chosen.
    recall_threshold : float
        The largest threshold that refuses the wanted share of important validation mismatches.
    threshold : float or None
        The one to use, that of the operating point: keep a draft token when p(important) lies below it. None as long as
        no sweep has recommended one.
    operating_point : OperatingPoint or None
    thresholds, recall_at_thresholds, accepted_at_thresholds : list of float
        Candidates, with the shares of important mismatches refused and of unimportant ones kept on validation.
    validation : Validation
    dataset, task : str
        What it was trained on; the task with the version of its scoring.
    models : dict of role to dict
        `describe_models` of the pair.
    provenance : dict
        Commit, packages, seed and a hash of the settings.
    """

    columns: list[str]
    sizes: list[int]
    features_read: int
    feature_set: str
    classifier: str
    hyperparameter: str
    value: float
    recall_threshold: float
    threshold: float | None
    operating_point: OperatingPoint | None
    thresholds: list[float]
    recall_at_thresholds: list[float]
    accepted_at_thresholds: list[float]
    validation: Validation
    dataset: str
    task: str
    models: dict[str, dict[str, Any]]
    provenance: dict[str, Any]

    @property
    def point(self) -> dict[str, Any]:
        """The grid point, under the names of the grid's columns."""
        return {name: getattr(self, name) for name in ("feature_set", "classifier", "hyperparameter", "value")}


def write_record(record: Record, digest: str) -> str:
    """Return the text of judge.json."""
    return json.dumps({"format": FORMAT} | asdict(record) | {"digest": digest}, indent=2) + "\n"


def read_record(text: str, where: str) -> tuple[Record, str]:
    """Return record and digest of the text of judge.json.

    Parameters
    ----------
    where : str
        Its path, for errors.

    Raises
    ------
    ValueError
        The text is not JSON.
    InputError
        It is of another format, or a key is unknown, missing or of another type.
    """
    found = json.loads(text)
    form = found.get("format") if isinstance(found, dict) else None
    if form != FORMAT:
        raise InputError(f"{where}: format {form} is not {FORMAT}; train the judge again")
    try:
        digest = _read(str, found.get("digest"), "digest")
        return _read(Record, {k: v for k, v in found.items() if k not in ("format", "digest")}, ""), digest
    except _FaultyKeyError as fault:
        raise InputError(f"{where}: {fault}; train the judge again") from None


class _FaultyKeyError(Exception):
    """A key of a record that is unknown, missing or of another type."""


def _read(kind: Any, value: Any, key: str) -> Any:
    """Return a value as its annotation has it: a dataclass, list, dict, str, int, float, None or anything."""
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        if unknown := sorted(value.keys() - hints.keys()):
            raise _FaultyKeyError(f"unknown key `{_join(key, unknown[0])}`")
        if missing := [f.name for f in fields(kind) if f.name not in value]:
            raise _FaultyKeyError(f"`{_join(key, missing[0])}` is missing or of another type")
        return kind(**{f.name: _read(hints[f.name], value[f.name], _join(key, f.name)) for f in fields(kind)})
    if NoneType in get_args(kind):
        return None if value is None else _read(get_args(kind)[0], value, key)
    if get_origin(kind) is list and isinstance(value, list):
        return [_read(get_args(kind)[0], item, f"{key}[{i}]") for i, item in enumerate(value)]
    if get_origin(kind) is dict and isinstance(value, dict):
        return {name: _read(get_args(kind)[1], item, _join(key, name)) for name, item in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is Any or type(value) is kind:
        return value
    raise _FaultyKeyError(f"`{key}` is missing or of another type")


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
