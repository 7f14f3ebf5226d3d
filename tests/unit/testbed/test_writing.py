"""Solutions: the writer's manner follows from the person; strays are marked; readings and slips as often as told."""

import random
import re
from itertools import islice

import pytest

from autojudge.tasks.arith import extract_answer
from autojudge.testbed.problems import generate_problems, load_texts
from autojudge.testbed.writing import Writer, forget_carry, write_solution

EQUATION = re.compile(r"(\d+) (\S+) (\d+) (?:=|is|make|gives|makes) (\d+)")
SIGNS = {pair[0]: operation for operation, pairs in load_texts()["signs"].items() for pair in pairs}
RIGHT = Writer(departs=0, strays=0.5, learns_strays=False, moves_add=0, slips=0)


@pytest.fixture(scope="module")
def drawn():
    return list(islice(generate_problems(seed=4, experiment=True), 300))


def write(problem, seed=0, **settings):
    return write_solution(problem, Writer(**vars(RIGHT) | settings), random.Random(seed))


def test_a_solution_states_the_answer_and_right_equations(drawn):
    apply = {"add": int.__add__, "take": int.__sub__, "times": int.__mul__, "split": int.__floordiv__}
    for problem in drawn:
        text = write(problem).text
        assert extract_answer(text) == str(problem.answer) and text.endswith(f"The final answer is {problem.answer}")
        equations = EQUATION.findall(text)
        assert len(equations) == sum(event.kind != "restart" for event in problem.events)
        for a, sign, b, c in equations:
            assert apply[SIGNS[sign]](int(a), int(b)) == int(c)


def test_without_strays_the_wording_follows_from_the_person_alone(drawn):
    def manner(problem, seed):
        text = write(problem, seed, strays=0).text
        return text.split()[0], next(sign for _, sign, _, _ in EQUATION.findall(text) if SIGNS[sign] == "add")

    adders = [p for p in drawn if any(event.kind == "add" for event in p.events)]
    everyone = {p.name: manner(p, 0) for p in adders}
    assert all(manner(p, seed) == everyone[p.name] for seed, p in enumerate(adders))
    assert len(set(everyone.values())) > 4


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_writers_differ_in_as_many_manners_as_told(share):
    usual, other = Writer(0, 0, False, 0, 0), Writer(share, 0, False, 0, 0)
    manners = [(choice, f"person {i}", n) for choice, n in [("sign", 3), ("order", 2), ("tail", 4)] for i in range(300)]
    differing = sum(usual.favourite(*manner) != other.favourite(*manner) for manner in manners)
    assert differing / len(manners) == pytest.approx(share, abs=0.06)
    assert all(0 <= other.favourite(*manner) < manner[2] for manner in manners)


def test_strays_are_untaught_unless_the_pupil_is_to_learn_them(drawn):
    assert not any(write(p, strays=0).untaught for p in drawn)
    assert not any(write(p, learns_strays=True).untaught for p in drawn)
    marked = [write(p) for p in drawn]
    assert sum(bool(solution.untaught) for solution in marked) > 0.95 * len(marked)
    for solution in marked:
        for place in solution.untaught:
            assert place == 0 or solution.text[place] == " "


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_ambiguous_event_is_read_as_often_as_told(drawn, share):
    moving = [p for p in drawn if [e.kind for e in p.events].count("move") == 1 and p.events[-1].kind == "move"]
    added = [
        extract_answer(write(p, seed, moves_add=share).text) != str(p.answer) for seed in range(30) for p in moving
    ]
    assert sum(added) / len(added) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_carry_is_forgotten_as_often_as_told_and_the_text_goes_on_from_what_is_written(drawn, share):
    carries, slips = 0, 0
    for seed, problem in enumerate(drawn):
        text = write(problem, seed, slips=share).text
        for a, sign, b, c in EQUATION.findall(text):
            if SIGNS[sign] == "add" and int(a) % 10 + int(b) % 10 >= 10:
                carries, slips = carries + 1, slips + (int(c) == int(a) + int(b) - 10)
    assert slips / carries == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(
    "operation, a, b, result", [("add", 27, 35, 52), ("add", 21, 35, 56), ("take", 42, 5, 47), ("take", 48, 5, 43)]
)
def test_a_forgotten_carry_or_borrow_leaves_the_tens_as_they_are(operation, a, b, result):
    assert forget_carry(operation, a, b) == result
