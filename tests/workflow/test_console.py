"""What a person sees of a run: `--logger brief` on a toy workflow."""

import os
import re
import subprocess
import sys

import pytest
from clone import ROOT

SNAKEFILE = """
rule all:
    input: expand("letters/{letter}.txt", letter=["a", "b", "c"]), "last.txt"

rule write_letter:
    input: "given"
    output: "letters/{letter}.txt"
    log: "logs/write_letter/{letter}.log"
    shell: "echo telling > {log}; touch {output}"

rule write_last:
    input: expand("letters/{letter}.txt", letter=["a", "b", "c"])
    output: "last.txt"
    log: "logs/write_last.log"
    shell: "COMMAND"
"""


@pytest.fixture
def run(tmp_path):
    """Run the toy workflow with a command as its last job, and return its exit code and what it wrote."""

    def run(command: str, *arguments: str) -> tuple[int, str]:
        (tmp_path / "given").touch()
        (tmp_path / "Snakefile").write_text(SNAKEFILE.replace("COMMAND", command))
        start = [sys.executable, "-m", "snakemake", "--cores", "1", "--logger", "brief", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")}
        result = subprocess.run(start, cwd=tmp_path, capture_output=True, text=True, env=environment)
        return result.returncode, result.stdout + result.stderr

    return run


def test_a_run_is_a_line_per_job(run):
    code, text = run("touch {output}")
    assert code == 0, text
    lines = [line for line in text.splitlines() if " running  " not in line]  # a busy machine may take long
    assert lines[0] == "5 jobs: 3 write_letter, write_last, all"
    ended = [match[1] for line in lines if (match := re.fullmatch(r"\d\d:\d\d:\d\d +(\d of 5  .+), \d+ s", line))]
    assert [line.split("  ")[0] for line in ended] == [f"{i} of 5" for i in range(1, 6)]
    assert {line.split("  ")[1] for line in ended} == {*(f"write_letter {x}" for x in "abc"), "write_last", "all"}
    assert len(lines) == 1 + 5 + 2 and lines[6].startswith("Complete log"), text


def test_a_failed_job_shows_its_log_and_ends_the_run(run):
    code, text = run("echo the answer is missing > {log}; exit 1", "--show-failed-logs")
    assert code == 1
    assert "Error in rule write_last" in text and "\nthe answer is missing\n" in text
    assert "input: letters" not in text, "walls of names"


def test_a_retried_job_says_so(run):
    code, text = run("exit 1", "--retries", "1")
    assert code == 1 and text.count("Error in rule write_last") == 2 and "Trying to restart" in text


def test_a_rule_that_takes_long_is_told_before_it_ends(run):
    _, text = run("sleep 11; touch {output}")
    assert re.search(r" running  write_last\n.*4 of 5  write_last, 1\d s", text), text


def test_a_dry_run_tells_files_and_reasons(run):
    code, text = run("touch {output}", "-n")
    assert code == 0 and "output: last.txt" in text and "reason: " in text
