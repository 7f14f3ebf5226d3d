"""A judge made ready for an engine: found, loaded, its pair checked, its threshold settled."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch

from autojudge.engine.contents import folder_digest
from autojudge.engine.settings import expand_path
from autojudge.errors import InputError
from autojudge.judging.artifact import Judge, load_judge
from autojudge.tables.feature_names import SCALARS

WINDOW = 8  # tokens drafted per cycle where nothing recommends another
FILES = ("judge.json", "judge.safetensors")
GIVE = "give the exported folder, results/DATASET/PAIR/export, or a hub name"
logger = logging.getLogger("autojudge")


@dataclass(frozen=True)
class Model:
    """One of the models that a judge is served with.

    Attributes
    ----------
    name : str
        What it was loaded by: a folder, or a name on the hub.
    hidden : int
        Width of its hidden states.
    dtype : str
        What it computes in, such as float32; empty: not known.
    """

    name: str
    hidden: int
    dtype: str = ""


def judge_folder(name: str, revision: str | None = None, token: str | bool | None = None) -> Path:
    """Return the local folder of a judge, its two files downloaded where the name is one of the hub (owner/name).

    Raises
    ------
    InputError
        There is no such folder, nor such a repository, with a judge in it.
    """
    if not str(name).strip():
        raise InputError(f"judge {name!r}: is not a name; {GIVE}")
    folder = expand_path(name)
    if folder.is_dir():
        if missing := [file for file in FILES if not (folder / file).is_file()]:
            raise InputError(f"no {' and no '.join(missing)} in {folder}; {GIVE}")
        return folder
    if name.count("/") != 1 or name.startswith((".", "~", "/")):
        raise InputError(f"judge {name}: no such folder; name the folder of judge.json, or a hub name (owner/name)")
    return _download(name, revision, token)


@lru_cache(maxsize=64)
def _download(name: str, revision: str | None, token: str | bool | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        paths = [Path(hf_hub_download(name, file, revision=revision, token=token)) for file in FILES]
    except Exception as fault:  # what the hub's client and the libraries below it raise has no end
        reason = (str(fault).splitlines() or [""])[0] or type(fault).__name__
        raise InputError(
            f"judge {name}: no such folder here, and it cannot be loaded from the hub ({reason}); check the name"
        ) from fault
    return paths[0].parent


def serve_judge(
    folder: Path, models: Mapping[str, Model], device: torch.device, other_models: bool = False
) -> tuple[Judge, str]:
    """Load a judge for a pair, its tensors on a device; what was loaded and checked before is taken again.

    Parameters
    ----------
    models : mapping of str to Model
        Draft and target, by role.
    other_models : bool
        Do not compare the models with those that it was trained for, only the widths of their states.

    Returns
    -------
    Judge and str
        The judge and its digest.

    Raises
    ------
    InputError
        The judge is damaged, or for other models.
    """
    stamp = tuple(_stamp(folder / file) for file in FILES)
    return _serve(folder.resolve(), stamp, tuple(sorted(models.items())), device, other_models)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        state = file.stat()
    except OSError:  # `load_judge` says what is wrong
        return 0, 0
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=8)
def _serve(
    folder: Path, _stamp: object, models: tuple[tuple[str, Model], ...], device: torch.device, other_models: bool
) -> tuple[Judge, str]:
    judge = load_judge(folder)
    trained = judge.record.models
    for made in ("first_layers", "prompt_lookup"):
        if trained.get("draft", {}).get(made):
            raise InputError(
                f"judge {folder}: was trained for a draft by `{made}`, which is no model that can be named; train one "
                "for a draft model"
            )
    check_models(judge, dict(models), other_models)
    if other_models:
        logger.warning("AutoJudge: the models were not compared with those that the judge was trained for")
    _compare_dtypes(trained, models)
    return judge.to(device), judge.digest()


def _compare_dtypes(trained: Mapping[str, Mapping[str, Any]], models: tuple[tuple[str, Model], ...]) -> None:
    """Warn where a model computes in another dtype than in training."""
    for role, model in models:
        dtype = trained.get(role, {}).get("dtype")
        if dtype and model.dtype and dtype != model.dtype:
            logger.warning(
                "AutoJudge: the %s computes in %s, and in training it did in %s (load it with dtype=torch.%s)",
                role,
                model.dtype,
                dtype,
                dtype,
            )


def check_models(judge: Judge, models: Mapping[str, Model], other_models: bool) -> None:
    """Compare models with those that a judge was trained for.

    Parameters
    ----------
    models : mapping of str to Model
        By role; one that is not among them is not compared.
    other_models : bool
        Compare the widths of their states alone.

    Raises
    ------
    InputError
        A model, or the width of its states, is another.
    """
    found = {} if other_models else {role: identify_model(model.name) for role, model in models.items()}
    try:
        judge.check_pair({**judge.record.models, **found}, {role: model.hidden for role, model in models.items()})
    except InputError as fault:
        raise InputError(
            f"{fault}. If they are the same in another form (quantised, moved to the hub), set `other_models`"
        ) from None


def identify_model(name: str) -> dict[str, str]:
    """Return what tells a model from others: a folder's contents, the hub's name, also of a snapshot from the hub."""
    folder = expand_path(name)
    if not folder.is_dir():
        return {"model": name}
    place = folder.parent.parent.name  # models--owner--name of .../models--owner--name/snapshots/revision
    if folder.parent.name == "snapshots" and place.startswith("models--"):
        name = place.removeprefix("models--").replace("--", "/", 1)
    try:
        return {"model": name, "contents": folder_digest(folder)}
    except OSError as fault:
        raise InputError(f"{folder}: cannot be read ({fault.strerror}); check its permissions") from fault


def check_columns(judge: Judge, served: frozenset[str], engine: str) -> None:
    """Refuse a judge that reads what an engine does not have: columns beside the scalars and these.

    Raises
    ------
    InputError
        Names them.
    """
    if missing := sorted(set(judge.columns) - served - set(SCALARS)):
        raise InputError(
            f"the judge reads {', '.join(missing)}, which {engine} does not have while it verifies a window; choose "
            "one with other features (config key `judge.select.feature_sets`)"
        )


def settle_threshold(judge: Judge, threshold: float | None) -> float:
    """Return the threshold to decode with: the one given, else the judge's recommended one.

    Raises
    ------
    InputError
        There is neither, or it is no number from 0 on.
    """
    if threshold is None:
        threshold = judge.record.threshold
    if threshold is None:
        raise InputError(
            "the judge has no recommended `threshold`: that is written after the sweep (rule export_judge); serve the "
            "exported folder, or give `threshold`"
        )
    return check_threshold(threshold, "threshold")


def check_threshold(threshold: object, name: str) -> float:
    """Return a threshold as a number; one above 1 keeps every draft token. Raises InputError, with its name."""
    if isinstance(threshold, bool) or not isinstance(threshold, Real):
        raise InputError(f"{name} {threshold!r} is not a number; give 0 (lossless) or more")
    try:
        number = float(threshold)
    except OverflowError:
        threshold = number = math.inf
    if not 0 <= number < math.inf:
        raise InputError(f"{name} {threshold}: must be 0 (lossless) or more")
    return number


def settle_window(judge: Judge, window: object) -> int:
    """Return the tokens to draft per cycle: those given, else the judge's recommended ones, else WINDOW.

    Raises
    ------
    InputError
        It is no whole number from 1 on.
    """
    if window is None:
        point = judge.record.operating_point
        return point.window if point else WINDOW
    if isinstance(window, bool) or not isinstance(window, Integral) or window < 1:
        raise InputError(f"window {window!r}: must be a whole number of at least 1: the tokens drafted per cycle")
    return int(window)


@lru_cache(maxsize=64)
def announce(digest: str, threshold: float) -> None:
    """Say once in the log that decoding is lossy, or that threshold 0 makes it lossless."""
    kind = "LOSSY" if threshold > 0 else "lossless"
    logger.warning(
        "AutoJudge: decoding is %s: judge %.12s keeps draft tokens with p(important) < %g", kind, digest, threshold
    )
