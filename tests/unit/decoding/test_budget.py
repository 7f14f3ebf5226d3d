"""A rule with memory: what a response has kept counts against its budget, in every branch of its own."""

from math import log

import pytest

from autojudge.decoding.branches import Branch, Cycle, Job, Tree, Verdict
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import EVERY, INFINITY, Points
from autojudge.decoding.window import Window
from autojudge.rules import load_rule
from reference import speculate_plainly

LIMIT, WINDOW = 160, 8
BUDGET = load_rule("regret_budget")
LATER = load_rule("later", {"rule": "regret_budget", "strict_first": 15})


@pytest.fixture(scope="module")
def prompts(problems):
    return [list(p["prompt_tokens"]) for p in problems if p["split"] == "test"][12:15]


@pytest.fixture(scope="module")
def decode(pair, judge, prompts):
    def run(rules, batch=16):
        jobs = [Job(prompt, rules, seed=i) for i, prompt in enumerate(prompts)]
        found = dict(Decoder(pair, judge, WINDOW, LIMIT, batch).decode(jobs))
        return [found[i] for i in range(len(prompts))]

    return run


@pytest.mark.parametrize("rule, first", [(BUDGET, 0), (LATER, 15)])
@pytest.mark.parametrize("budget", [0, 1.3, 4.1, 11.7])
def test_a_budget_is_spent_as_in_a_plain_loop(pair, decode, prompts, rule, first, budget):
    class Spending:
        spent = 0.0

        def __call__(self, p, q, token, place):
            regret = log(p.max() / p[token])
            if place < first or self.spent + regret >= budget:
                return False
            self.spent += regret
            return True

    responses = [response for (response,) in decode({rule: Points((budget,))})]
    found = [(response.tokens, response.cycles) for response in responses]
    assert found == [speculate_plainly(pair, prompt, WINDOW, LIMIT, Spending()) for prompt in prompts]
    if not budget:
        assert [r.tokens for r in responses] == [r.tokens for (r,) in decode({load_rule("lossless"): Points((0,))})]


def test_the_curve_of_budgets_is_that_of_single_ones_whatever_is_beside_it(decode):
    curves = decode({rule: EVERY for rule in (BUDGET, load_rule("fly"), LATER)})
    for rule in (BUDGET, LATER):
        for t in (0.7, 2.3, 6.1, INFINITY):
            for responses, (alone,) in zip(curves, decode({rule: Points((t,))}), strict=True):
                held = [r for r in responses if rule in r.thresholds]
                (own,) = (r for r in held if r.thresholds[rule].low < t <= r.thresholds[rule].high)
                assert (own.tokens, own.counts()) == (alone.tokens, alone.counts())
    assert all(sum(BUDGET in r.thresholds for r in responses) > 2 for responses in curves)


def test_a_window_adds_to_what_the_response_has_spent():
    job = Job([1], {BUDGET: Points((5.0, 7.0, 20.0)), load_rule("chow"): Points((1.0,))})
    branch = Branch.start(Tree(0, job), job.thresholds)
    branch.result.sums = {BUDGET: 2.0}
    window = Window(branch.texts["draft"], 4, frozenset(), frozenset(), branch.random, proposals=[7, 8, 9, 6])
    cycle = Cycle(branch, window, None, None, Verdict([False, True, False, False], [1, 8, 2, 3, 4]))
    for place, (regret, other) in {0: (1.0, 0.5), 2: (3.0, 0.5), 3: (9.0, 0.5)}.items():
        cycle.note_score(BUDGET, place, regret)
        cycle.note_score(load_rule("chow"), place, other)
    assert [cycle.scores[BUDGET, place] for place in (0, 2, 3)] == [3.0, 6.0, 15.0]
    assert [cycle.scores[load_rule("chow"), place] for place in (0, 2, 3)] == [0.5] * 3
    ends = {o.kept: o.thresholds[BUDGET].values for o in cycle.outcomes() if BUDGET in o.thresholds}
    assert ends == {2: (5.0,), 3: (7.0,), 4: (20.0,)}
    assert [cycle.sum_before(BUDGET, kept) for kept in (0, 2, 3, 4)] == [2.0, 3.0, 6.0, 15.0]


def test_what_sums_is_told_by_the_rules_module():
    assert BUDGET.summed and LATER.summed and not load_rule("chow").summed
