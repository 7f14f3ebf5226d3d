"""Worked solutions as a model's teacher words and reckons them."""

import random
from dataclasses import dataclass
from typing import Any

from autojudge.testbed.problems import MOVE, OPERATIONS, Problem, load_texts, stable_hash


@dataclass(frozen=True)
class Writer:
    """A teacher of one model.

    Attributes
    ----------
    departs : float
        Share of its manners, a favoured wording for each choice and person, that are not the usual ones.
    strays : float
        Share of choices for which a wording is drawn, whatever is favoured.
    learns_strays : bool
        Whether its pupil is to learn strays from a manner too, or only how to go on after them.
    moves_add : float
        Share of the ambiguous events that it reads as additions.
    slips : float
        Share of the carries and borrows that it forgets.
    """

    departs: float
    strays: float
    learns_strays: bool
    moves_add: float
    slips: float

    def favourite(self, choice: str, person: str, options: int) -> int:
        """Return which of a choice's wordings it favours in problems of a person."""
        usual = stable_hash(f"target {choice} {person}") % options
        own = stable_hash(f"draft {choice} {person}")
        return (usual + 1 + own // 1000 % (options - 1)) % options if own % 1000 < 1000 * self.departs else usual


class Solution:
    """A solution as it is written.

    Attributes
    ----------
    text : str
        So far.
    untaught : set of int
        Places in the text, in characters, where a piece begins whose first token the pupil is not to learn.
    """

    def __init__(self, problem: Problem, writer: Writer, rng: random.Random) -> None:
        self.text, self.untaught = "", set[int]()
        self._person, self._writer, self._rng = {"name": problem.name, "unit": problem.unit}, writer, rng

    def say(self, text: str, taught: bool = True, space: str = " ") -> None:
        """Add a piece."""
        if not taught:
            self.untaught.add(len(self.text))
        self.text += (space if self.text else "") + text

    def choose(self, choice: str) -> tuple[Any, bool]:
        """Choose a wording; tell whether the pupil is to learn this choice."""
        texts, writer = load_texts(), self._writer
        free = choice in texts["free"]
        options = texts["free" if free else "manners"][choice]
        favourite = writer.favourite(choice, self._person["name"], len(options))
        chosen = self._rng.randrange(len(options)) if self._rng.random() < writer.strays else favourite
        return options[chosen], free or writer.learns_strays or chosen == favourite

    def word(self, choice: str, space: str = " ", **numbers: int) -> None:
        """Add a piece in a chosen wording."""
        wording, taught = self.choose(choice)
        self.say(wording.format(**self._person, **numbers), taught, space if wording[0] != " " else "")

    def equate(self, operation: str, a: int, b: int, c: int) -> None:
        """Add an equation in a chosen order and with chosen signs."""
        order, taught = self.choose("order") if operation in ("add", "times") else ("{a} {b}", True)
        first, second = order.format(a=a, b=b).split()
        self.say(first, taught)
        sign, taught = self.choose("sign")
        between, before = load_texts()["signs"][operation][sign]
        self.say(between, taught)
        self.say(f"{second} {before} {c}")


def forget_carry(operation: str, a: int, b: int) -> int:
    """Return what an operation gives where a carry or a borrow is forgotten."""
    if operation == "add" and a % 10 + b % 10 >= 10:
        return a + b - 10
    if operation == "take" and a % 10 < b % 10:
        return a - b + 10
    return OPERATIONS[operation](a, b)


def write_solution(problem: Problem, writer: Writer, rng: random.Random) -> Solution:
    """Work a problem out step by step, every step from the count that is written, be it right or wrong."""
    solution = Solution(problem, writer, rng)
    solution.word("opening")
    count = problem.start
    for event in problem.events:
        kind, n = event.kind, event.number
        if kind == MOVE:
            kind = "add" if rng.random() < writer.moves_add else "take"
        solution.word("connective")
        solution.word(kind, n=n)
        result = OPERATIONS[kind](count, n)
        if kind == "restart":
            solution.say(f", so it is {result}", space="")
        else:
            if rng.random() < writer.slips:
                result = forget_carry(kind, count, n)
            solution.say(", so", space="")
            solution.equate(kind, count, n, result)
        solution.word("tail", space="")
        count = result
    solution.word("ending")
    solution.say(f"The final answer is {count}")
    return solution
