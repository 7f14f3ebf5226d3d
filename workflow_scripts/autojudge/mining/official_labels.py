"""Turn the official implementation's mined labels into our tables, so that nobody mines them again.

Its files are lists of dicts, one per problem: `current_response` (1, tokens), the prompt and the mined response;
`changed_token_indices`, a list of (place, important, target's token, draft's token), the place counted from the
prompt's start; `hiddens`, a tensor per mismatch, the states of draft and target with the draft's token placed there,
then of draft and target with the target's token; maybe `prev_hiddens`, in the same order, of the position before. A
dict with the list under `data` is read, too.

Positions count from the prompt's start, as the files do not tell
where a response begins; scalars, margins and alternatives are not in them. Files are loaded as tensors only (torch's
`weights_only`): one that needs code to be run is refused.
"""

import pickle  # for the name of an error of torch.load alone
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autojudge.errors import InputError
from autojudge.mining.problems import choose_split, problem_hash
from autojudge.mining.shard import EXACT_LABEL
from autojudge.tables.feature_names import SCALARS
from autojudge.tables.files import write_table
from autojudge.tables.label_sources import OF_SOURCES, SOURCED_LABELS
from autojudge.tables.mining import FEATURES

UNKNOWN = {"margin": None, "least_margin": None, "near_tie": False, "cut_off": False, "alternative_answer": None}
BLOCKS = ("draft_at_draft", "target_at_draft", "draft_at_target", "target_at_target")  # in the order of `hiddens`


def import_labels(files: list[str], draft_hidden: int, folder: Path) -> dict[str, int]:
    """Write our tables of the files' labels into a folder; return the numbers of problems, mismatches and states.

    Parameters
    ----------
    draft_hidden : int
        Hidden size of the draft; the target's follows from the length of `hiddens`.

    Raises
    ------
    InputError
        A file is no such list, needs code to be loaded, or a problem's parts do not fit one another.
    """
    if draft_hidden < 1:
        raise InputError(
            f"--draft-hidden {draft_hidden}: a hidden size must be at least 1; see the draft's config.json"
        )
    labels, features, problems, widths = [], [], set(), set()
    for file in files:
        for number, sample in enumerate(load_samples(file), 1):
            if "changed_token_indices" not in sample or "hiddens" not in sample:
                continue  # the official script skips these, too
            where = f"{file}: problem {number}"
            name, rows = _read_problem(sample, draft_hidden, where)
            if name in problems:
                raise InputError(f"{where} is there twice; give each file only once")
            problems.add(name)
            labels += [label for label, _ in rows]
            features += [row for _, row in rows]
            widths |= {len(row["target_at_draft"]) for _, row in rows}
            if len(widths) > 1:
                raise InputError(
                    f"{where}: its `hiddens` differ in length, or from those before it; import each pair of models by "
                    "itself"
                )
    if not labels:
        raise InputError(
            f"{', '.join(files)}: no problem with `changed_token_indices` and `hiddens`; run calc_hiddens first"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_table(SOURCED_LABELS, labels, folder / "labels.parquet")
    write_table(FEATURES, features, folder / "features.parquet")
    return {"problems": len(problems), "mismatches": len(labels), "draft": draft_hidden, "target": widths.pop()}


def _read_problem(
    sample: dict[str, Any], draft_hidden: int, where: str
) -> tuple[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """Return a problem's name and its rows of labels and features. Raises InputError for one of another form."""
    if "current_response" not in sample:
        raise InputError(f"{where} has no `current_response`; give the output of calc_hiddens")
    try:
        name = problem_hash(str(sample["current_response"].flatten().tolist()))
        return name, list(read_sample(sample, name, draft_hidden, where))
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError, RuntimeError) as fault:
        raise InputError(f"{where} does not have the form of calc_hiddens' output ({fault}); run it again") from fault


def load_samples(file: str) -> list[dict[str, Any]]:
    """Return the list of a file. Raises InputError for a file that is none or needs code to be run."""
    try:
        data = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as fault:
        raise InputError(
            f"{file}: refused, as it is not a file of torch.save, or loading it would run code; give a file that "
            "holds only tensors, lists, dicts and numbers (no numpy arrays)"
        ) from fault
    except (OSError, RuntimeError, EOFError, KeyError, ValueError) as fault:
        raise InputError(f"{file}: not a file of torch.save ({fault}); check the path") from fault
    data = data["data"] if isinstance(data, dict) and "data" in data else data
    if not isinstance(data, list) or not all(isinstance(sample, dict) for sample in data):
        raise InputError(f"{file}: holds no list of dicts; give the output of calc_hiddens")
    return data


def read_sample(
    sample: dict[str, Any], name: str, draft_hidden: int, where: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the rows of labels and features of a problem's mismatches."""
    changed, hiddens = sample["changed_token_indices"], sample["hiddens"]
    if len(changed) != len(hiddens):
        raise InputError(f"{where}: {len(changed)} mismatches and {len(hiddens)} `hiddens`; run calc_hiddens again")
    previous = sample["prev_hiddens"] if sample.get("prev_hiddens") is not None else [None] * len(changed)
    if len(previous) != len(changed) or any(len(mismatch) != 4 for mismatch in changed):
        raise InputError(
            f"{where}: `changed_token_indices` must hold (place, important, target's token, draft's token), and "
            "`prev_hiddens`, if there, one entry each; run calc_hiddens again"
        )
    places = set[int]()
    for mismatch, states, before in zip(changed, hiddens, previous, strict=True):
        place, important, target_token, draft_token = _read_mismatch(mismatch, places)
        target_hidden = len(states) // 2 - draft_hidden
        if len(states) % 2 or target_hidden <= 0:
            raise InputError(
                f"{where}: `hiddens` of {len(states)} numbers do not hold two of a draft of {draft_hidden}; check "
                "--draft-hidden"
            )
        sizes = [draft_hidden, target_hidden] * 2
        key = {"problem_id": name, "position": place}
        parts = dict(zip(BLOCKS, _halves(states).split(sizes), strict=True))
        if before is not None:
            parts["draft_before"], parts["target_before"] = _halves(before)[: sum(sizes[:2])].split(sizes[:2])
        if not all(part.isfinite().all() for part in parts.values()):
            raise InputError(
                f"{where}: `hiddens` hold numbers that half precision cannot represent; mine that problem again"
            )
        blocks = {
            block: parts[block].numpy() if block in parts else None
            for block in (*BLOCKS, "draft_before", "target_before")
        }
        tokens = {
            "target_token": target_token,
            "draft_token": draft_token,
            "alternative_tokens": [draft_token],
        }
        label = key | {"split": choose_split(name, "train"), "important": important} | tokens | UNKNOWN | EXACT_LABEL
        label |= dict.fromkeys(OF_SOURCES)
        yield label, key | blocks | dict.fromkeys(SCALARS)


def _read_mismatch(mismatch: Any, places: set[int]) -> tuple[int, bool, int, int]:
    """Return a mismatch's parts, its place added to those before. Raises ValueError for what is none."""
    parts: list[Any] = [part.item() if isinstance(part, torch.Tensor | np.generic) else part for part in mismatch]
    place, important, target_token, draft_token = parts
    for what, number in (("place", place), ("target's token", target_token), ("draft's token", draft_token)):
        if type(number) is not int or not 0 <= number < 2**31:
            raise ValueError(f"mismatch {parts}: {number!r} is no {what}, which is a whole number from 0 on")
    if type(important) not in (bool, int) or important not in (0, 1):
        raise ValueError(
            f"mismatch {parts}: {important!r} is neither True nor False, which says whether it is important"
        )
    if place in places:
        raise ValueError(f"mismatch {parts}: its place is there twice")
    places.add(place)
    return place, bool(important), target_token, draft_token


def _halves(states: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(states) if not isinstance(states, torch.Tensor) else states).flatten().half()
