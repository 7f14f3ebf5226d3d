"""Seeded word problems: a count that events change one after another, and the answer."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

LARGEST = 99
STEPS = range(3, 9)
POOLS = 10  # problems fall into ten pools by a hash of their text
EXPERIMENT_POOL = 0  # mining, validation and test problems; the models are trained on the other nine

# What an event with a number does to the count. Division leaves no rest in a problem, but may where a solution errs.
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "add": lambda count, n: count + n,
    "take": lambda count, n: max(0, count - n),
    "times": lambda count, n: count * n,
    "split": lambda count, n: count // n,
    "restart": lambda _, n: n,
}
MOVE = "move"  # an event of which the problem says not whether it adds or takes; it takes
KINDS = ["add"] * 8 + ["take"] * 6 + [MOVE] * 2 + ["times"] * 2 + ["split"] * 2 + ["restart"] * 3


@dataclass(frozen=True)
class Event:
    """A change of the count: its kind, of `KINDS`, and its number."""

    kind: str
    number: int


@dataclass(frozen=True)
class Problem:
    """A word problem: who counts what, its text, what happens to the count, and the final answer."""

    name: str
    unit: str
    question: str
    start: int
    events: tuple[Event, ...]
    answer: int


@cache
def load_texts() -> dict[str, Any]:
    """Read the sentences of problems and the wordings of solutions."""
    texts: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return texts


def problem_pool(question: str) -> int:
    """Return the pool, 0 to 9, that a problem belongs to, by a hash of its text."""
    return stable_hash(question) % POOLS


def is_test_problem(question: str) -> bool:
    """Tell whether a problem of the experiment belongs to its test half, by a hash of its text."""
    return stable_hash(question) // POOLS % 2 == 1


def stable_hash(text: str) -> int:
    """Return a number that depends on the text alone."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


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
    texts = load_texts()
    pronoun = rng.choice(["he", "she"])
    name, unit = rng.choice(texts["people"][pronoun]), rng.choice(texts["units"])

    def say(kind: str, n: int = 0) -> str:
        sentence: str = rng.choice(texts["events"][kind])
        return sentence.format(name=name, He=pronoun.capitalize(), unit=unit, n=n)

    start = count = rng.randint(5, 60)
    events: list[Event] = []
    n_steps = rng.choice(STEPS)
    while len(events) < n_steps:
        event = _draw_event(rng, count)
        if event is not None:
            events.append(event)
            count = apply_event(event.kind, count, event.number)
    sentences = [say("start", start), *(say(e.kind, e.number) for e in events), say("question")]
    return Problem(name, unit, " ".join(sentences), start, tuple(events), count)


def _draw_event(rng: random.Random, count: int) -> Event | None:
    """Draw what happens to a count; None where the drawn event does not fit."""
    kind = rng.choice(KINDS)
    if kind in ("times", "split"):
        n = rng.choice([2, 3])
    elif rng.random() < 0.5:
        n = rng.randint(2, 9)
    else:
        n = rng.randint(10, 60)
    fits = count + n <= LARGEST if kind == MOVE else kind != "split" or count % n == 0
    return Event(kind, n) if fits and 1 <= apply_event(kind, count, n) <= LARGEST else None


def apply_event(kind: str, count: int, number: int) -> int:
    """Return the count after an event."""
    return OPERATIONS["take" if kind == MOVE else kind](count, number)
