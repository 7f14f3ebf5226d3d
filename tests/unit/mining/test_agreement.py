"""Mining with agreement is what its plain version says; what it does not infer is exact, and its audit is honest."""

import dataclasses
from collections import Counter

import pytest

import toy_pair
from agreeing import PlainMiner
from autojudge.jobs.store import Store
from autojudge.mining.agreement import Agreement, AgreementMiner
from autojudge.mining.miner import Miner
from autojudge.mining.shard import write_shard
from autojudge.reporting.mining_page import build_page, count_stops
from autojudge.reporting.statistics import wilson_interval
from autojudge.scoring.scorer import Scorer
from autojudge.tables.files import read_table
from autojudge.tables.mining import LABELS, RESPONSES
from autojudge.workflow.configuration import agreement_of
from autojudge.workflow.work import mining_work
from reference import greedy, mined_result
from report_mining import report_mining

LIMIT = 64  # some of the toy's texts are longer, and cut off
TOY = toy_pair.make_problems(12)
USUAL = Agreement(16, 10, 0.1, seed=0)
SETTINGS = {
    "usual": USUAL,
    "one length, half audited": Agreement(12, 12, 0.5, seed=1),
    "none audited": Agreement(20, 4, 0, seed=0),
    "too early": Agreement(2, 1, 0.2, seed=3),
    "all audited": Agreement(8, 6, 1, seed=0),
}


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr("autojudge.mining.miner.CachedModel", toy_pair.Cache)
    return toy_pair.make_pair()


def mine(pair, task, problems, agreement, batch=20, limit=LIMIT):
    miner = AgreementMiner(pair, Scorer(task), limit, batch)
    miner.agreement = agreement
    return {m.response["problem_id"]: m for m in miner.mine(problems)}


def result_of(mined):
    """What the plain version returns."""
    plain, marks = mined_result(mined), [(label["stopped"], label["audited"]) for label in mined.labels]
    labels = [label + mark for label, mark in zip(plain["labels"], marks, strict=True)]
    return plain | {"labels": labels, "again": mined.response["mined_again"]}


def count(results):
    labels = [label for mined in results for label in mined.labels]
    marks = Counter(mark for label in labels for mark in ("stopped", "audited", "important") if label[mark])
    wrong = sum(label["audited"] and label["important"] for label in labels)
    return marks | Counter(again=sum(m.response["mined_again"] for m in results), wrong=wrong, labels=len(labels))


@pytest.mark.parametrize("name", SETTINGS)
def test_mining_is_that_of_the_plain_version_whatever_the_batch(toy, name):
    agreement, task = SETTINGS[name], toy_pair.Task
    results = [mine(toy, task, TOY, agreement, batch) for batch in (1, 20)]
    for problem in TOY:
        plain = PlainMiner(toy, task, problem["prompt_tokens"], LIMIT, agreement, problem["problem_id"]).mine()
        for mined in results:
            assert result_of(mined[problem["problem_id"]]) == plain
    seen = count(results[0].values())
    assert (seen["stopped"] > 5) == (agreement.audit < 1)
    assert (seen["audited"] > 0) == (agreement.audit > 0)
    assert (seen["again"] > 0) == (agreement.audit < 1), "the toy changes answers, unless all are audited"


class Slow(toy_pair.Task):
    """Answers checked beside generation."""

    SLOW_CHECKS = True


def test_slow_checks_beside_generation_change_nothing(toy):
    for name, mined in mine(toy, Slow, TOY, USUAL, batch=5).items():
        (again,) = mine(toy, toy_pair.Task, [p for p in TOY if p["problem_id"] == name], USUAL).values()
        assert result_of(mined) == result_of(again)


def test_all_that_is_not_stopped_is_exact(toy):
    checked = 0
    for mined in mine(toy, toy_pair.Task, TOY, USUAL).values():
        text = list(mined.response["target_tokens"])
        for label, after in zip(mined.labels, [*mined.labels[1:], None], strict=False):
            t = label["position"]
            prompt, start = [int(mined.response["problem_id"])], [*text[:t], label["draft_token"]]
            whole = greedy(toy, toy.target, prompt, start, LIMIT)
            tail = list(label["alternative_tokens"])
            if label["stopped"]:
                assert whole[t : t + len(tail)] == tail and not label["important"]
            else:
                answer = toy_pair.Task.extract_answer(toy_pair.decode(whole))
                assert whole[t:] == tail and label["alternative_answer"] == answer
                assert label["important"] == (answer != mined.response["target_answer"])
                checked += 1
            text = text if label["important"] else whole
            assert after is None or text[after["position"]] == after["target_token"], "in a text that the target writes"
        assert text == mined.response["mined_tokens"]
        assert mined.response["mined_answer"] == mined.response["target_answer"]
    assert checked > 30


def test_a_problem_whose_answer_changed_is_mined_exactly(toy):
    exact = {m.response["problem_id"]: m for m in Miner(toy, Scorer(toy_pair.Task), LIMIT, 20).mine(TOY)}
    again = 0
    for name, mined in mine(toy, toy_pair.Task, TOY, USUAL).items():
        if mined.response["mined_again"]:
            again += 1
            assert mined_result(mined) == mined_result(exact[name])
            assert not any(label["stopped"] for label in mined.labels)
            assert mined.response["target_evaluated"] > exact[name].response["target_evaluated"], "both minings count"
    assert again > 0


def test_the_audit_tells_the_true_error_rate(toy):
    problems, rates, inside = toy_pair.make_problems(40), [], 0
    toy = toy_pair.make_pair(remembered=27)
    truth = count(mine(toy, toy_pair.Task, problems, Agreement(18, 18, 1, seed=0)).values())
    rate = truth["wrong"] / truth["audited"]
    for seed in range(8):
        seen = count(mine(toy, toy_pair.Task, problems, Agreement(18, 18, 0.4, seed)).values())
        low, high = wilson_interval(seen["wrong"], seen["audited"])
        inside += low <= rate <= high
        rates.append(seen["wrong"] / seen["audited"])
    assert 0.01 < rate < 0.2, "the toy has errors to find"
    assert inside >= 7, (rate, rates)
    assert sum(rates) / len(rates) == pytest.approx(rate, abs=0.02), "no bias"


def test_the_share_that_is_audited_is_that_of_the_setting():
    for share in (0, 0.1, 0.5, 1):
        drawn = [Agreement(16, 10, share, seed).audits("p", t) for seed in range(40) for t in range(50)]
        assert sum(drawn) / len(drawn) == pytest.approx(share, abs=0.03)
    assert len({Agreement(16, 10, 0.5, seed).audits("p", 3) for seed in range(9)}) == 2


def test_the_real_pair_is_mined_as_plainly(pair, arith, problems):
    some = [p for p in problems if p["split"] != "test"][:2]
    for name, mined in mine(pair, arith, some, USUAL, limit=160).items():
        (problem,) = (p for p in some if p["problem_id"] == name)
        plain = PlainMiner(pair, arith, list(problem["prompt_tokens"]), 160, USUAL, name).mine()
        assert result_of(mined) == plain
        assert any(label["stopped"] for label in mined.labels)


def test_no_agreement_is_exact_minings_work_and_every_setting_has_its_own():
    config = {"seed": 0, "mining": {"agreement": None}}
    assert agreement_of(config) is None
    problem = {"problem_id": "p", "gold": "4", "prompt_tokens": [1, 2]}
    works = [mining_work("arith", 160, {}), mining_work("arith", 160, {}, None)]
    assert "agreement" not in works[0].code and works[0].key(problem) == works[1].key(problem)
    shipped = {"tokens": 16, "same_numbers": 10, "audit": 0.1}
    keys = {works[0].key(problem)}
    for change in ({}, {"tokens": 20}, {"same_numbers": 9}, {"audit": 0.2}):
        config = {"seed": 0, "mining": {"agreement": shipped | change}}
        keys.add(mining_work("arith", 160, {}, agreement_of(config)).key(problem))
    keys.add(mining_work("arith", 160, {}, agreement_of(config | {"seed": 1})).key(problem))
    assert len(keys) == 6
    fewer = agreement_of({"seed": 0, "mining": {"agreement": shipped | {"tokens": 8}}})
    assert fewer["same_numbers"] == 8


def test_a_resumed_run_ends_like_an_undisturbed_one_and_mixes_no_settings(toy, tmp_path):
    def run(problems, agreement, folder):
        miner = AgreementMiner(toy, Scorer(toy_pair.Task), LIMIT, 5)
        miner.agreement = agreement
        work = mining_work("arith", LIMIT, {}, dataclasses.asdict(agreement))
        with Store(tmp_path / folder, "1-of-1") as store:
            return [result_of(mined) for mined in work.mine(problems, store, lambda: miner)]

    whole = run(TOY, USUAL, "whole")
    run(TOY[:5], USUAL, "resumed")
    resumed = run(TOY, USUAL, "resumed")
    assert resumed == whole
    other = run(TOY, Agreement(20, 20, 0, 0), "resumed")
    with Store(tmp_path / "resumed") as store:
        assert len(store.places) == 2 * len(TOY)
    assert other != whole


def test_the_page_counts_what_was_stopped(tmp_path, toy):
    mined = list(mine(toy, toy_pair.Task, TOY, USUAL).values())
    outputs = {name: str(tmp_path / f"{name}.parquet") for name in ("labels", "features", "responses")}
    write_shard(mined, {p["problem_id"]: "train" for p in TOY}, outputs)
    stops = count_stops(read_table(LABELS, outputs["labels"]), read_table(RESPONSES, outputs["responses"]))
    seen = count(mined)
    assert stops.stopped == seen["stopped"] and stops.audited == seen["audited"] and stops.again == seen["again"]
    assert stops.wrong == seen["wrong"] and stops.mismatches == seen["labels"]
    assert stops.evaluated == sum(m.response["target_evaluated"] for m in mined)
    page = build_page(stops, "toy", True)
    assert page.startswith("# toy: mining with agreement\n") and "| lower bound for exact mining: tokens" in page
    assert f" {seen['stopped']:,} (" in page and f" {seen['again']} of {len(TOY)}" in page
    low, high = wilson_interval(seen["wrong"], seen["audited"])
    assert f"({100 * low:.1f} to {100 * high:.1f})" in page
    assert "none audited" in build_page(stops._replace(audited=0), "toy", True)
    assert 0 < seen["audited"] < 100 and f"Only {seen['audited']} were audited" in page
    for audited in (0, 100):
        assert "Only" not in build_page(stops._replace(audited=audited), "toy", True)


def test_the_page_without_agreement_tells_no_zeros_of_it(tmp_path, toy):
    labels, responses = str(tmp_path / "labels.parquet"), str(tmp_path / "responses.parquet")
    miner = Miner(toy, Scorer(toy_pair.Task), LIMIT, 5)
    mined = list(miner.mine(TOY))
    outputs = {"labels": labels, "responses": responses, "features": str(tmp_path / "features.parquet")}
    write_shard(mined, {p["problem_id"]: "train" for p in TOY}, outputs)
    report_mining(labels, responses, "toy", False, str(tmp_path / "mining.md"))
    page = (tmp_path / "mining.md").read_text(encoding="utf-8")
    assert page.startswith("# toy: how labels were mined\n") and "continued to its end" in page
    rows = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in page.splitlines() if row.startswith("| ")}
    assert set(rows) - {""} == {"problems", "mismatches", "important", "tokens through the target"}
    assert rows["problems"] == str(len(TOY))
    assert rows["mismatches"] == f"{sum(len(m.labels) for m in mined):,}"
    evaluated = sum(m.response["target_evaluated"] for m in mined)
    assert rows["tokens through the target"] == f"{evaluated:,}"
