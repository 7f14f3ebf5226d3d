"""Made-up tables of mining, of the embedded pair's widths; importance shows in one number of the target's states."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from autojudge.tables.feature_names import BLOCKS, SCALARS
from autojudge.tables.files import write_table
from autojudge.tables.label_sources import OF_SOURCES, SOURCED_LABELS
from autojudge.tables.mining import FEATURES, PROBLEMS, RESPONSES

WIDTHS = {"draft": 64, "target": 128}
SPLITS = ("train", "validation", "train", "test")  # of problems, in turn, so that splits lie between one another
SECRET = 54321  # a token of every text
MISMATCHES = 4


def write_mined(folder: Path, problems: int = 80, **added: Callable[[bool], float]) -> dict[str, str]:
    """Write the four tables into a folder, and return their paths; `added` gives columns of a source of labels."""
    rng = np.random.default_rng(0)
    rows: dict[str, list[dict]] = {"labels": [], "features": [], "responses": [], "problems": []}
    for number in range(problems):
        key, split = {"problem_id": f"p{number}"}, {"split": SPLITS[number % len(SPLITS)]}
        rows["problems"].append(
            key | split | {"question": "how much?", "gold": "54321", "prompt_tokens": [SECRET, 1], "tests": None}
        )
        texts = {name: [SECRET, *range(number % 5)] for name in ("target_tokens", "draft_tokens", "mined_tokens")}
        texts |= {"target_answer": "54321", "draft_answer": None, "mined_answer": "54321"}
        counts = {"seconds": 1.0, "target_evaluated": 9, "draft_evaluated": 9, "least_margin": 0.5}
        flags = {"correct": number % 3 > 0, "checked_by": None, "cut_off": False, "mined_again": False}
        rows["responses"].append(key | split | texts | counts | flags)
        for position in range(MISMATCHES):
            place, important = key | {"position": position}, bool(rng.random() < 0.4)
            texts = {"target_token": SECRET, "draft_token": 7, "alternative_tokens": [7, SECRET]}
            texts |= {"alternative_answer": "54321" if important else None}
            flags = {"cut_off": False, "near_tie": False, "stopped": False, "audited": False}
            margins = {"margin": 0.5, "least_margin": 0.5}
            known = place | split | {"important": important} | texts | flags | margins | dict.fromkeys(OF_SOURCES)
            rows["labels"].append(known | {name: value_of(important) for name, value_of in added.items()})
            states = {block: rng.normal(size=WIDTHS[block.split("_")[0]]).astype(np.float16) for block in BLOCKS}
            states["target_at_draft"][3] += 4 * important
            rows["features"].append(place | states | {name: float(rng.random()) for name in SCALARS})
    paths = {}
    for table in (SOURCED_LABELS, FEATURES, RESPONSES, PROBLEMS):
        paths[table.name] = str(folder / f"{table.name}.parquet")
        write_table(table, rows[table.name], paths[table.name])
    return paths
