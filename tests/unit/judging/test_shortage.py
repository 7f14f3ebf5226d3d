"""Where no judge can be trained, the message says why: more problems help only where problems are few."""

import pytest

from autojudge.errors import InputError
from autojudge.judging.mismatches import Mismatches
from autojudge.mining.shard import EXACT_LABEL
from autojudge.tables.feature_names import BLOCKS, SCALARS
from autojudge.tables.files import write_table
from autojudge.tables.mining import FEATURES, LABELS, RESPONSES

MORE = "mine more problems"
SAME = "the draft wrote the target's own response to each of 4 problems: if they are one model"


def response(i, draft=(9,), answer="1", cut_off=False, correct=True):
    row = {"problem_id": str(i), "split": "train", "target_tokens": [i, 1], "draft_tokens": [i, *draft]}
    row |= {
        "mined_tokens": [i],
        "target_answer": answer,
        "draft_answer": None,
        "mined_answer": None,
        "correct": correct,
    }
    row |= {"checked_by": None, "cut_off": cut_off}
    row |= {"least_margin": 1.0, "seconds": 1.0, "mined_again": False}
    return row | {"target_evaluated": 1, "draft_evaluated": 1}


def write_mined(folder, responses, labels):
    """Tables of mining: responses, and labels given as (important, cut off) of the first problem."""
    rows, features = [], []
    for i, (important, cut_off) in enumerate(labels):
        key = {"problem_id": "0", "position": i}
        row = key | {"split": "train", "target_token": 1, "draft_token": 2, "important": important, "margin": 1.0}
        row |= {"alternative_answer": None, "least_margin": 1.0, "cut_off": cut_off, "near_tie": False}
        rows.append(row | {"alternative_tokens": [2]} | EXACT_LABEL)
        features.append(key | {block: [0.0] for block in BLOCKS} | dict.fromkeys(SCALARS, 0.0))
    write_table(LABELS, rows, folder / "labels.parquet")
    write_table(FEATURES, features, folder / "features.parquet")
    if responses is not None:
        write_table(RESPONSES, responses, folder / "responses.parquet")


def four(*special, **others):
    return [response(i, **(special[i] if i < len(special) else others)) for i in range(4)]


CUT = {"cut_off": True, "answer": None}
CASES = {  # responses, labels, what is said, what is not
    "few problems": (four(), [], MORE, "raise"),
    "of another tool": (None, [], MORE, "raise"),
    "all cut off": (four(**CUT), [], "4 of 4 mined responses of the target are cut off .*max_new_tokens", MORE),
    "most cut off": (four({}, **CUT), [(True, True)], "3 of 4 mined .*cut off.*max_new_tokens", MORE),
    "half cut off": (four(CUT, CUT), [], MORE, "raise"),
    "cut off, yet with answers": (four(cut_off=True), [(True, False)] * 2, "4 of 4 mined .* cut off", MORE),
    "alternatives cut off": (
        four(),
        [(True, True), (True, True), (True, False)],
        "2 of 3 labels rest on a .*raise",
        MORE,
    ),
    "one model": (four(draft=(1,)), [], SAME, "raise"),
    "one model, cut off": (four(draft=(1,), **CUT), [], f"{SAME}.*; 4 of 4 mined responses .*raise", "no answer"),
    "nearly one model": (four({}, draft=(1,)), [], MORE, "one model"),
    "no answers": (four(answer=None), [], "in 4 of 4 mined responses of the target no answer was found", MORE),
    "none right": (four(correct=False), [], "none of 4 mined responses of the target is right: choose a stron", MORE),
    "one right": (four({}, correct=False), [], MORE, "is right"),
    "none right, cut off": (
        four(correct=False, cut_off=True),
        [(False, True)] * 2,
        "all 2 mismatches are unimportant.* raise .*; none of 4 mined responses of the target is right",
        MORE,
    ),
    "none right, none read": (four(correct=False, answer=None), [], "no answer was found", "is right"),
    "all important": (four(), [(True, False)] * 3, f"all 3 mismatches are important.*{MORE}", "raise"),
    "all unimportant": (four(), [(False, False)] * 3, f"all 3 mismatches are unimportant.*{MORE}", "raise"),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_reason_is_told_with_its_remedy(kind, tmp_path):
    responses, labels, said, unsaid = CASES[kind]
    write_mined(tmp_path, responses, labels)
    with pytest.raises(InputError, match=rf"labels.parquet: split train.*{said}") as fault:
        Mismatches(str(tmp_path / "labels.parquet"), str(tmp_path / "features.parquet")).of_split("train")
    assert unsaid not in str(fault.value)


def test_labels_that_are_left_out_as_cut_off_are_told(tmp_path):
    write_mined(tmp_path, four(), [(True, True), (False, True)])
    mismatches = Mismatches(str(tmp_path / "labels.parquet"), str(tmp_path / "features.parquet"), exclude_cut_off=True)
    with pytest.raises(InputError, match="holds no mismatch; 2 of 2 labels rest on .* raise .*max_new_tokens"):
        mismatches.of_split("train")


def test_labels_that_are_left_out_as_of_wrong_responses_are_told(tmp_path):
    write_mined(tmp_path, four(correct=False), [(False, False)] * 3)
    mismatches = Mismatches(str(tmp_path / "labels.parquet"), str(tmp_path / "features.parquet"), only_correct=True)
    with pytest.raises(InputError, match=r"\(3 labels, .*`judge.only_correct`\) holds no mismatch; none of 4 mined"):
        mismatches.of_split("train")
