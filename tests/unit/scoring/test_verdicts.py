"""Verdicts as answers: a response is checked once for a problem, by that problem's tests; no fault is a verdict."""

import pytest

from autojudge.errors import InputError
from autojudge.sandbox import Sandbox, SandboxError, Verdict
from autojudge.scoring.verdicts import VerdictScorer
from autojudge.tables.tests import ProblemTests, digest_tests, dump_tests, write_tests

PROBLEMS = {"a": {"wanted": "1"}, "b": {"wanted": "2"}}


class Echo:
    """A task whose responses pass where they are what is wanted; it counts how often it was asked."""

    def __init__(self):
        self.asked = []

    def check_response(self, response, tests, sandbox):
        self.asked.append((response, tests["wanted"]))
        if response == "broken":
            raise SandboxError("no worker")
        return Verdict(response == tests["wanted"], "passed" if response == tests["wanted"] else "wrong value")


def problem(name):
    return {"problem_id": name, "tests": digest_tests(dump_tests(PROBLEMS[name]))}


@pytest.fixture
def scorer(tmp_path):
    write_tests(PROBLEMS.items(), tmp_path / "tests.parquet")
    return VerdictScorer(Echo(), ProblemTests(tmp_path / "tests.parquet"), Sandbox(3))


def test_an_answer_is_the_verdict_by_the_problems_own_tests(scorer):
    assert [scorer.answer("1", problem(name)) for name in "ab"] == ["pass", "fail"]
    assert scorer.form("2", problem("a")) == ("wrong value", "fail")
    assert scorer.same("fail", "fail") and not scorer.same("pass", "fail")
    assert scorer.threads == 3 and scorer.memory_mb > 0


def test_a_response_is_checked_once_for_a_problem(scorer):
    for _ in range(3):
        assert scorer.answer("1", problem("a")) == "pass"
        assert scorer.answer("1", problem("b")) == "fail"
    assert scorer._task.asked == [("1", "1"), ("1", "2")]


def test_a_repeat_of_a_problem_has_its_tests(scorer):
    assert scorer.answer("2", problem("b") | {"problem_id": "b repeat 1"}) == "pass"


def test_a_fault_of_the_sandbox_is_no_verdict(scorer):
    for _ in range(2):  # and is not remembered as one
        with pytest.raises(SandboxError, match="no worker"):
            scorer.answer("broken", problem("a"))


def test_tests_of_another_version_of_the_data_are_refused(scorer):
    with pytest.raises(InputError, match=r"tests.parquet: lacks the tests of problem a; delete it and run again"):
        scorer.answer("1", problem("a") | {"tests": "0" * 16})
