"""Made-up results of a pair and of one more source of its labels, as far as they are compared."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autojudge.judging.artifact import Judge
from autojudge.judging.record import Record
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import write_table
from autojudge.tables.mining import FEATURES, LABELS, RESPONSES
from autojudge.tables.table import Table

PROBLEMS, MISMATCHES, TOKENS = 24, 6, {"testbed": 900, "testbed+agreement": 360}  # tokens of the target a problem
STOPPED = 3  # of the mismatches of a problem, by agreement; that of the first problem is wrong
INFINITY = float("inf")


def write_results(dataset: Path, record: Record) -> None:
    """Write labels, features, responses, judges and sweeps of both, and what a draft call costs, below a folder.

    Parameters
    ----------
    record : Record
        That of any judge.
    """
    judge = Judge(
        {"weight": torch.ones(1), "bias": torch.tensor(0.0)}, replace(record, columns=["kl_divergence"], sizes=[1])
    )
    places = [(number, place) for number in range(PROBLEMS) for place in range(MISMATCHES)]
    for pair, evaluated in TOKENS.items():
        folder, own = dataset / pair, pair == "testbed"
        judge.save(folder / "judge")
        write_table(LABELS, [_label(*place, stopping=not own) for place in places], folder / "labels.parquet")
        write_table(FEATURES, [_features(*place) for place in places], folder / "features.parquet")
        responses = [_response(number, evaluated) for number in range(PROBLEMS)]
        write_table(RESPONSES, responses, folder / "responses.parquet")
        write_table(SWEEP, list(_sweep(own)), folder / "sweep.parquet")
    (dataset / "testbed/call_cost.json").write_text(json.dumps({"ratio": 0.1}))


def _row(table: Table, **known: Any) -> dict[str, Any]:
    return dict.fromkeys(table.columns) | known


def _split(number: int) -> str:
    return ("train", "validation", "test")[number % 3]


def _important(number: int, place: int) -> bool:
    return place == number % MISMATCHES or (number == 0 and place == 1)


def _response(number: int, evaluated: int) -> dict[str, Any]:
    known = {"problem_id": f"p{number}", "seconds": 2.0, "target_evaluated": evaluated}
    return _row(RESPONSES, **known, correct=True, mined_again=False)


def _label(number: int, place: int, stopping: bool) -> dict[str, Any]:
    stopped = stopping and 0 < place <= STOPPED and (number == 0 or not _important(number, place))
    known = {
        "problem_id": f"p{number}",
        "position": 7 * place,
        "split": _split(number),
        "target_token": 5,
        "draft_token": 6,
    }
    known |= {"important": _important(number, place) and not stopped, "stopped": stopped, "audited": False}
    return _row(LABELS, **known, cut_off=False, near_tie=False)


def _features(number: int, place: int) -> dict[str, Any]:
    divergence = _important(number, place) + 0.3 * ((3 * number + place) % 5)
    return _row(FEATURES, problem_id=f"p{number}", position=7 * place, kl_divergence=divergence)


def _sweep(own: bool) -> Iterator[dict[str, Any]]:
    """Yield rows of a sweep, the judge at two intervals of its threshold; the source's loses one test problem more."""
    for number in range(PROBLEMS):
        if _split(number) == "train":
            continue
        yield _decoded(number, "target", 0, True, 90)
        yield _decoded(number, "lossless", 8, True, 30)
        if own:
            yield _decoded(number, "always", 8, number % 2 == 0, 12)
        lost = number == 2 or (not own and number == 5)
        yield _decoded(number, "judge", 8, True, 30) | {"threshold": 0.4}
        yield _decoded(number, "judge", 8, not lost, 20 if own else 18) | {"threshold_low": 0.4}


def _decoded(number: int, rule: str, window: int, correct: bool, calls: int) -> dict[str, Any]:
    known = {"problem_id": f"p{number}", "repeat": 0, "split": _split(number), "rule": rule, "window": window}
    known |= {"threshold_low": -INFINITY, "threshold": INFINITY, "exact": True, "correct": correct, "tokens": 90}
    known |= {"cycles": calls if window else 0, "accepted": 80, "emitted": 90, "target_calls": calls}
    known |= {"draft_calls": window * calls, "cut_off": False, "differs": False, "loops": False}
    return _row(SWEEP, **known, kept_at=[calls] * window, response=[])
