"""Why mining gave too few mismatches to train a judge, where more problems would not help."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from autojudge.tables.files import read_table, records
from autojudge.tables.mining import LABELS, RESPONSES

MORE = "mine more problems (config key `problems`)"
LONGER = "raise the config key `datasets.*.max_new_tokens`"


def find_remedy(folder: Path) -> str:
    """Return what to do, with its reason, by the tables of mining in a folder; imported labels have no responses.

    Raises
    ------
    InputError
        A table is damaged.
    """
    if not (folder / "responses.parquet").is_file():
        return MORE
    columns = ["target_tokens", "draft_tokens", "target_answer", "correct", "cut_off"]
    responses = read_table(RESPONSES, folder / "responses.parquet", columns)
    labels = read_table(LABELS, folder / "labels.parquet", ["cut_off"])
    return "; ".join(_reasons(responses, labels)) or MORE


def _reasons(responses: pd.DataFrame, labels: pd.DataFrame) -> Iterator[str]:
    """Yield each reason with its remedy; one that holds for the most part is a reason."""
    total, cut_off = len(responses), int(responses["cut_off"].sum())
    unread = int((responses["target_answer"].isna() & ~responses["cut_off"]).sum())
    if total and all(list(row["draft_tokens"]) == list(row["target_tokens"]) for row in records(responses)):
        yield (
            f"the draft wrote the target's own response to each of {total} problems: if they are one model, name a "
            "smaller one as the pair's `draft`, else mine more problems"
        )
    if 2 * cut_off > total:
        yield f"{cut_off} of {total} mined responses of the target are cut off at the token limit: {LONGER}"
    elif 2 * unread > total:
        yield (
            f"in {unread} of {total} mined responses of the target no answer was found, and these give no labels: "
            "choose a target that answers in the form that the task asks for, or change the task's wording"
        )
    elif 2 * labels["cut_off"].sum() > len(labels):
        yield f"{labels['cut_off'].sum()} of {len(labels)} labels rest on a response that is cut off: {LONGER}"
    if total and not responses["correct"].any() and 2 * unread <= total:
        yield (
            f"none of {total} mined responses of the target is right: choose a stronger target, or check the dataset, "
            "as no response may be able to give its answers or to pass its tests"
        )
