"""Tables are written whole, read strictly, and explained in one place."""

import pyarrow as pa
import pytest

from autojudge.errors import InputError
from autojudge.tables.schemas import TABLES, describe_tables, gather_tables, read_table, write_table
from conftest import ROOT

PROBLEM = {"problem_id": "a", "question": "?", "gold": "1", "prompt_tokens": [1, 2], "split": "train"}
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
    assert set(DESIGN_COLUMNS[table].split()) <= TABLES[table][1].keys()


def test_a_row_with_a_missing_or_unknown_column_is_not_written(tmp_path):
    with pytest.raises(KeyError, match="gold"):
        write_table("problems", [{k: v for k, v in PROBLEM.items() if k != "gold"}], tmp_path / "p.parquet")
    with pytest.raises(KeyError, match="colour"):
        write_table("problems", [PROBLEM | {"colour": "red"}], tmp_path / "p.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_table_comes_back_as_it_was_written(tmp_path):
    write_table("problems", [PROBLEM], tmp_path / "deep/p.parquet")
    (row,) = read_table("problems", tmp_path / "deep/p.parquet").to_dict("records")
    assert row | {"prompt_tokens": list(row["prompt_tokens"])} == PROBLEM
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["p.parquet"]


def test_a_damaged_or_foreign_file_is_named(tmp_path):
    path = tmp_path / "p.parquet"
    write_table("problems", [PROBLEM], path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"p\.parquet: not a readable problems table"):
        read_table("problems", path)
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"problem_id": [1]}), path)
    with pytest.raises(InputError, match=r"column `problem_id` is missing or of another type"):
        read_table("problems", path)


def test_the_results_page_is_the_dictionary_of_every_column():
    page = (ROOT / "results/README.md").read_text()
    assert describe_tables() in page, (
        "results/README.md is not that of schemas.py; replace its tables by what this prints: "
        "PYTHONPATH=workflow_scripts .venv/bin/python -c 'from autojudge.schemas import *; print(describe_tables())'"
    )


def test_shards_are_gathered_in_order_and_a_damaged_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("autojudge.tables.schemas.GATHER_ROWS", 5)
    shards = [tmp_path / f"{i}-of-4.parquet" for i in range(1, 5)]
    for i, shard in enumerate(shards):
        write_table("problems", [PROBLEM | {"problem_id": f"{i}{j}"} for j in range(i)], shard)
    gather_tables({"problems": list(map(str, shards))}, {"problems": str(tmp_path / "problems.parquet")})
    assert list(read_table("problems", tmp_path / "problems.parquet")["problem_id"]) == [
        "10",
        "20",
        "21",
        "30",
        "31",
        "32",
    ]
    shards[2].write_bytes(shards[2].read_bytes()[:-40])
    with pytest.raises(InputError, match=r"3-of-4\.parquet: not a readable problems table .*delete it and run again"):
        gather_tables({"problems": list(map(str, shards))}, {"problems": str(tmp_path / "whole.parquet")})
    assert not (tmp_path / "whole.parquet").exists()
