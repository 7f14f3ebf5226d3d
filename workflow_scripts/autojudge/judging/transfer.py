"""How good judges are on other datasets than their own."""

from collections.abc import Mapping
from typing import Any

from autojudge.judging.artifact import Judge
from autojudge.judging.choice import judge_scores
from autojudge.judging.metrics import draw_weights, estimate
from autojudge.judging.mismatches import VALIDATION, Mismatches


def measure_transfer(judges: Mapping[str, Judge], data: Mapping[str, Mismatches], seed: int) -> list[dict[str, Any]]:
    """Return the rows of table `transfer`: each dataset's judge on each dataset's mismatches.

    Measured on the test split of every dataset if all have one, else on validation.

    Parameters
    ----------
    judges, data : mapping of dataset
        To its judge and to its mismatches.

    Raises
    ------
    InputError
        A split has no mismatches, or of one class only.
    """
    split = "test" if all((d.rows["split"] == "test").any() for d in data.values()) else VALIDATION
    parts, rows = {name: mismatches.of_split(split) for name, mismatches in data.items()}, []
    for trained_on, judge in judges.items():
        for tested_on, part in parts.items():
            found = estimate(judge_scores(judge, part), part.important, draw_weights(part.problem_id, seed))
            row: dict[str, Any] = {"trained_on": trained_on, "tested_on": tested_on}
            row |= {"split": split, "mismatches": len(part)}
            for name, value in found.items():
                row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            rows.append(row)
    return rows
