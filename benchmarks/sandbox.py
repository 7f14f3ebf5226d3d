"""Time the sandbox, and judge the reference solutions of a programming data set in it.

    python benchmarks/sandbox.py humaneval/problems.jsonl mbpp/mbpp.jsonl --load 2

Of each file (rows as HumanEval's or MBPP's): all references twice, whose verdicts must be equal, and each problem's
stub, whose body is `pass`. `--load` keeps that many cores busy meanwhile. Also milliseconds for a trivial program: in a
bare `python -I -S`, in a sandbox that starts for it, and in warm workers.
"""

import argparse
import ast
import json
import multiprocessing
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from report import write_report

from autojudge.jobs.provenance import current_commit
from autojudge.sandbox import Sandbox

TRIVIAL = "def double(x):\n    return 2 * x\n"
TEST = "assert double(21) == 42"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--means", choices=["bubblewrap", "Landlock and seccomp"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--programs", type=int, default=200, help="trivial programs to time")
    parser.add_argument("--load", type=int, default=0, help="busy processes beside")
    parser.add_argument("--json", help="file to write the figures to")
    return parser.parse_args()


def functions(source):
    """Names of the functions and classes that a program defines at its top."""
    return [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def read_problem(row):
    """Name, program, test and names to call of a row."""
    if "prompt" in row:
        program = row["prompt"] + row["canonical_solution"]
        names = [row["entry_point"], *set(functions(row["prompt"] + "    pass\n")) - {row["entry_point"]}]
        return row["task_id"], program, f"{row['test']}\ncheck({row['entry_point']})", names
    test = "\n".join(["import sys", row["test_setup_code"], *row["test_list"]])  # sys: one test counts on it
    called = {node.id for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Name)}
    return f"MBPP/{row['task_id']}", row["code"], test, [name for name in functions(row["code"]) if name in called]


def stub(program):
    """The program with nothing in its functions."""
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Pass()]
    return ast.unparse(tree)


def judge(sandbox, problems, write=lambda program: program):
    """Reason of each problem's verdict, and the seconds for all."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(sandbox.workers) as threads:
        verdicts = list(threads.map(lambda one: sandbox.check(write(one[1]), *one[2:]), problems))
    reasons = {problem[0]: verdict.reason for problem, verdict in zip(problems, verdicts, strict=True)}
    return reasons, time.perf_counter() - begin


def judge_file(sandbox, file):
    """Figures of a data file: verdicts of its references and stubs."""
    problems = [read_problem(json.loads(line)) for line in file.read_text().splitlines()]
    first, seconds = judge(sandbox, problems)
    second, again = judge(sandbox, problems)
    stubs, _ = judge(sandbox, problems, stub)
    return {
        "problems": len(problems),
        "seconds": seconds,
        "seconds_again": again,
        "passed": sum(reason == "passed" for reason in first.values()),
        "failed": {name: reason for name, reason in first.items() if reason != "passed"},
        "equal_verdicts": first == second,
        "stubs": dict(Counter(stubs.values())),
        "stubs_passed": [name for name, reason in stubs.items() if reason == "passed"],
    }


def time_trivial(args):
    """Milliseconds for a trivial program, each way."""
    begin = time.perf_counter()
    for _ in range(20):
        subprocess.run([sys.executable, "-I", "-S", "-c", TRIVIAL], check=True)
    times = {"bare_ms": (time.perf_counter() - begin) / 20 * 1000}
    begin = time.perf_counter()
    for _ in range(5):
        with Sandbox(means=args.means) as sandbox:
            sandbox.check(TRIVIAL, TEST, ["double"])
    times["cold_ms"] = (time.perf_counter() - begin) / 5 * 1000
    for workers in dict.fromkeys((1, args.workers)):
        with Sandbox(workers, args.means) as sandbox:
            problems = [("", TRIVIAL, TEST, ["double"])] * args.programs
            judge(sandbox, problems[: 4 * workers])
            times[f"warm_ms_{workers}"] = judge(sandbox, problems)[1] / args.programs * 1000
            times[f"run_ms_{workers}"] = time_runs(sandbox, args.programs)
    return times


def time_runs(sandbox, programs):
    """Milliseconds for a program that is run as a script."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(sandbox.workers) as threads:
        list(threads.map(sandbox.run, ["print(21)"] * programs))
    return (time.perf_counter() - begin) / programs * 1000


def spin():
    while True:
        pass


def main():
    args = parse_arguments()
    load = [multiprocessing.get_context("spawn").Process(target=spin, daemon=True) for _ in range(args.load)]
    for process in load:
        process.start()
    result = {"workers": args.workers, "load": args.load, **time_trivial(args)}
    with Sandbox(args.workers, args.means) as sandbox:
        result["means"] = sandbox.description
        for file in args.files:
            result[str(file)] = judge_file(sandbox, file)
            print(file, json.dumps(result[str(file)], indent=1))
    for process in load:
        process.terminate()
    write_report({**result, "commit": current_commit()}, args.json)


if __name__ == "__main__":
    main()
