"""Seeded grade-school word problems with worked solutions in freely varied wording."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

LARGEST = 999
POOLS = 10  # problems fall into ten pools by a hash of their text
EXPERIMENT_POOL = 0  # mining, validation and test problems; the models are trained on the other nine


@dataclass(frozen=True)
class Step:
    """One equation ``a operation b = c`` of a solution."""

    operation: str
    a: int
    b: int
    c: int


@dataclass(frozen=True)
class Problem:
    """A word problem: its text, its equations and its final answer."""

    scenario: str
    name: str
    question: str
    steps: tuple[Step, ...]
    answer: int


@cache
def load_scenarios() -> dict[str, Any]:
    """Read the templates and the wording of solutions."""
    scenarios: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return scenarios


def problem_pool(question: str) -> int:
    """Return the pool, 0 to 9, that a problem belongs to, by a hash of its text."""
    return _hash(question) % POOLS


def is_test_problem(question: str) -> bool:
    """Tell whether a problem of the experiment belongs to its test half, by a hash of its text."""
    return _hash(question) // POOLS % 2 == 1


def _hash(question: str) -> int:
    return int(hashlib.sha256(question.encode()).hexdigest(), 16)


def generate_problems(seed: int, experiment: bool) -> Iterator[Problem]:
    """Yield an endless stream of distinct problems.

    Parameters
    ----------
    seed : int
        Two streams of one seed are the same.
    experiment : bool
        True for the pool of the experiment, False for those that the models are trained on; no problem is in both.
    """
    rng = random.Random(seed)
    seen: set[bytes] = set()
    while True:
        problem = _draw_problem(rng)
        key = hashlib.sha256(problem.question.encode()).digest()[:8]
        if (problem_pool(problem.question) == EXPERIMENT_POOL) == experiment and key not in seen:
            seen.add(key)
            yield problem


def _draw_problem(rng: random.Random) -> Problem:
    data = load_scenarios()
    scenario = rng.choice(sorted(data["scenarios"]))
    phrases = data["scenarios"][scenario]
    pronoun = rng.choice(["he", "she"])
    name = rng.choice(data["people"][pronoun])
    sentences, steps, n_steps = [], [], rng.randint(2, 5)

    def say(kind: str, **numbers: int) -> None:
        sentences.append(rng.choice(phrases[kind]).format(name=name, He=pronoun.capitalize(), **numbers))

    if rng.random() < 0.35:
        k, n = rng.randint(2, 9), rng.randint(3, 60)
        count = k * n
        say("start_packs", k=k, n=n)
        steps.append(Step("times", k, n, count))
    else:
        count = rng.randint(5, 99) if rng.random() < 0.7 else rng.randint(100, 400)
        say("start", n=count)
    while len(steps) < n_steps:
        drawn = _draw_operation(rng, count, n_steps - len(steps))
        if drawn is None:
            continue
        kind, numbers, new_steps = drawn
        say(kind, **numbers)
        steps += new_steps
        count = steps[-1].c
    sentences.append(rng.choice(phrases["question"]).format(name=name))
    return Problem(scenario, name, " ".join(sentences), tuple(steps), count)


def _draw_operation(rng: random.Random, count: int, room: int) -> tuple[str, dict[str, int], list[Step]] | None:
    """Draw what happens to a count; None where the drawn kind does not fit."""
    kind = rng.choice(["add", "add", "take", "take", "times", "split", "add_packs", "take_packs"])
    if kind.endswith("_packs"):
        k, n = rng.randint(2, 9), rng.randint(2, 40)
        operation = kind.removesuffix("_packs")
        result = count + k * n if operation == "add" else count - k * n
        steps = [Step("times", k, n, k * n), Step(operation, count, k * n, result)]
        return (kind, {"k": k, "n": n}, steps) if room >= 2 and 1 <= result <= LARGEST else None
    if kind in ("times", "split"):
        times = [k for k in range(2, 10) if count * k <= LARGEST]
        factors = times if kind == "times" else [k for k in range(2, 10) if count % k == 0 and count > k]
        if not factors:
            return None
        k = rng.choice(factors)
        return kind, {"k": k}, [Step(kind, count, k, count * k if kind == "times" else count // k)]
    n = rng.randint(2, 99) if rng.random() < 0.7 else rng.randint(100, 400)
    result = count + n if kind == "add" else count - n
    return (kind, {"n": n}, [Step(kind, count, n, result)]) if 1 <= result <= LARGEST else None


def write_solution(problem: Problem, rng: random.Random) -> str:
    """Word a worked solution; opening, connectives, order and form of each equation are drawn freely."""
    data = load_scenarios()
    wording, unit = data["solution"], data["scenarios"][problem.scenario]["unit"]
    sentences = [rng.choice(wording["openings"]).format(name=problem.name, unit=unit)]
    for step in problem.steps:
        equation = rng.choice(wording[step.operation]).format(a=step.a, b=step.b, c=step.c)
        tail = rng.choice(["", f" {unit}"]) if equation.endswith(str(step.c)) else ""
        sentences.append(f"{rng.choice(wording['connectives'])} {equation}{tail}.")
    sentences.append(rng.choice(wording["endings"]).format(name=problem.name))
    sentences.append(f"The final answer is {problem.answer}")
    return " ".join(filter(None, sentences))
