"""What was measured in vLLM as a table: responses scored, intervals, vLLM's own counts, speed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np

from autojudge.engine.endings import Ending
from autojudge.reporting.statistics import accuracy_interval, paired_drop
from autojudge.scoring.scorer import Scorer
from autojudge.serving.measuring.methods import LOSSLESS, TARGET


@dataclass(frozen=True)
class Scored:
    """Scores responses, each text of a problem once.

    Attributes
    ----------
    problems : sequence of mapping
        Rows of problems.parquet, in the order of the responses.
    scorer : Scorer
    ending : Ending
        Where a response ends.
    """

    problems: Sequence[Mapping[str, Any]]
    scorer: Scorer
    ending: Ending

    @cached_property
    def _known(self) -> dict[tuple[int, str], bool]:
        return {}

    def correct(self, responses: Sequence[list[int]]) -> list[bool]:
        """Return whether the answer of each problem's response is the gold answer."""
        return [self._score(number, self.ending.decode(tokens)) for number, tokens in enumerate(responses)]

    def _score(self, number: int, text: str) -> bool:
        if (number, text) not in self._known:
            problem = self.problems[number]
            self._known[number, text] = self.scorer.same(self.scorer.answer(text, problem), problem["gold"])
        return self._known[number, text]


def build_rows(
    measured: Sequence[Mapping[str, Any]],
    scored: Scored,
    recommended: float | None,
    common: Mapping[str, Any],
    seed: int,
) -> list[dict[str, Any]]:
    """Return rows of table `vllm`.

    Parameters
    ----------
    measured : sequence of mapping
        `method`, `batch` and `threshold`, with `responses`, `counts` and `seconds` of
        `measuring.process.measure`.
    recommended : float or None
        The judge's threshold to use.
    common : mapping
        What all rows have alike; of it `window` is 0 for the target alone.
    seed : int
        Of the bootstrap.
    """
    plain = {row["batch"]: row["responses"] for row in measured if row["method"] == LOSSLESS}
    solved = {batch: scored.correct(responses) for batch, responses in plain.items()}
    rows = []
    for row in measured:
        responses, alone = row["responses"], row["method"] == TARGET
        correct = scored.correct(responses)
        low, high = accuracy_interval(np.array(correct)[:, None], seed)
        drop = paired_drop(correct, solved[row["batch"]], seed)
        differing = [ours != theirs for ours, theirs in zip(responses, plain[row["batch"]], strict=True)]
        rows.append(
            dict(common)
            | {name: row[name] for name in ("method", "threshold", "batch")}
            | ({"window": 0} if alone else {})
            | {"recommended": row["threshold"] is not None and row["threshold"] == recommended}
            | {
                "problems": len(responses),
                "accuracy": float(np.mean(correct)),
                "accuracy_low": low,
                "accuracy_high": high,
            }
            | {name: drop[name] for name in ("drop", "drop_low", "drop_high")}
            | {"differing": float(np.mean(differing))}
            | {"cut_off": float(np.mean([scored.ending.cut_off(tokens) for tokens in responses]))}
            | _describe_tokens(responses, row["counts"], row["seconds"])
        )
    return rows


def _describe_tokens(
    responses: Sequence[list[int]], counts: Mapping[str, Any], seconds: Sequence[float]
) -> dict[str, Any]:
    """Return lengths, counts of speculation and speed."""
    tokens, cycles = sum(map(len, responses)), counts["cycles"]
    speeds = sorted(tokens / second for second in seconds)
    places = [accepted / cycles for accepted in counts["accepted_at"]] if cycles else []
    return {
        "tokens": tokens,
        "mean_length": tokens / len(responses),
        "cycles": cycles,
        "mean_acceptance_length": 1 + counts["accepted"] / cycles if cycles else math.nan,
        "acceptance_by_position": " ".join(f"{share:.3f}" for share in places) or None,
        "emitted_per_cycle": (tokens - len(responses)) / cycles if cycles else math.nan,
        "kept": counts.get("kept", 0),
        "rounds": len(speeds),
        "tokens_per_second": median(speeds),
        "tokens_per_second_low": speeds[0],
        "tokens_per_second_high": speeds[-1],
    }
