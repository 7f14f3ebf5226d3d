"""A small real run of a dataset whose responses are programs: LiveCodeBench's format and wording, in folds."""

import json

import pandas as pd
import pytest
import yaml
from clone import ROOT, Clone

PROBLEMS, PAIR = 16, "long"
SETTINGS = {
    "runs": [{"dataset": "livecodebench", "pairs": [PAIR]}],
    "datasets": {
        "livecodebench": {
            "source": {"test": ["contests.jsonl"], "release": "release_v1", "from": "2024-01-01"},
            "folds": 2,
            "problems": {"test": PROBLEMS},
            "max_new_tokens": 24,
        }
    },
    "pairs": {PAIR: {role: {"model": f"models/{role}"} for role in ("draft", "target")}},
    "decoding": {"shards": 1, "windows": [4], "rules": ["lossless", "always"]},
    "speed": {"threads": 1},
}
FIGURE, PAGE, TESTS = "results/livecodebench_pareto.pdf", f"results/livecodebench/{PAIR}/answers.md", "tests.parquet"


def contest(number, day="2024-05-04"):
    """A row of LiveCodeBench: every second problem is a function's."""
    called = number % 2 == 1
    case = {"input": f"{number}", "output": f"{number + 1}", "testtype": "functional" if called else "stdin"}
    return {
        "question_content": f"Add one to a number. Variant {number}.",
        "question_id": f"made_{number}",
        "contest_date": f"{day}T00:00:00",
        "starter_code": "class Solution:\n    def more(self, n: int) -> int:\n        " if called else "",
        "public_test_cases": json.dumps([case]),
        "private_test_cases": json.dumps([case]),
        "metadata": json.dumps({"func_name": "more"} if called else {}),
    }


def write_contests(clone, rows):
    (clone.folder / "contests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository with the file, and with the embedded models, their context lengthened to the prompts."""
    clone = Clone(tmp_path_factory.mktemp("programs"))
    (clone.folder / "small.yaml").write_text(yaml.safe_dump(SETTINGS))
    write_contests(clone, [contest(0, "2023-12-31"), *(contest(number) for number in range(1, PROBLEMS + 1))])
    for role in ("draft", "target"):
        folder = clone.folder / "models" / role
        folder.mkdir(parents=True)
        for file in (ROOT / "resources/testbed" / role).iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        sizes = json.loads((folder / "config.json").read_text()) | {"max_position_embeddings": 2048}
        (folder / "config.json").write_text(json.dumps(sizes))
    return clone


def test_a_fault_of_the_data_is_told_before_a_model_is_loaded(clone):
    rows = [contest(number) for number in range(1, PROBLEMS + 1)]
    write_contests(clone, [*rows[:5], rows[5] | {"public_test_cases": "[]", "private_test_cases": "[]"}, *rows[6:]])
    result = clone.snakemake("--cores", "all", FIGURE)
    assert result.returncode != 0
    told = result.stdout + result.stderr
    assert "contests.jsonl: row 6: problem made_6: has no tests, public or private" in told
    assert not list(clone.folder.glob(f"results/livecodebench/{PAIR}/sweep*"))
    write_contests(clone, [contest(0, "2023-12-31"), *rows])


def test_programs_run_in_the_sandbox_and_the_page_tells_how_they_fared(clone):
    result = clone.snakemake("--cores", "all", FIGURE, PAGE)
    assert result.returncode == 0, result.stdout + result.stderr
    sweep = pd.read_parquet(clone.folder / f"results/livecodebench/{PAIR}/sweep.parquet")
    assert set(sweep["answer"]) == {"fail"} and not sweep["correct"].any(), "the embedded models write no programs"
    (checked_by,) = set(sweep["checked_by"])
    assert "Python 3" in checked_by
    assert sweep.loc[sweep["split"] == "test", "problem_id"].nunique() == PROBLEMS, "one is of an earlier day"
    page = (clone.folder / PAGE).read_text()
    assert "how programs fared" in page and checked_by in page and "**no code block**, problem" in page
    tests = pd.read_parquet(clone.folder / "results/livecodebench" / TESTS)
    assert {len(json.loads(text)["cases"]) for text in tests["tests"]} == {2}
    assert "programs run in" in (clone.folder / f"logs/sweep_thresholds/livecodebench/{PAIR}/1-of-1.log").read_text()
