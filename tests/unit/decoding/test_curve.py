"""One traversal for all thresholds of all rules agrees with separate runs, token for token and count for count."""

from collections import Counter
from itertools import count

import numpy as np
import pytest

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import EVERY, INFINITY, Interval, Points
from autojudge.engine.sampling import Sampling
from autojudge.jobs.store import Store
from autojudge.jobs.sweep_work import SweepWork
from autojudge.mining.miner import Miner
from autojudge.rules import RULES as REGISTRY
from autojudge.rules import load_rule
from autojudge.scoring.scorer import Scorer

LIMIT, WINDOW = 160, 8
RULES = [name for name in REGISTRY.names() if name != "oracle"]


@pytest.fixture
def sweep(tmp_path):
    """Decodes problems by rules with given thresholds, and labels for the oracle; returns rows of sweep.parquet."""
    stores = count()

    def sweep(decoder, rows, given, task, labels=None):
        every = {"lossless": [0.0], **given}  # with which responses are compared
        work = SweepWork(
            code="code",
            max_new_tokens=decoder.ending.limit,
            models={"draft": {}, "target": {}},
            sampling={},
            windows=[decoder.window],
            branches=decoder.most_branches,
            rules=dict.fromkeys(every, "code"),
            given=every,
            labels={"oracle": labels} if labels else {},
        )
        with Store(tmp_path / f"{next(stores)}", "shard") as store:
            found = work.decode(rows, store, Scorer(task), lambda window: decoder)
        return [row for row in found if row["rule"] in {"target", *given}]

    return sweep


@pytest.fixture(scope="module")
def prompts(problems):
    return [list(p["prompt_tokens"]) for p in problems if p["split"] == "test"][:5]


@pytest.fixture(scope="module")
def decode(pair, judge, prompts):
    """Decode the prompts for some rules' thresholds; return each prompt's responses."""

    def run(rules, batch=16, **options):
        jobs = [Job(prompt, rules, seed=i) for i, prompt in enumerate(prompts)]
        found = dict(Decoder(pair, judge, WINDOW, LIMIT, batch, **options).decode(jobs))
        return [found[i] for i in range(len(prompts))]

    return run


def covering(responses, rule, t):
    """The one response that holds at a threshold."""
    (found,) = (r for r in responses if rule in r.thresholds and r.thresholds[rule].low < t <= r.thresholds[rule].high)
    return found


def result(response, reads_last=False):
    return response.tokens, response.counts(reads_last)


def between_breakpoints(curves, rule, count=6):
    """Thresholds in gaps that are wide against rounding: at a breakpoint itself the last bit of a score decides."""
    ends = sorted(
        {r.thresholds[rule].high for responses in curves for r in responses if rule in r.thresholds} - {INFINITY}
    )
    gaps = [(a + b) / 2 for a, b in zip(ends, ends[1:], strict=False) if b - a > 1e-4 * max(abs(a), abs(b))]
    chosen = np.quantile(gaps, np.linspace(0, 1, count), method="nearest").tolist() if gaps else []
    return sorted({*chosen, INFINITY})


@pytest.mark.parametrize("name", RULES)
def test_a_curve_equals_separate_runs_problem_by_problem_and_count_by_count(decode, name):
    rule = load_rule(name)
    curves = decode({rule: EVERY})
    for t in between_breakpoints(curves, rule):
        for responses, (alone,) in zip(curves, decode({rule: Points((t,))}), strict=True):
            assert result(covering(responses, rule, t), True) == result(alone, True), t


def described(responses, rule):
    """Responses of a rule by what they are, and the ends of their intervals, which scores' last bits move."""
    found = sorted((r for r in responses if rule in r.thresholds), key=lambda r: r.thresholds[rule].high)
    return [result(r, rule.name == "judge") for r in found], [r.thresholds[rule].high for r in found]


def agree(ours, others):
    assert ours[0] == others[0]
    assert ours[1] == pytest.approx(others[1], rel=2e-3, abs=1e-4)


def test_curves_of_all_rules_at_once_equal_each_rules_own(decode):
    rules = {load_rule(name): EVERY for name in RULES}
    together = decode(rules)
    for rule in rules:
        for responses, own in zip(together, decode({rule: EVERY}), strict=True):
            agree(described(responses, rule), described(own, rule))


def test_sampled_responses_of_a_rule_do_not_depend_on_the_rules_beside_it(decode):
    rules = {load_rule(name): EVERY for name in ("lossless", "probability", "judge")}
    together = decode(rules, sampling=Sampling(0.8, 0.9))
    for rule in rules:
        for responses, own in zip(together, decode({rule: EVERY}, sampling=Sampling(0.8, 0.9)), strict=True):
            agree(described(responses, rule), described(own, rule))


def test_every_threshold_has_one_response(decode):
    rule = load_rule("kl_divergence")
    for responses in decode({rule: EVERY}):
        intervals = sorted((r.thresholds[rule].low, r.thresholds[rule].high) for r in responses)
        assert intervals[0][0] == -INFINITY and intervals[-1][1] == INFINITY
        assert all(a[1] == b[0] for a, b in zip(intervals, intervals[1:], strict=False))


def test_the_number_of_rows_changes_nothing(decode):
    rules = {load_rule(name): EVERY for name in ("kl_divergence", "judge", "fly", "scaled_probability")}

    alone, few, many = (decode(rules, batch) for batch in (1, 7, 64))
    for rule in rules:
        for one, other, third in zip(alone, few, many, strict=True):
            agree(described(one, rule), described(other, rule))
            agree(described(one, rule), described(third, rule))


def test_a_rule_with_too_many_branches_is_decoded_at_the_given_thresholds_and_says_so(
    pair, judge, problems, arith, sweep
):
    rows = [p for p in problems if p["split"] == "test"][:6]
    given = {"kl_divergence": [0.05, 0.3, 2.0], "judge": [0.5], "lossless": [0.0]}

    def swept(branches):
        decoder = Decoder(pair, judge, WINDOW, LIMIT, 16, most_branches=branches)
        return [row for row in sweep(decoder, rows, given, arith) if row["rule"] != "target"]

    exact = swept(10**6)
    assert all(row["exact"] for row in exact)
    leaves = Counter((row["problem_id"], row["rule"]) for row in exact)
    most = sorted(leaves.values())[len(leaves) // 2]
    limited = swept(most)
    for row in limited:
        assert row["exact"] == (leaves[row["problem_id"], row["rule"]] <= most)
    inexact = {row["problem_id"] for row in limited if row["rule"] == "kl_divergence" and not row["exact"]}
    assert 0 < len(inexact) < len(rows)
    for problem in inexact:
        of_rule = [r for r in limited if r["problem_id"] == problem and r["rule"] == "kl_divergence"]
        assert sorted((r["threshold_low"], r["threshold"]) for r in of_rule) == [
            (-INFINITY, 0.05), (0.05, 0.3), (0.3, 2.0), (2.0, INFINITY),
        ]  # fmt: skip
    for row in (row for row in limited if not row["exact"]):  # what the curve has at that threshold
        (wanted,) = (
            r
            for r in exact
            if (r["problem_id"], r["rule"]) == (row["problem_id"], row["rule"])
            and r["threshold_low"] < row["threshold"] <= r["threshold"]
        )
        same = ("response", "answer", "correct", "cycles", "accepted", "emitted", "target_calls", "draft_calls")
        assert {k: row[k] for k in same} == {k: wanted[k] for k in same}


@pytest.mark.parametrize("batch", [3, 16])
def test_what_a_rule_gives_under_a_limit_does_not_depend_on_the_rules_beside_it(pair, judge, prompts, batch):
    points = Points((0.05, 0.3, 2.0, INFINITY))
    rules = [load_rule(name) for name in ("kl_divergence", "judge", "top_k", "fly", "lossless")]

    def decode(rules, most, thresholds=EVERY):
        decoder = Decoder(pair, judge, WINDOW, LIMIT, batch, most_branches=most)
        fallback = dict.fromkeys(rules, points)
        jobs = [Job(prompt, dict.fromkeys(rules, thresholds), fallback, i) for i, prompt in enumerate(prompts)]
        found = list(decoder.decode(jobs))
        assert sorted(number for number, _ in found) == list(range(len(prompts))), "each job is yielded once"
        return [responses for _, responses in sorted(found, key=lambda job: job[0])]

    curves, most = decode(rules, 10**6), 6
    together = decode(rules, most)
    alone = {rule: decode([rule], most) for rule in rules}
    beside = Counter()
    for i, (curve, limited) in enumerate(zip(curves, together, strict=True)):
        too_many = {rule for rule in rules if sum(rule in r.thresholds for r in curve) > most}
        beside[0 < len(too_many) < len(rules) - 1] += 1
        for rule in rules:
            own, held = ([r for r in found if rule in r.thresholds] for found in (alone[rule][i], limited))
            kind = Points if rule in too_many else Interval
            assert {type(r.thresholds[rule]) for r in own + held} == {kind}
            if rule in too_many:
                ours, others = (sorted((r.thresholds[rule].values, result(r)) for r in part) for part in (own, held))
                assert str(ours) == str(others)
                assert sorted(t for r in held for t in r.thresholds[rule].values) == list(points.values)
            else:
                agree(described(held, rule), described(own, rule))
                agree(described(held, rule), described(curve, rule))
    assert beside[True] > 1, "no problem has rules on both sides of the limit"


def test_a_rule_with_too_many_branches_goes_on_from_what_was_decoded(pair, judge, prompts, monkeypatch):
    rule, points = load_rule("kl_divergence"), Points((0.05, 0.3, 2.0))
    read, read_prompts = [], Decoder._read_prompts

    def note(decoder, name, branches):
        read.extend([name] * len(branches))
        read_prompts(decoder, name, branches)

    monkeypatch.setattr(Decoder, "_read_prompts", note)
    jobs = [Job(prompt, {rule: EVERY}, {rule: points}, i) for i, prompt in enumerate(prompts)]
    for _, responses in Decoder(pair, judge, WINDOW, LIMIT, 16, most_branches=1).decode(jobs):
        assert sorted(t for r in responses for t in r.thresholds[rule].values) == list(points.values)
    assert Counter(read) == {"target": len(prompts), "draft": len(prompts)}


@pytest.mark.parametrize("sampling", [None, Sampling(0.8, 0.9)])
@pytest.mark.parametrize("name", RULES)
def test_every_rules_batch_result_equals_its_single_row_result(decode, name, sampling):
    rules = {load_rule(name): Points((0.4 if name != "top_k" else 3,))}
    alone, together = (decode(rules, batch, sampling=sampling) for batch in (1, 6))
    assert [[result(r) for r in responses] for responses in alone] == [
        [result(r) for r in responses] for responses in together
    ]


def test_the_oracle_writes_the_mined_response(pair, problems, arith, sweep):
    rows = [p for p in problems if p["split"] == "test"][:8]
    mined = {m.response["problem_id"]: m for m in Miner(pair, Scorer(arith), LIMIT, 12).mine(rows)}
    labels = {name: {label["position"]: label["important"] for label in m.labels} for name, m in mined.items()}
    decoder = Decoder(pair, None, WINDOW, LIMIT, 16)
    found = sweep(decoder, rows, {"oracle": [1.0], "always": [1.0]}, arith, labels)
    oracle = {row["problem_id"]: row for row in found if row["rule"] == "oracle" and row["threshold"] == INFINITY}
    lossless = {row["problem_id"]: row for row in found if row["rule"] == "oracle" and row["threshold"] == 0}
    for name, m in mined.items():
        assert lossless[name]["response"] == m.response["target_tokens"]
        assert oracle[name]["response"] == m.response["mined_tokens"]
        assert oracle[name]["answer"] == m.response["target_answer"]
    assert sum(r["cycles"] for r in oracle.values()) < sum(r["cycles"] for r in lossless.values())


def test_thresholds_split_into_those_that_refuse_and_those_that_keep():
    assert Interval(0, 1).split(0.5) == (Interval(0, 0.5), Interval(0.5, 1))
    assert Interval(0, 1).split(1) == (Interval(0, 1), None)  # kept only below the threshold
    assert Interval(0, 1).split(0) == (None, Interval(0, 1))
    assert EVERY.split(INFINITY) == (EVERY, None)
    assert Points((1.0, 2.0, 3.0)).split(2) == (Points((1.0, 2.0)), Points((3.0,)))
    assert Points((1.0,)).split(0) == (None, Points((1.0,)))


def test_a_score_that_is_not_a_number_is_refused_by_every_threshold():
    assert Interval(0, 1).split(float("nan")) == (Interval(0, 1), None)
    assert EVERY.split(float("nan")) == (EVERY, None)
    assert Points((1.0, INFINITY)).split(float("nan")) == (Points((1.0, INFINITY)), None)
