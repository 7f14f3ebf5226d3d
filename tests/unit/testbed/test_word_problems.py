"""Generated problems are what the model card promises."""

from itertools import islice

import pytest

from autojudge.testbed.problems import KINDS, LARGEST, STEPS, apply_event, generate_problems, load_texts


@pytest.fixture(scope="module")
def drawn():
    return list(islice(generate_problems(seed=3, experiment=True), 1000))


def test_people_units_lengths_and_events_all_occur(drawn):
    texts = load_texts()
    assert {p.name for p in drawn} == {name for group in texts["people"].values() for name in group}
    assert {p.unit for p in drawn} == set(texts["units"])
    assert {len(p.events) for p in drawn} == set(STEPS)
    assert {event.kind for p in drawn for event in p.events} == set(KINDS)


def test_the_answer_is_the_count_after_the_events_and_no_count_leaves_the_bounds(drawn):
    for problem in drawn:
        count = problem.start
        for event in problem.events:
            assert event.kind != "split" or count % event.number == 0
            count = apply_event(event.kind, count, event.number)
            assert 1 <= count <= LARGEST
        assert count == problem.answer


def test_a_problem_says_its_numbers_in_their_order(drawn):
    for problem in drawn:
        numbers = [problem.start, *(event.number for event in problem.events)]
        assert [int(word) for word in problem.question.replace(".", "").split() if word.isdigit()] == numbers


@pytest.mark.parametrize(
    "kind, count, number, result",
    [
        ("add", 7, 5, 12),
        ("take", 7, 5, 2),
        ("take", 5, 7, 0),
        ("move", 7, 5, 2),
        ("split", 7, 2, 3),
        ("restart", 7, 5, 5),
    ],
)
def test_an_event_changes_the_count(kind, count, number, result):
    assert apply_event(kind, count, number) == result
