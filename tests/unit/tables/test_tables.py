"""Tables are written whole, read strictly, and explained in one place."""

import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autojudge.errors import InputError
from autojudge.tables.dictionary import TABLES, describe_tables
from autojudge.tables.feature_names import BLOCKS, SCALARS
from autojudge.tables.files import gather_shards, read_table, write_table
from autojudge.tables.mining import FEATURES, HIDDEN, KEY, PROBLEMS
from autojudge.tables.table import Column, Table
from conftest import ROOT

PROBLEM = {"problem_id": "a", "question": "?", "gold": "1", "prompt_tokens": [1, 2], "split": "train", "tests": "f00d"}
DESIGN_COLUMNS = {
    "problems": "problem_id question gold prompt_tokens split",
    "responses": "problem_id target_tokens draft_tokens mined_tokens target_answer draft_answer seconds "
    "target_evaluated draft_evaluated",
    "labels": "problem_id position target_token draft_token important alternative_answer margin",
    "sweep": "problem_id rule threshold window correct answer tokens cycles accepted emitted target_calls draft_calls",
    "pareto": "pair rule threshold window problems accuracy accuracy_low accuracy_high drop drop_low drop_high "
    "accepted_per_cycle emitted_per_cycle target_calls_per_token",
}


@pytest.mark.parametrize("table", DESIGN_COLUMNS)
def test_tables_have_the_columns_that_other_tools_rely_on(table):
    assert set(DESIGN_COLUMNS[table].split()) <= TABLES[table].columns.keys()


def test_a_row_with_a_missing_or_unknown_column_is_not_written(tmp_path):
    with pytest.raises(KeyError, match="gold"):
        write_table(PROBLEMS, [{k: v for k, v in PROBLEM.items() if k != "gold"}], tmp_path / "p.parquet")
    with pytest.raises(KeyError, match="colour"):
        write_table(PROBLEMS, [PROBLEM | {"colour": "red"}], tmp_path / "p.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_table_comes_back_as_it_was_written(tmp_path):
    write_table(PROBLEMS, [PROBLEM], tmp_path / "deep/p.parquet")
    (row,) = read_table(PROBLEMS, tmp_path / "deep/p.parquet").to_dict("records")
    assert row | {"prompt_tokens": list(row["prompt_tokens"])} == PROBLEM
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["p.parquet"]


def test_a_csv_comes_back_as_it_was_written(tmp_path):
    columns = {"pair": pa.string(), "threshold": pa.float64(), "window": pa.int32(), "best": pa.bool_()}
    table = Table("toy", {name: Column(dtype, doc="") for name, dtype in columns.items()}, doc="")
    rows = [{"pair": "null", "threshold": 0.1 + 0.2, "window": 8, "best": True}]
    rows += [{"pair": "NA", "threshold": value, "window": 0, "best": False} for value in (float("inf"), -1e-17, None)]
    write_table(table, rows, tmp_path / "toy.csv")
    back = read_table(table, tmp_path / "toy.csv")
    pd.testing.assert_frame_equal(back, pa.Table.from_pylist(rows, table.schema).to_pandas(), check_exact=True)
    assert list(read_table(table, tmp_path / "toy.csv", ["best", "pair"]).columns) == ["best", "pair"]


@pytest.mark.parametrize("text", ["pair\ntestbed\n", "pair,window\ntestbed,eight\n", ""])
def test_a_csv_that_lacks_a_column_or_has_another_type_is_named(tmp_path, text):
    table = Table("toy", {"pair": Column(pa.string(), doc=""), "window": Column(pa.int32(), doc="")}, doc="")
    (tmp_path / "toy.csv").write_text(text)
    with pytest.raises(InputError, match=r"toy\.csv: not a readable toy table .*delete it and run again"):
        read_table(table, tmp_path / "toy.csv")


def test_a_data_frame_is_written_with_exactly_the_columns_of_the_table(tmp_path):
    frame = pd.DataFrame([PROBLEM])
    write_table(PROBLEMS, frame[list(reversed(frame.columns))], tmp_path / "p.parquet")
    assert list(read_table(PROBLEMS, tmp_path / "p.parquet").columns) == list(PROBLEMS.columns)
    for wrong, name in ((frame.drop(columns="gold"), "gold"), (frame.assign(colour="red"), "colour")):
        with pytest.raises(KeyError, match=name):
            write_table(PROBLEMS, wrong, tmp_path / "wrong.parquet")


def test_a_damaged_or_foreign_file_is_named(tmp_path):
    path = tmp_path / "p.parquet"
    write_table(PROBLEMS, [PROBLEM], path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"p\.parquet: not a readable problems table"):
        read_table(PROBLEMS, path)
    pq.write_table(pa.table({"problem_id": [1]}), path)
    with pytest.raises(InputError, match=r"column `problem_id` is missing or of another type"):
        read_table(PROBLEMS, path)


def test_the_results_page_is_the_dictionary_of_every_column():
    page = (ROOT / "results/README.md").read_text()
    assert describe_tables() in page, (
        "results/README.md has other tables than autojudge/tables; replace them by what this prints: PYTHONPATH="
        "workflow_scripts .venv/bin/python -c 'from autojudge.tables.dictionary import *; print(describe_tables())'"
    )


def test_shards_are_gathered_in_order_and_a_damaged_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("autojudge.tables.files.GATHER_ROWS", 5)
    shards = [tmp_path / f"{i}-of-4.parquet" for i in range(1, 5)]
    for i, shard in enumerate(shards):
        write_table(PROBLEMS, [PROBLEM | {"problem_id": f"{i}{j}"} for j in range(i)], shard)
    gather_shards(PROBLEMS, list(map(str, shards)), tmp_path / "problems.parquet")
    assert list(read_table(PROBLEMS, tmp_path / "problems.parquet")["problem_id"]) == [
        "10",
        "20",
        "21",
        "30",
        "31",
        "32",
    ]
    shards[2].write_bytes(shards[2].read_bytes()[:-40])
    with pytest.raises(InputError, match=r"3-of-4\.parquet: not a readable problems table .*delete it and run again"):
        gather_shards(PROBLEMS, list(map(str, shards)), tmp_path / "whole.parquet")
    assert not (tmp_path / "whole.parquet").exists()


def test_the_features_table_has_the_columns_that_a_judge_knows_by_name():
    assert tuple(FEATURES.columns) == (*KEY, *BLOCKS, *SCALARS)
    assert [name for name, column in FEATURES.columns.items() if column.type == HIDDEN] == list(BLOCKS)


@pytest.mark.parametrize(
    "stage, reached", [("mining", set()), ("judging", {"mining"}), ("decoding", {"mining"}), ("files", set())]
)
def test_a_stage_reaches_no_table_of_a_later_one(stage, reached):
    code = (
        f"import sys, autojudge.tables.{stage}; print(*(m for m in sys.modules if m.startswith('autojudge.tables.')))"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, cwd=ROOT / "workflow_scripts", capture_output=True, text=True, check=True).stdout
    assert {name.split(".")[-1] for name in printed.split()} == {stage, "table", *reached}
