"""Rows of a dataset hold what the task says of its columns, or the row is named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autojudge.errors import InputError
from autojudge.reading.rows import load_rows

NAMES = {str: "text", bool: "true or false", int: "whole number", float: "number"}
VALUES = {  # what a column may hold, and what it may not
    str: (["yes", " 1 "], ["", " ", True, 1, None, ["yes"]]),
    bool: ([True, False], ["true", 0, 1, None, [True]]),
    int: ([3, -1], [True, 3.0, "3", None]),
    float: ([3, 0.5], [True, "0.5", None, float("nan"), float("inf")]),
}
RIGHT = [(kind, value) for kind, (right, _) in VALUES.items() for value in right]
WRONG = [(kind, value) for kind, (_, wrong) in VALUES.items() for value in wrong]


def load(path, kind):
    return list(load_rows({"train": str(path), "test": str(path)}, {"question": str, "answer": kind}))


@pytest.mark.parametrize("kind, value", RIGHT)
def test_a_column_holds_what_the_task_says(tmp_path, kind, value):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question": "?", "answer": value}))
    row = {"question": "?", "answer": value}
    assert load(path, kind) == [("train", f"{path}: row 1", row), ("test", f"{path}: row 1", row)]


@pytest.mark.parametrize("kind, value", WRONG)
def test_anything_else_is_named_with_file_row_and_column(tmp_path, kind, value):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question": "?", "answer": value}))
    told = rf"rows\.jsonl: row 1 has no {NAMES[kind]} in column `answer` \(columns: answer, question\); fix or drop"
    with pytest.raises(InputError, match=told):
        load(path, kind)


def test_parquet_files_hold_booleans_too(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"question": ["?", "!"], "answer": [True, None]}), path)
    with pytest.raises(InputError, match="row 2 has no true or false in column `answer`"):
        load(path, bool)
    pq.write_table(pa.table({"question": ["?", "!"], "answer": [True, False]}), path)
    assert [row["answer"] for _, _, row in load(path, bool)] == [True, False] * 2
