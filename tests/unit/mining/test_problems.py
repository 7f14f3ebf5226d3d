"""Problems: splits are disjoint and by hash, prompts fit, and the generator is right."""

import json
from itertools import islice

import pytest

from autojudge.errors import InputError
from autojudge.mining.problems import choose_split, prepare_problems, problem_hash
from autojudge.tables.files import read_table, write_table
from autojudge.tables.mining import PROBLEMS
from autojudge.tasks import TASKS, Example, load_task
from autojudge.testbed.problems import EXPERIMENT_POOL, generate_problems, problem_pool


def test_splits_are_disjoint_and_as_large_as_asked(problems, config):
    ids = [p["problem_id"] for p in problems]
    assert len(set(ids)) == len(ids) == len({p["question"] for p in problems})
    for split, count in config["datasets"]["arith"]["problems"].items():
        assert sum(p["split"] == split for p in problems) == count


def test_a_problems_split_depends_on_its_text_alone(pair, arith, problems):
    counts = {"train": 5, "validation": 5, "test": 5}
    again = prepare_problems(
        arith, {"source": None, "problems": counts, "max_new_tokens": 9}, pair.tokenizer, 512, seed=0
    )
    splits = {p["problem_id"]: p["split"] for p in problems}
    assert all(splits.get(p["problem_id"], p["split"]) == p["split"] for p in again)
    assert choose_split(problem_hash("x"), "train") == choose_split(problem_hash("x"), "train") != "test"


def test_no_problem_of_the_experiment_was_trained_on(problems):
    assert {problem_pool(p["question"]) for p in problems} == {EXPERIMENT_POOL}
    trained = {p.question for p in islice(generate_problems(seed=1, experiment=False), 2000)}
    assert trained.isdisjoint(p["question"] for p in problems)
    assert {problem_pool(question) for question in trained} == set(range(10)) - {EXPERIMENT_POOL}


def test_a_prompt_beyond_the_context_is_refused(pair, arith):
    dataset = {"source": None, "problems": {"train": 1, "validation": 1, "test": 1}, "max_new_tokens": 500}
    with pytest.raises(InputError, match=r"prompt of \d+ tokens and 500 new ones exceed the models' context of 512"):
        prepare_problems(arith, dataset, pair.tokenizer, 512, seed=0)


class FewProblems:
    """A task with 40 distinct problems for mining, each twice, and none for the test."""

    @staticmethod
    def load_examples(source, counts, seed):
        yield from (Example(f"question {i // 2}", "1", "train") for i in range(80))


def test_a_short_split_is_refused(pair):
    dataset = {"source": None, "problems": {"train": 1, "validation": 1, "test": 4}, "max_new_tokens": 5}
    with pytest.raises(InputError, match=r"`datasets\.\*\.problems`: .* hold: 4 test \(4 too many\); ask for"):
        prepare_problems(FewProblems, dataset, pair.tokenizer, 512, seed=0)


class OnlyTest:
    """A task with three problems, all for the test."""

    @staticmethod
    def load_examples(source, counts, seed):
        yield from (Example(f"question {i}", "1", "test") for i in range(3))


@pytest.mark.parametrize("train, told", [(0, "ask for fewer or give more rows"), (1, "it has no training problems")])
def test_a_task_without_training_problems_is_told_where_these_are_asked_for(pair, train, told):
    dataset = {"source": None, "problems": {"train": train, "validation": 0, "test": 4}, "max_new_tokens": 5}
    with pytest.raises(InputError, match=told):
        prepare_problems(OnlyTest, dataset, pair.tokenizer, 512, seed=0)


def test_a_problem_that_comes_twice_is_taken_once(pair):
    dataset = {"source": None, "problems": {"train": 25, "validation": 3, "test": 0}, "max_new_tokens": 5}
    rows = prepare_problems(FewProblems, dataset, pair.tokenizer, 512, seed=0)
    assert len(rows) == 28


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="task `algebra` is unknown.*; known are arith, "):
        load_task("algebra")
    assert {"arith", "arith_long", "gsm8k", "math500"} <= set(TASKS.names())


class TestOnly:
    """A task with 30 test problems and a training problem that folds have no use for."""

    trains = True

    @classmethod
    def load_examples(cls, source, counts, seed):
        yield from [Example("a training problem", "1", "train")] * cls.trains
        yield from (Example(f"question {i}", "1", "test") for i in range(30))


def folded(count, folds, **others):
    return {"source": None, "problems": {"train": None, "test": count}, "folds": folds, "max_new_tokens": 5} | others


def test_problems_of_folds_are_test_problems_and_each_may_be_mined(pair):
    rows = prepare_problems(TestOnly, folded(30, 3), pair.tokenizer, 512, seed=0)
    assert {row["question"] for row in rows} == {f"question {i}" for i in range(30)}
    assert {row["split"] for row in rows} == {"train", "validation"}
    assert all(row["split"] == choose_split(row["problem_id"], "train") for row in rows)


def test_a_fold_without_problems_of_some_split_is_refused(pair):
    with pytest.raises(InputError, match=r"`datasets.\*.folds`: of 6 .* fold \d-of-6 has none for \w+; ask for"):
        prepare_problems(TestOnly, folded(6, 6), pair.tokenizer, 512, seed=0)


def test_a_dataset_without_training_problems_is_told_of_folds(pair, monkeypatch):
    monkeypatch.setattr(TestOnly, "trains", False)
    dataset = {"source": None, "problems": {"train": 2, "validation": 2, "test": 4}, "max_new_tokens": 5}
    with pytest.raises(InputError, match=r"2 train .*no training problems: give `problems: {test: N}` and `folds: 5`"):
        prepare_problems(TestOnly, dataset, pair.tokenizer, 512, seed=0)


def test_questions_alone_become_problems_without_answers(pair, tmp_path):
    lines = [json.dumps({"question": f"What is {i}?", "answer": "not read"}) for i in range(40)]
    for part in ("train", "test"):
        (tmp_path / f"{part}.jsonl").write_text("\n".join(line.replace("What", part) for line in lines))
    source = {part: str(tmp_path / f"{part}.jsonl") for part in ("train", "test")}
    dataset = {"source": source, "problems": {"train": 9, "validation": 3, "test": 2}, "max_new_tokens": 5}
    rows = prepare_problems(load_task("questions"), dataset, pair.tokenizer, 512, seed=0)
    assert len(rows) == 14 and all(row["gold"] is None and "?" in row["question"] for row in rows)
    write_table(PROBLEMS, rows, tmp_path / "problems.parquet")
    assert read_table(PROBLEMS, tmp_path / "problems.parquet")["gold"].isna().all()
