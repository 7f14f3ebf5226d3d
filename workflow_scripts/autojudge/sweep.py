"""The sweep: which rules and thresholds are decoded, and the row that a response becomes."""

from collections.abc import Mapping, Sequence
from typing import Any

from autojudge.decoding import Decoded
from autojudge.errors import InputError
from autojudge.judge import Judge
from autojudge.tasks import Task

TARGET = "target"  # the target alone, as a reference


def expand_thresholds(
    rules: Mapping[str, str | Sequence[float | str]], judge: Judge | None, vocabulary: int
) -> list[tuple[str, float]]:
    """Return (rule, threshold) of every point of the sweep, the target alone first.

    Parameters
    ----------
    rules : mapping of rule name to thresholds
        A list of numbers and "vocabulary", or "judge".
    judge : Judge or None
        Gives the candidates that "judge" stands for.
    vocabulary : int
        What "vocabulary" stands for.

    Raises
    ------
    InputError
        Thresholds of a judge are asked for and there is none.
    """
    points: list[tuple[str, float]] = [(TARGET, 0.0)]
    for rule, thresholds in rules.items():
        if thresholds == "judge":
            if judge is None:
                raise InputError(f"rule `{rule}` wants the judge's thresholds, but there is no judge")
            thresholds = judge.info["thresholds"]
        numbers = [float(vocabulary if t == "vocabulary" else t) for t in thresholds]
        points += [(rule, number) for number in dict.fromkeys(numbers)]
    return points


def sweep_row(
    problem: Mapping[str, Any], rule: str, threshold: float, window: int, decoded: Decoded, text: str, task: Task
) -> dict[str, Any]:
    """Return a row of sweep.parquet for a decoded response."""
    answer = task.extract_answer(text)
    return {
        "problem_id": problem["problem_id"],
        "rule": rule,
        "threshold": threshold,
        "window": 0 if rule == TARGET else window,
        "correct": answer is not None and task.same_answer(answer, problem["gold"]),
        "answer": answer,
        **decoded.counts(),
        "response": decoded.tokens,
    }
