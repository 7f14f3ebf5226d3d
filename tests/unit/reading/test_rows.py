"""Rows of a dataset hold what the task says of its columns, or the row is named."""

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autojudge.errors import InputError
from autojudge.reading.rows import load_rows

NAMES = {str: "text", bool: "true or false", int: "whole number", float: "number", list: "list of texts"}
VALUES = {  # what a column may hold, and what it may not
    str: (["yes", " 1 "], ["", " ", True, 1, None, ["yes"]]),
    bool: ([True, False], ["true", 0, 1, None, [True]]),
    int: ([3, -1], [True, 3.0, "3", None]),
    float: ([3, 0.5], [True, "0.5", None, float("nan"), float("inf")]),
    list: ([["a"], ["a", "b "]], [[], "a", None, ["a", ""], ["a", 1], {"a": "b"}]),
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


GOOD = '{"question": "Next?", "answer": "8"}'
DEEP, LONG = "[" * 50_000 + "]" * 50_000, "7" * 6000


def load_texts(tmp_path, content, name="rows.jsonl"):
    path = tmp_path / name
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(load_rows({"train": str(path), "test": str(path)}, {"question": str, "answer": str}))


EXTRA = {
    "not a number": '"x": NaN',
    "deep": f'"x": {DEEP}',
    "deep and brackets in texts": f'"x": {{"a": {DEEP}, "b]": "[{{"}}',
    "long": f'"x": {LONG}',
    "long in a list": f'"x": [-{LONG}]',
    "half a character": r'"x": "\ud83d"',
    "half a character as a name": r'"\udc00": 3',
}


@pytest.mark.parametrize("extra", EXTRA.values(), ids=EXTRA)
def test_columns_that_no_task_asked_for_do_no_harm_in_a_line(tmp_path, extra):
    found = load_texts(tmp_path, f'{{"question": "First?", {extra}, "answer": "[6]"}}\n{GOOD}')
    assert [row for _, _, row in found[:2]] == [
        {"question": "First?", "answer": "[6]"},
        {"question": "Next?", "answer": "8"},
    ]


@pytest.mark.parametrize(
    "extra",
    [
        pa.array([2**62, 1], pa.duration("s")),
        pa.array([2**62, 1], pa.timestamp("us")),
        pa.array([b"\xff", b"x"], pa.binary()).view(pa.string()),
        pa.array([[{"a": [1]}], None]),
    ],
    ids=["duration", "timestamp", "no UTF-8", "nested"],
)
def test_columns_that_no_task_asked_for_are_not_read_from_parquet(tmp_path, extra):
    table = pa.table({"question": ["First?", "Next?"], "extra": extra, "answer": ["6", "8"]})
    assert [row for _, _, row in load_texts(tmp_path, table, "rows.parquet")[:2]] == [
        {"question": "First?", "answer": "6"},
        {"question": "Next?", "answer": "8"},
    ]


@pytest.mark.parametrize(
    "line, told",
    [
        (r'{"question": "Half \udc9f?", "answer": "6"}', "row 2 has half a character .* in column `question`"),
        (r'{"question": "A?", "answer": "\ud800 6"}', "row 2 has half a character .* in column `answer`"),
        (b'{"question": "A \xe9?", "answer": "6"}', "row 2 has .*not UTF-8 in column `question`"),
        (f'{{"question": "A?", "answer": {LONG}}}', "row 2 has no text in column `answer`"),
        (f'{{"question": "A?", "answer": {DEEP}}}', "row 2 has no text in column `answer`"),
        (DEEP, "row 2 is not an object with columns"),
        ('{"question": "A?", "answer": ' + "[" * 50_000, "line 2 is not JSON"),
        (r'{"question": "A?", "\ud800": 1}', r"row 2 has no text in column `answer` \(columns: question, .ud800\)"),
    ],
    ids=range(8),
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, line, told):
    line = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(InputError, match=f"rows.jsonl: {told}.*; fix or drop"):
        load_texts(tmp_path, GOOD.encode() + b"\n" + line)


@pytest.mark.parametrize("answer", ["duration", "no UTF-8"])
def test_a_parquet_value_that_cannot_be_had_is_named(tmp_path, answer):
    values = pa.array([1, 2**62], pa.duration("s"))
    if answer == "no UTF-8":
        values = pa.array([b"6", b"\xff"], pa.binary()).view(pa.string())
    with pytest.raises(
        InputError, match=r"rows\.parquet: row \d .*; write that file again|row 1 has no text in column"
    ):
        load_texts(tmp_path, pa.table({"question": ["A?", "B?"], "answer": values}), "rows.parquet")


@pytest.mark.parametrize("start, stop", [(40, 400), (4, 60), (200, 900)])
def test_a_damaged_parquet_file_is_named(tmp_path, start, stop):
    path = tmp_path / "rows.parquet"
    texts = [f"Question {i * i}?" for i in range(400)]
    pq.write_table(pa.table({"question": texts, "answer": texts[::-1]}), path, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[start:stop] = b"\x5a" * (stop - start)
    with pytest.raises(
        InputError, match=r"rows\.parquet: row 1 or one after it cannot be read .*; write that file again"
    ):
        load_texts(tmp_path, bytes(content), "rows.parquet")


ROWS = [{"question": "A?", "answer": "6"}, {"question": "B?", "answer": "7", "x": [{"y": {}}]}]
LINES = "\n".join(map(json.dumps, ROWS)).encode()
ARRAY, PRETTY = r"is one JSON array; .*`jq -c '.\[\]' FILE", r"span several lines \(pretty-printed\); .*`jq -c . FILE"
OTHER_FORMS = {
    "an array": (json.dumps(ROWS), ARRAY),
    "an array, a row a line": ("[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n", ARRAY),
    "an array, a pretty one": ("\ufeff\n" + json.dumps(ROWS, indent=4), ARRAY),
    "an array cut off": (json.dumps(ROWS, indent=2)[:60], ARRAY),
    "a long array": (json.dumps(ROWS * 20_000), ARRAY),
    "an empty array": ("[]", ARRAY),
    "pretty": ("\n".join(json.dumps(row, indent=2) for row in ROWS), PRETTY),
    "pretty and cut off": (json.dumps(ROWS[1], indent=1)[:30], PRETTY),
    "a pretty object of all": (json.dumps({"data": ROWS}, indent="\t"), PRETTY),
    "a row on two lines": ('{"question": "A?",\n "answer": "6"}', PRETTY),
    "gzip": (gzip.compress(LINES), "is not text with one row per line but packed by gzip; unpack it"),
    "bzip2": (bz2.compress(LINES), "packed by bzip2; unpack it"),
    "xz": (lzma.compress(LINES), "packed by xz; unpack it"),
    "zip": (b"PK\x03\x04" + LINES, "a zip archive; unpack it"),
    "parquet": (b"PAR1" + LINES, "a parquet file; name it .parquet"),
    "a pointer": ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer"),
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_a_file_of_another_form_is_told_what_it_is(tmp_path, form):
    content, told = OTHER_FORMS[form]
    with pytest.raises(InputError, match=rf"rows\.jsonl: .*{told}"):
        load_texts(tmp_path, content)


@pytest.mark.parametrize(
    "content, told",
    [
        ('[1]\n{"question": "A?"}', "row 1 is not an object"),
        ("[1]\n[2]", "row 1 is not an object"),
        ('{"question": "A?"} {"question": "B?"}', "line 1 is not JSON .Extra data"),
        ("question,answer\nA?,6", "line 1 is not JSON"),
        (LINES + b"\n{\n", "line 3 is not JSON"),
        (LINES + b"\n[]\n", "row 3 is not an object"),
    ],
)
def test_lines_that_are_wrong_are_still_told_as_such(tmp_path, content, told):
    with pytest.raises(InputError, match=rf"rows\.jsonl: {told}"):
        load_texts(tmp_path, content)


def test_a_pointer_for_a_parquet_file_is_told_as_such(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    with pytest.raises(InputError, match=r"rows\.parquet: is a Git LFS pointer .*git lfs pull"):
        load_texts(tmp_path, pointer, "rows.parquet")


def test_a_tilde_stands_for_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "rows.jsonl").write_text(GOOD)
    source = {"train": "~/rows.jsonl", "test": "~/rows.jsonl"}
    assert [place for _, place, _ in load_rows(source, {"question": str})] == ["~/rows.jsonl: row 1"] * 2
    with pytest.raises(InputError, match=r"~/none\.jsonl: no such dataset file"):
        list(load_rows(source | {"train": "~/none.jsonl"}, {"question": str}))
    with pytest.raises(InputError, match=r"~nobody-here/rows\.jsonl: no such dataset file"):
        list(load_rows(source | {"train": "~nobody-here/rows.jsonl"}, {"question": str}))


def test_optional_columns_are_read_where_a_row_has_them(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(GOOD + '\n{"question": "?"}')
    rows = [
        row for _, _, row in load_rows({"train": str(path), "test": str(path)}, {"question": str}, optional=["answer"])
    ]
    assert rows[:2] == [{"question": "Next?", "answer": "8"}, {"question": "?"}]


def write_rows(tmp_path, *names):
    for name in names:
        (tmp_path / name).write_text(json.dumps({"question": f"{name}?"}))
    return [str(tmp_path / name) for name in names]


def test_a_part_may_be_several_files(tmp_path):
    a, b, c = write_rows(tmp_path, "a.jsonl", "b.jsonl", "c.jsonl")
    rows = list(load_rows({"train": a, "test": [b, c]}, {"question": str}))
    assert [(origin, row["question"]) for origin, _, row in rows] == [
        *(("train", "a.jsonl?"), ("test", "b.jsonl?"), ("test", "c.jsonl?"))
    ]
    assert rows[2][1] == f"{c}: row 1"


def test_a_task_has_the_parts_and_keys_that_it_names(tmp_path):
    a, b = write_rows(tmp_path, "a.jsonl", "b.jsonl")
    only_test = {"splits": {"test": "test"}, "settings": ("release",)}
    rows = list(load_rows({"test": a, "release": "v1", "train": None}, {"question": str}, **only_test))
    assert [origin for origin, _, _ in rows] == ["test"]
    with pytest.raises(
        InputError, match="`source.train` of the dataset is not read: its task has test, release; leave"
    ):
        list(load_rows({"test": a, "train": b}, {"question": str}, **only_test))
    with pytest.raises(InputError, match="`source.train` of the dataset is missing; name a file or part of the hub"):
        list(load_rows({"test": a}, {"question": str}))


def test_the_hub_is_asked_for_the_splits_that_a_task_names(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "autojudge.reading.rows._read_hub", lambda *given: asked.append(given[:3]) or iter([{"question": "?"}])
    )
    splits = {"train": "train+validation", "test": "test"}
    assert len(list(load_rows("a/b", {"question": str}, "full", splits=splits))) == 2
    list(load_rows({"train": {"hub": "a/b", "split": "dev"}, "test": {"hub": "a/c"}}, {"question": str}, splits=splits))
    assert asked == [
        *(("a/b", "full", "train+validation"), ("a/b", "full", "test")),
        *(("a/b", "default", "dev"), ("a/c", "default", "test")),
    ]


def test_a_line_without_an_end_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("autojudge.reading.rows.LONGEST_LINE", 1000)
    with pytest.raises(InputError, match="rows.jsonl: line 2 has 1000 characters or more; drop that row"):
        load_texts(tmp_path, f'{GOOD}\n{{"question": "{"a" * 2000}", "answer": "6"}}')
