"""Mining where answers are verdicts: labels are plain mining's, and a lost worker of the sandbox changes none."""

import psutil
import pytest

from autojudge.mining.miner import Miner
from autojudge.sandbox import Sandbox
from autojudge.scoring.verdicts import VerdictScorer
from autojudge.tables.tests import ProblemTests, digest_tests, dump_tests, write_tests
from reference import greedy_cached, mine_plainly, mined_result

LIMIT, N_PROBLEMS = 160, 6


class Program:
    """Arith, each response being read as a program that returns its answer."""

    def __init__(self, arith, before=lambda: None):
        self.arith, self.before = arith, before

    def check_response(self, response, tests, sandbox):
        self.before()
        program = f"def solve():\n    return {self.arith.extract_answer(response)}\n"
        return sandbox.check(program, f"assert solve() == {tests['gold']}", names=["solve"])


@pytest.fixture(scope="module")
def to_mine(problems):
    kept = [problem for problem in problems if problem["split"] != "test"][:N_PROBLEMS]
    return [problem | {"gold": "pass", "tests": digest_tests(dump_tests(given(problem)))} for problem in kept]


def given(problem):
    return {"gold": problem["gold"]}


@pytest.fixture(scope="module")
def tests(problems, tmp_path_factory):
    path = tmp_path_factory.mktemp("programs") / "tests.parquet"
    write_tests([(problem["problem_id"], given(problem)) for problem in problems], path)
    return ProblemTests(path)


@pytest.fixture(scope="module")
def plain(pair, arith, to_mine, tests):
    """What plain mining gives, each program being run anew."""

    class Fresh:
        def __init__(self, problem):
            self.problem = problem

        def extract_answer(self, text):
            return VerdictScorer(Program(arith), tests, sandbox).answer(text, self.problem)

        same_answer = staticmethod(str.__eq__)

    with Sandbox() as sandbox:
        return {
            problem["problem_id"]: mine_plainly(
                pair, Fresh(problem), list(problem["prompt_tokens"]), LIMIT, greedy_cached
            )
            for problem in to_mine
        }


def test_labels_are_plain_minings_with_workers_that_are_killed(pair, arith, to_mine, tests, plain):
    killed = []

    def kill_at_times():
        """Kill what runs programs, at every seventh of them."""
        calls.append(None)
        if len(calls) % 7 == 3:
            for process in psutil.Process().children(recursive=True)[-1:]:
                process.kill()
                killed.append(process.pid)

    calls: list[None] = []
    with Sandbox(2) as sandbox:
        scorer = VerdictScorer(Program(arith, kill_at_times), tests, sandbox)
        mined = {m.response["problem_id"]: m for m in Miner(pair, scorer, LIMIT, batch=4).mine(to_mine)}
    assert {name: mined_result(result) for name, result in mined.items()} == plain
    labels = [label for result in mined.values() for label in result.labels]
    assert {label["alternative_answer"] for label in labels} == {"pass", "fail"}
    assert {label["important"] for label in labels} == {True, False}
    assert all(m.response["checked_by"] == sandbox.description for m in mined.values())
    assert len(killed) > 3
