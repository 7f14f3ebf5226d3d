"""The GSM8K task: reading rows, golds and answers."""

import json
from pathlib import Path

import pytest

from autojudge.errors import InputError
from autojudge.tasks import gsm8k


@pytest.mark.parametrize(
    "text, answer",
    [
        ("5 x 3 = 15. The final answer is 18", "18"),
        ("The final answer is $1,234.50.", "1234.5"),
        ("The final answer is 7. Wait. The final answer is 8", "8"),
        ("So the final answer is: **42**", "42"),
        ("She pays 3 and then 12 dollars.", "12"),
        ("It falls by -5 degrees", "-5"),
        ("No number here", None),
        ("", None),
    ],
)
def test_the_stated_answer_else_the_last_number_is_read(text, answer):
    assert gsm8k.extract_answer(text) == answer


def test_equal_numbers_are_equal_answers():
    assert gsm8k.same_answer("18", "18.00")
    assert not gsm8k.same_answer("18", "18.5")


@pytest.fixture
def write(tmp_path):
    def write(name, rows):
        (tmp_path / name).write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return str(tmp_path / name)

    return write


ROW = {"question": "How many?", "answer": "2+2=<<2+2=4>>4\n#### 1,004"}


def load(train, test):
    return list(gsm8k.load_examples({"train": train, "test": test}, {}, 0))


def test_rows_come_from_local_files_with_their_origin(write):
    train, test = load(write("a.jsonl", [ROW]), write("b.jsonl", [ROW]))
    assert (train.question, train.gold, train.origin, test.origin) == ("How many?", "1004", "train", "test")


@pytest.mark.parametrize(
    "rows, message",
    [
        ([], "holds no rows"),
        ([ROW, {"question": "x"}], "row 2 has no text in column `answer`"),
        ([ROW, "", {"question": "x"}], "row 3 has no text in column `answer`"),
        ([ROW | {"question": " "}], "row 1 has no text in column `question`"),
        ([ROW, "{oops"], "line 2 is not JSON"),
        ([ROW, "[1, 2]"], "row 2 is not an object with columns"),
    ],
)
def test_a_bad_file_is_named_with_its_row(write, rows, message):
    with pytest.raises(InputError, match=rf"bad\.jsonl.*{message}"):
        load(write("bad.jsonl", rows), write("good.jsonl", [ROW]))


def test_a_gold_answer_without_a_number_is_refused(write):
    with pytest.raises(InputError, match="row 1: no number after #### in its answer 'just words'"):
        load(write("a.jsonl", [ROW | {"answer": "just words"}]), write("b.jsonl", [ROW]))


@pytest.mark.parametrize(
    "written, gold",
    [("4e5", "400000"), ("– 12", "-12"), ("3 million", "3000000"), ("6½", "6.5"), ("7,50,000", "750000")],
)
def test_a_gold_answer_is_read_as_a_person_reads_it(write, written, gold):
    rows = write("a.jsonl", [ROW | {"answer": f"So\n#### {written}"}])
    assert [example.gold for example in load(rows, rows)] == [gold, gold]


@pytest.mark.parametrize(
    "written",
    [
        "6:15",
        "4 dollars and 25 cents",
        "3-4",
        "2,5",
        "5 or 6",
        "1e5000",
        "8 8 8",
        "4 dozen",
        "3 score",
        "4 k",
        "7x",
        "2\\pi",
        "<7",
        "7+",
        "6!",
        "04:00",
        "7 or more",
        "3 R 1",
    ],
)
def test_a_gold_answer_that_is_not_read_surely_is_refused(write, written):
    with pytest.raises(
        InputError, match="a.jsonl: row 2: no number after #### .* read with certainty; write it like 18"
    ):
        load(write("a.jsonl", [ROW, ROW | {"answer": f"So\n#### {written}"}]), write("b.jsonl", [ROW]))


def test_a_file_of_an_unknown_suffix_is_refused(write):
    with pytest.raises(InputError, match=r"a\.csv: only \.jsonl and \.parquet files are read"):
        load(write("a.csv", [ROW]), write("b.jsonl", [ROW]))


@pytest.mark.parametrize("name, kind", [("bad.parquet", "parquet"), ("bad.jsonl", "UTF-8 text")])
def test_a_file_of_another_kind_is_refused(tmp_path, write, name, kind):
    (tmp_path / name).write_bytes(b"\xff\xfe not text")
    with pytest.raises(InputError, match=f"{name}: is not {kind}"):
        load(str(tmp_path / name), write("b.jsonl", [ROW]))


def test_a_blank_last_line_is_no_row(write):
    assert len(load(write("a.jsonl", [ROW, ""]), write("b.jsonl", [ROW]))) == 2


def test_a_byte_order_mark_is_no_fault(write):
    path = Path(write("a.jsonl", [ROW]))
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert len(load(str(path), write("b.jsonl", [ROW]))) == 2


def test_a_missing_file_or_source_is_named(write):
    with pytest.raises(InputError, match="nowhere.jsonl: no such dataset file"):
        load("nowhere.jsonl", write("b.jsonl", [ROW]))
    with pytest.raises(InputError, match="`source` of the dataset is missing"):
        list(gsm8k.load_examples(None, {}, 0))
