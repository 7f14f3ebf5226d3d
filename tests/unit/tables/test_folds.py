"""Folds: every problem is tested in one of them, whatever other problems there are."""

from collections import Counter

from autojudge.tables.folds import list_folds, list_parts, split_in

NAMES = [f"problem {i}" for i in range(1000)]


def test_folds_are_named_by_number_and_count():
    assert list_folds(3) == ["1-of-3", "2-of-3", "3-of-3"]
    assert list_folds(None) == list_folds(0) == []
    assert list_parts(2) == ["/folds/1-of-2", "/folds/2-of-2"] and list_parts(None) == [""]


def test_each_problem_is_tested_in_one_fold_and_keeps_its_split_in_all_others():
    folds = list_folds(5)
    for name in NAMES:
        assert sorted(split_in(fold, name, "train") for fold in folds) == ["test"] + 4 * ["train"]
        assert [split_in(fold, name, "validation") == "test" for fold in folds] == [
            split_in(fold, name, "train") == "test" for fold in folds
        ]
    sizes = Counter(fold for fold in folds for name in NAMES if split_in(fold, name, "train") == "test")
    assert all(160 <= size <= 240 for size in sizes.values())


def test_without_folds_splits_are_those_of_the_table():
    assert [split_in(None, "problem", split) for split in ("train", "test")] == ["train", "test"]
